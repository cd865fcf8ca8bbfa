//! What the fuzzer found once (ci/fuzz) never comes back, and damaged images and packages are met with an error.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../../fuzz-targets/replay.rs"]
mod replay;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What is done with one input.
type Target = fn(&[u8]);

/// Far more than any input takes; an endless loop takes longer.
const LIMIT: Duration = Duration::from_mins(1);

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz-targets/corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// Feeds `bytes` to a target; what it does must end.
fn feed(what: &str, bytes: &[u8], target: Target) {
    let start = Instant::now();
    target(bytes);
    assert!(start.elapsed() < LIMIT, "{what} took {:?}", start.elapsed());
}

#[test]
fn every_input_of_the_corpora_is_met_without_a_panic() {
    let targets: [(&str, Target); 5] = [
        ("iso", replay::iso),
        ("deb", replay::deb),
        ("hello", replay::hello),
        ("site", replay::site),
        ("journal", replay::journal),
    ];
    for (name, target) in targets {
        for file in corpus(name) {
            feed(&file.display().to_string(), &std::fs::read(&file).unwrap(), target);
        }
    }
}

/// A small generator (xorshift), so that a failure is found again.
fn roll(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Cuts `whole` off at many places, and flips bits in many others, most of them in `dense`, where the structures are.
fn damage(whole: &[u8], dense: std::ops::Range<usize>, target: Target) {
    for at in (0..whole.len()).step_by(whole.len() / 64 + 1) {
        feed(&format!("cut off at {at}"), &whole[..at], target);
    }
    let mut dice = 0x9e37_79b9_7f4a_7c15;
    for round in 0..400 {
        let mut bytes = whole.to_vec();
        for _ in 0..=roll(&mut dice) % 4 {
            let range = if roll(&mut dice).is_multiple_of(4) { 0..bytes.len() } else { dense.clone() };
            let at = range.start + usize::try_from(roll(&mut dice)).unwrap() % range.len();
            bytes[at] ^= 1 << (roll(&mut dice) % 8);
        }
        feed(&format!("round {round}"), &bytes, target);
    }
}

#[test]
fn a_damaged_image_is_met_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    for name in [
        "boot/isolinux/isolinux.cfg",
        "sbin/unconfigured.sh",
        "proxmox/packages/a_1_all.deb",
        "usr/bin/xinit",
    ] {
        let path = tree.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name.repeat(200)).unwrap();
    }
    std::os::unix::fs::symlink("../usr/bin/xinit", tree.join("sbin/xinit")).unwrap();
    let image = folder.path().join("image.iso");
    let output = Command::new("xorriso")
        .args(["-padding", "0", "-outdev"])
        .arg(&image)
        .args(["-joliet", "on", "-map"])
        .arg(&tree)
        .args(["/", "-set_filter_r", "--zisofs", "/usr", "--"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let whole = std::fs::read(&image).unwrap();
    // Descriptors begin at 32 KiB; path tables, directories and System Use entries follow.
    damage(&whole, (32 << 10)..whole.len(), replay::iso);
}

#[test]
fn a_damaged_package_is_met_without_a_panic() {
    let fields = [
        ("Package", "a"),
        ("Version", "1"),
        ("Architecture", "all"),
        ("Maintainer", "a"),
        ("Description", "x"),
    ];
    let whole = cias_builder::deb::Package::new(0, &fields).write().unwrap();
    damage(&whole, 0..whole.len(), replay::deb);
}

#[test]
fn a_damaged_frame_is_met_without_a_panic() {
    let key = "5a".repeat(32);
    let codec = cias_firstboot::hello::frame::Codec::new(&key).unwrap();
    let mut whole = 0;
    for file in corpus("hello") {
        let bytes = std::fs::read(file).unwrap();
        whole += usize::from(codec.decode(&replay::sign(&key, &bytes).unwrap()).is_ok());
        damage(&bytes, 0..bytes.len(), replay::hello);
    }
    assert!(whole >= 5, "only {whole} frames of the corpus are whole, wanted one of each kind");
}
