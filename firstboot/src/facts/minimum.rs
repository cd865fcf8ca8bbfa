//! The least hardware of a Master: a 64-bit processor with VT or AMD-V, 8 GB of memory, an 80 GB system disk.
//!
//! A weaker machine works as a node; it only never becomes the Master, unless the site file gives it a priority.

use super::Hardware;

/// The priority of a machine that has all that a Master needs, where the site file says nothing.
pub const PRIORITY: u8 = 50;

/// 8 GB of memory, as `MemTotal` has them: firmware, graphics and the kernel's own image take up to half a GiB before the kernel counts.
const MEMORY: u64 = 15 << 29;

/// 80 GB as disk makers count.
const DISK: u64 = 80_000_000_000;

/// What `hardware`, with a system disk of `disk` bytes, lacks: one phrase each, with what was found and what is wanted.
pub fn misses(hardware: &Hardware, disk: Option<u64>) -> Vec<String> {
    let mut misses = Vec::new();
    if !hardware.cpu_64_bit {
        misses.push("the processor is not a 64-bit one (no flag lm), wanted 64-bit".to_owned());
    }
    if hardware.virtualisation.is_none() {
        misses.push(
            "the processor shows neither VT nor AMD-V (no flag vmx or svm), wanted one of them: it may be off in the firmware's set-up"
                .to_owned(),
        );
    }
    if hardware.memory < MEMORY {
        // In tenths, rounded down so that a miss never reads as the wanted value.
        let tenths = (hardware.memory >> 20) * 10 / 1024;
        misses.push(format!(
            "the memory is {}.{} GiB, wanted 7.5 GiB as the kernel counts 8 GB",
            tenths / 10,
            tenths % 10
        ));
    }
    match disk {
        Some(size) if size < DISK => {
            misses.push(format!("the system disk has {}, wanted 80 GB", gigabytes(size)));
        }
        Some(_) => {}
        None => misses.push("the system disk was not found, wanted one of 80 GB".to_owned()),
    }
    misses
}

/// `bytes` in GB with one decimal, rounded down so that a miss never reads as the wanted value.
fn gigabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    format!("{}.{} GB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_miss_is_named() {
        let good = Hardware {
            cpu_64_bit: true,
            virtualisation: Some("svm".into()),
            memory: 8_174_352 * 1024,
            ..Hardware::default()
        };
        let table: [(Hardware, Option<u64>, &[&str]); 7] = [
            (good.clone(), Some(80_026_361_856), &[]),
            (Hardware { memory: 15 << 29, ..good.clone() }, Some(DISK), &[]),
            (Hardware { memory: (15 << 29) - 1024, ..good.clone() }, Some(DISK), &["is 7.4 GiB"]),
            (Hardware { cpu_64_bit: false, ..good.clone() }, Some(DISK), &["64-bit"]),
            (Hardware { virtualisation: None, ..good.clone() }, Some(DISK), &["AMD-V"]),
            (
                Hardware { memory: 4 << 30, ..good.clone() },
                Some(79_999_999_999),
                &["is 4.0 GiB", "has 79.9 GB"],
            ),
            (good, None, &["not found"]),
        ];
        for (hardware, disk, wanted) in table {
            let found = misses(&hardware, disk);
            assert_eq!(found.len(), wanted.len(), "{found:?}");
            for (sentence, word) in found.iter().zip(wanted) {
                assert!(sentence.contains(word), "{sentence}");
            }
        }
    }
}
