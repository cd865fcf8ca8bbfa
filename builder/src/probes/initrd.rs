//! The initrd: its format, and how its `/init` looks for the medium.

use super::{Finding, Level};
use crate::iso9660::{Entry, Image};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, Read};

/// Largest initrd, packed.
const MAX_INITRD: u64 = 256 << 20;
/// Largest unpacked segment; what is more is not looked at.
const MAX_UNPACKED: u64 = 1 << 30;
/// Largest `/init`.
const MAX_INIT: u64 = 1 << 20;
/// Length of a newc header: magic and 13 numbers of 8 hex digits.
const HEADER: usize = 110;

/// What `/init` is searched for, and what it means if it is there.
const TRACES: [(&str, &str); 5] = [
    ("proxmox.iso", "takes /proxmox.iso (netboot)"),
    ("cd-id", "compares the medium's id"),
    ("/sys/block", "looks at block devices"),
    ("unconfigured.sh", "starts unconfigured.sh"),
    ("root=", "knows root= (never pass it)"),
];

/// Findings 5 and 6.
pub fn probe(image: &Image, initrd: Option<&Entry>) -> [Result<Finding>; 2] {
    let found = initrd
        .context("the initrd of the normal label is not on the image")
        .and_then(|entry| Ok((entry, image.read(entry, MAX_INITRD)?)))
        .and_then(|(entry, bytes)| scan(&bytes).with_context(|| format!("looking into {}", entry.path)));
    match found {
        Ok(scan) => {
            let text = format!("segments: {}", scan.formats.join(", "));
            [Ok(Finding::new(5, "initrd format", Level::Ok, text)), Ok(medium(&scan))]
        }
        Err(error) => {
            let unknown = "not looked at, because the initrd can't be read";
            [Err(error), Ok(Finding::new(6, "search for the medium", Level::Note, unknown))]
        }
    }
}

fn medium(scan: &Scan) -> Finding {
    let name = "search for the medium";
    let Some(init) = &scan.init else {
        return Finding::new(6, name, Level::Note, "found no /init that can be read");
    };
    let has = |word: &str| init.windows(word.len()).any(|window| window == word.as_bytes());
    let found: Vec<_> = TRACES.iter().filter(|(word, _)| has(word)).map(|(_, meaning)| *meaning).collect();
    let level = if has("unconfigured.sh") && has("proxmox.iso") { Level::Ok } else { Level::Note };
    Finding::new(
        6,
        name,
        level,
        format!("/init {}", if found.is_empty() { "has no known trace".into() } else { found.join(", ") }),
    )
}

/// What an initrd holds.
#[derive(Debug, Default)]
struct Scan {
    formats: Vec<&'static str>,
    init: Option<Vec<u8>>,
}

/// Walks over the segments as the kernel does (Linux init/initramfs.c): NULs between them are skipped.
fn scan(bytes: &[u8]) -> Result<Scan> {
    let mut found = Scan::default();
    let mut rest = bytes;
    loop {
        rest = &rest[rest.iter().take_while(|byte| **byte == 0).count()..];
        match rest {
            [] => break,
            [0x1F, 0x8B, ..] => {
                found.formats.push("gzip");
                let mut decoder = flate2::bufread::GzDecoder::new(rest);
                archive(&mut std::io::BufReader::new((&mut decoder).take(MAX_UNPACKED)), &mut found)?;
                rest = decoder.into_inner();
            }
            [b'0', b'7', b'0', b'7', b'0', b'1' | b'2', ..] => {
                found.formats.push("cpio");
                archive(&mut rest, &mut found)?;
            }
            // Both can't be looked into here, nor what follows them; the kernel reads them.
            [b'B', b'Z', b'h', ..] => {
                found.formats.push("bzip2");
                break;
            }
            [0x5D, 0, 0, ..] => {
                found.formats.push("lzma");
                break;
            }
            _ => {
                bail!("found the bytes {:02x?}, wanted gzip, bzip2, lzma or newc", &rest[..rest.len().min(6)])
            }
        }
    }
    ensure!(!found.formats.is_empty(), "it is empty");
    Ok(found)
}

/// Reads newc archives up to the end of the input, or of the first archive if that is where raw bytes go on.
fn archive(input: &mut impl BufRead, found: &mut Scan) -> Result<()> {
    let mut position = 0_u64;
    loop {
        let mut header = [0; HEADER];
        input.read_exact(&mut header).context("a cpio archive is cut off")?;
        ensure!(header.starts_with(b"070701") || header.starts_with(b"070702"), "a cpio header is broken");
        let number = |index: usize| {
            let digits = std::str::from_utf8(&header[6 + index * 8..14 + index * 8]).ok();
            digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).context("a cpio number is broken")
        };
        let (size, name_length) = (number(6)?, number(11)?);
        ensure!(name_length <= 4096, "a cpio name has {name_length} bytes");
        position += HEADER as u64 + name_length;
        let mut name = vec![0; usize::try_from(name_length)?];
        input.read_exact(&mut name).context("a cpio archive is cut off")?;
        position += skip(input, padding(position))?;
        let name = name.strip_suffix(&[0]).unwrap_or(&name);
        if name == b"TRAILER!!!" {
            // A decoder has to run to its end, so that its caller knows where the next segment starts.
            return skip_zeros(input);
        }
        if matches!(name, b"init" | b"/init" | b"./init") && size <= MAX_INIT {
            let mut content = Vec::new();
            input.by_ref().take(size).read_to_end(&mut content).context("reading /init")?;
            position += size;
            found.init = Some(content);
        } else {
            position += skip(input, size)?;
        }
        position += skip(input, padding(position))?;
    }
}

fn padding(position: u64) -> u64 {
    (4 - position % 4) % 4
}

fn skip(input: &mut impl Read, bytes: u64) -> Result<u64> {
    let skipped =
        std::io::copy(&mut input.take(bytes), &mut std::io::sink()).context("reading a cpio archive")?;
    ensure!(skipped == bytes, "a cpio archive is cut off");
    Ok(bytes)
}

fn skip_zeros(input: &mut impl BufRead) -> Result<()> {
    loop {
        let buffer = input.fill_buf().context("reading behind a cpio archive")?;
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Ok(());
        }
        input.consume(zeros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn cpio(name: &str, data: &[u8]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, data) in [(name, data), ("TRAILER!!!", b"")] {
            let mut header = "070701".to_owned();
            for index in 0..13 {
                let value = if index == 6 {
                    data.len()
                } else if index == 11 {
                    name.len() + 1
                } else {
                    0
                };
                header = format!("{header}{value:08x}");
            }
            archive.extend_from_slice(header.as_bytes());
            archive.extend_from_slice(name.as_bytes());
            archive.push(0);
            archive.resize(archive.len().next_multiple_of(4), 0);
            archive.extend_from_slice(data);
            archive.resize(archive.len().next_multiple_of(4), 0);
        }
        archive
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_last_init_of_mixed_segments_counts() {
        let mut bytes = gzip(&cpio("init", b"first"));
        bytes.extend_from_slice(&[0; 7]);
        bytes.extend_from_slice(&cpio("init", b"second, proxmox.iso"));
        bytes.extend_from_slice(&[0; 512]);
        bytes.extend_from_slice(&gzip(&cpio("other", b"x")));
        let scan = scan(&bytes).unwrap();
        assert_eq!(scan.formats, ["gzip", "cpio", "gzip"]);
        assert_eq!(scan.init.as_deref(), Some(&b"second, proxmox.iso"[..]));
    }

    #[test]
    fn what_the_kernel_can_not_unpack_is_refused() {
        let whole = gzip(&cpio("init", b"x"));
        for bytes in [&b""[..], b"\xFD7zXZ\0", b"\x28\xB5\x2F\xFD", b"070701zz", &whole[..30]] {
            assert!(scan(bytes).is_err(), "{bytes:?}");
        }
    }
}
