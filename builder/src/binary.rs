//! The static binary that goes onto the image: where it is found and what it must be.

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use std::path::{Path, PathBuf};

/// Its file name.
const NAME: &str = "cias-firstboot";
/// Target for which it is built.
const TARGET: &str = "x86_64-unknown-linux-musl";
/// Largest binary: it lies on the image twice and in the installer's memory.
const MAX_BYTES: u64 = 8 << 20;
/// Program header types that a fully static binary has not: dynamic section, interpreter.
const FORBIDDEN_SEGMENTS: [(u64, &str); 2] = [(2, "has a dynamic section"), (3, "has an interpreter")];

/// Reads the binary at `given`, or else the one beside this program or in the build tree that holds it.
pub fn load(given: Option<&Path>) -> Result<Vec<u8>> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => find()?,
    };
    let shown = path.display();
    let size = std::fs::metadata(&path)
        .map_err(|error| {
            Class::BadInput.error(format!("{shown}: {error}; give the binary with --firstboot"))
        })?
        .len();
    if size > MAX_BYTES {
        return Err(Class::BadInput.error(format!(
            "{shown} has {size} bytes, wanted at most {MAX_BYTES}; build it with `cargo build --release --target {TARGET}`"
        )));
    }
    let bytes = std::fs::read(&path).with_context(|| format!("reading {shown}"))?;
    check(&bytes).map_err(|what| {
        Class::BadInput.error(format!(
            "{shown} {what}, wanted a static x86-64 program; build it with `cargo build --release -p {NAME} --target {TARGET}`"
        ))
    })?;
    Ok(bytes)
}

fn find() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    // target/release/cias-builder -> target/x86_64-unknown-linux-musl/release/cias-firstboot
    let built = folder.join("..").join(TARGET).join("release").join(NAME);
    let places = [folder.join(NAME), built];
    // The folder of a debug build holds a dynamic one, which is none of ours.
    let is_static = |path: &&PathBuf| std::fs::read(path).is_ok_and(|bytes| check(&bytes).is_ok());
    places.iter().find(is_static).cloned().ok_or_else(|| {
        Class::BadInput.error(format!(
            "found no static {NAME} at {} nor at {}; build it with `cargo build --release -p {NAME} --target {TARGET}` \
             or give it with --firstboot",
            places[0].display(),
            places[1].display()
        ))
    })
}

/// Whether the bytes are a static x86-64 ELF program; if not, what they are. Layout: elf(5).
fn check(bytes: &[u8]) -> Result<(), &'static str> {
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") || number(bytes, 18, 2) != Some(62) {
        return Err("is no x86-64 ELF file");
    }
    if !matches!(number(bytes, 16, 2), Some(2 | 3)) {
        return Err("is no ELF program");
    }
    let cut = "is cut off";
    let table = number(bytes, 32, 8).ok_or(cut)?;
    let size = number(bytes, 54, 2).ok_or(cut)?;
    let count = number(bytes, 56, 2).ok_or(cut)?;
    for index in 0..count {
        let at = table.checked_add(index * size).and_then(|at| usize::try_from(at).ok()).ok_or(cut)?;
        let kind = number(bytes, at, 4).ok_or(cut)?;
        if let Some((_, what)) = FORBIDDEN_SEGMENTS.iter().find(|(forbidden, _)| *forbidden == kind) {
            return Err(what);
        }
    }
    Ok(())
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header with program headers of the given types.
    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[16] = 2;
        bytes[18] = 62;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.resize(bytes.len() + 52, 0);
        }
        bytes
    }

    #[test]
    fn only_static_programs_pass() {
        assert_eq!(check(&elf(&[1, 1])), Ok(()));
        assert_eq!(check(&elf(&[1, 2])), Err("has a dynamic section"));
        assert_eq!(check(&elf(&[3])), Err("has an interpreter"));
        assert_eq!(check(b"#!/bin/sh\n"), Err("is no x86-64 ELF file"));
        assert_eq!(check(&elf(&[1])[..70]), Ok(()));
        assert_eq!(check(&elf(&[1])[..60]), Err("is cut off"));
        let mut far = elf(&[1]);
        far[32..40].fill(0xFF);
        assert_eq!(check(&far), Err("is cut off"));
    }
}
