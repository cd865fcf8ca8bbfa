//! Copies the source image while hashing it, as a reflink where the file system can.
//!
//! Reading and writing on one side and hashing on the other take about as long, so each has a thread; and the disk
//! begins to write at once instead of at the last sync.

use crate::progress::Phase;
use crate::sums::Sums;
use anyhow::{Context, Result, anyhow};
use cias_firstboot::interrupt::Interrupt;
use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

/// Bytes per step: large enough to be quick, small enough to notice Ctrl-C soon.
const STEP: usize = 1 << 20;
/// Steps that may wait for the hash.
const AHEAD: usize = 4;
/// Whenever so many bytes have come, the disk begins to write them.
const FLUSH: u64 = 32 << 20;

/// Makes the new, empty `target` share all bytes of `source`, where the file system can.
pub fn share(source: &Path, target: &File) -> Result<bool> {
    let input = File::open(source).with_context(|| format!("reading {}", source.display()))?;
    Ok(rustix::fs::ioctl_ficlone(target, input).is_ok())
}

/// Copies `source` into the new, empty `target`; returns the SHA-256 of what was read, in hex, and its length. `sums`
/// sees all.
pub fn copy_and_hash(
    source: &Path,
    target: &File,
    sums: &mut Sums,
    interrupt: &Interrupt,
    phase: &mut Phase,
) -> Result<(String, u64)> {
    let reading = || format!("reading {}", source.display());
    let mut input = File::open(source).with_context(reading)?;
    let mut copy = target;
    thread::scope(|scope| {
        let (filled, ranges) = mpsc::channel();
        scope.spawn(move || {
            for at in ranges {
                // No more than a hint: what is dropped from the cache is only what is written, so it starts that.
                let _ = fadvise(target, at, NonZeroU64::new(FLUSH), Advice::DontNeed);
            }
        });
        let (mut told, mut written) = (0, 0);
        consume(&mut input, reading, interrupt, phase, |bytes| {
            sums.update(bytes);
            copy.write_all(bytes).context("writing the copy of the image")?;
            written += bytes.len() as u64;
            while written - told >= FLUSH {
                filled.send(told).context("asking for the copy to be written")?;
                told += FLUSH;
            }
            Ok(())
        })
    })
}

/// SHA-256 of all that `input` gives, in hex, and its length.
pub fn hash(input: &mut impl Read, interrupt: &Interrupt, phase: &mut Phase) -> Result<(String, u64)> {
    consume(input, || "reading the image".to_owned(), interrupt, phase, |_| Ok(()))
}

/// Shows all that `input` gives to `sums`; returns its length.
pub fn sum(input: &mut impl Read, sums: &mut Sums, interrupt: &Interrupt, phase: &mut Phase) -> Result<u64> {
    let mut buffer = vec![0; STEP];
    let mut total = 0;
    loop {
        interrupt.check()?;
        let count = fill(input, &mut buffer).context("reading the copy of the image")?;
        if count == 0 {
            return Ok(total);
        }
        sums.update(&buffer[..count]);
        total += count as u64;
        phase.add(count as u64);
    }
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

/// Reads all of `input` and shows it to `each`, while another thread hashes it.
fn consume(
    input: &mut impl Read,
    reading: impl Fn() -> String,
    interrupt: &Interrupt,
    phase: &mut Phase,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(String, u64)> {
    thread::scope(|scope| {
        let (full, filled) = mpsc::channel::<(Vec<u8>, usize)>();
        let (free, freed) = mpsc::channel();
        let hasher = scope.spawn(move || {
            let mut hasher = Sha256::new();
            for (buffer, count) in filled {
                hasher.update(&buffer[..count]);
                // Nobody wants it back any more at the end.
                let _ = free.send(buffer);
            }
            hasher.finalize()
        });
        let panicked = || anyhow!("the thread that hashes panicked");
        let (mut total, mut buffers) = (0, 0);
        loop {
            interrupt.check()?;
            let mut buffer = if buffers < AHEAD {
                buffers += 1;
                vec![0; STEP]
            } else {
                freed.recv().map_err(|_| panicked())?
            };
            let count = fill(input, &mut buffer).with_context(&reading)?;
            if count == 0 {
                break;
            }
            each(&buffer[..count])?;
            total += count as u64;
            phase.add(count as u64);
            full.send((buffer, count)).map_err(|_| panicked())?;
        }
        drop(full);
        Ok((hex(&hasher.join().map_err(|_| panicked())?), total))
    })
}

/// One read that a signal does not end.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
