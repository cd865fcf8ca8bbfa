//! Copies the source image while hashing it, as a reflink where the file system can.

use crate::progress::Phase;
use crate::sums::Sums;
use anyhow::{Context, Result};
use cias_firstboot::interrupt::Interrupt;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Bytes per step: large enough to be quick, small enough to notice Ctrl-C soon.
const STEP: usize = 1 << 20;

/// Copies `source` into the new, empty `target`; returns the SHA-256 of what was read, in hex, and its length.
///
/// With a reflink the bytes are shared and only read for the hash; both come from the same open file. `sums` sees all.
pub fn copy_and_hash(
    source: &Path,
    target: &File,
    sums: &mut Sums,
    interrupt: &Interrupt,
    phase: &mut Phase,
) -> Result<(String, u64)> {
    let reading = || format!("reading {}", source.display());
    let mut input = File::open(source).with_context(reading)?;
    let shared = rustix::fs::ioctl_ficlone(target, &input).is_ok();
    let mut output = target;
    consume(&mut input, reading, interrupt, phase, |bytes| {
        sums.update(bytes);
        if shared { Ok(()) } else { output.write_all(bytes).context("writing the copy of the image") }
    })
}

/// SHA-256 of all that `input` gives, in hex, and its length.
pub fn hash(input: &mut impl Read, interrupt: &Interrupt, phase: &mut Phase) -> Result<(String, u64)> {
    consume(input, || "reading the image".to_owned(), interrupt, phase, |_| Ok(()))
}

/// As [`hash`], while `sums` sees all.
pub fn hash_and_sum(
    input: &mut impl Read,
    sums: &mut Sums,
    interrupt: &Interrupt,
    phase: &mut Phase,
) -> Result<(String, u64)> {
    consume(
        input,
        || "reading the image".to_owned(),
        interrupt,
        phase,
        |bytes| {
            sums.update(bytes);
            Ok(())
        },
    )
}

/// SHA-256 of `bytes` in hex.
pub fn hash_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn consume(
    input: &mut impl Read,
    reading: impl Fn() -> String,
    interrupt: &Interrupt,
    phase: &mut Phase,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; STEP];
    let mut total = 0;
    loop {
        interrupt.check()?;
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).with_context(reading),
        };
        let bytes = &buffer[..count];
        hasher.update(bytes);
        each(bytes)?;
        total += count as u64;
        phase.add(count as u64);
    }
    Ok((hex(&hasher.finalize()), total))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
