//! The kernel that boots must be the one that is packaged: the vendor's installer makes an initramfs for
//! `uname -r` in the new system (docs/facts.md 3.6).

use super::{Finding, Level};
use crate::iso9660::{Entry, Image};
use crate::plan::PACKAGES;
use anyhow::{Context, Result, bail};
use std::io::Read;

/// The header and the version string lie in the first sectors; see Linux Documentation/x86/boot.txt.
const HEAD: u64 = 64 << 10;

/// Version in the header of the bzImage.
pub fn version(image: &Image, kernel: Option<&Entry>) -> Result<String> {
    let entry = kernel.context("the kernel of the normal label is not on the image")?;
    let mut head = Vec::new();
    image
        .reader(entry)?
        .take(HEAD)
        .read_to_end(&mut head)
        .with_context(|| format!("reading {}", entry.path))?;
    match parse(&head) {
        Some(version) => Ok(version),
        None => bail!("{} has no kernel header with a version", entry.path),
    }
}

fn parse(head: &[u8]) -> Option<String> {
    if head.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let pointer = u16::from_le_bytes(head.get(0x20E..0x210)?.try_into().ok()?);
    let text = head.get(0x200 + usize::from(pointer)..)?;
    let word: Vec<u8> = text.iter().copied().take(128).take_while(u8::is_ascii_graphic).collect();
    String::from_utf8(word).ok().filter(|word| pointer != 0 && word.starts_with(|c: char| c.is_ascii_digit()))
}

pub fn package(image: &Image, version: &str) -> Finding {
    let prefix = format!("pve-kernel-{version}_");
    let kernels = image.children(PACKAGES).map(Entry::name).filter(|name| name.starts_with("pve-kernel-"));
    let kernels: Vec<_> = kernels.collect();
    let (level, text) = match kernels.iter().find(|name| name.starts_with(&prefix)) {
        Some(name) => (Level::Ok, format!("{version}, packaged as {name}")),
        None => {
            (Level::Fatal, format!("boots {version}, but the kernel packages are [{}]", kernels.join(", ")))
        }
    };
    Finding::new(7, "kernel and package", level, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_a_version_is_none() {
        let mut head = vec![0; 4096];
        assert_eq!(parse(&head), None);
        head[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(parse(&head), None);
        head[0x20E] = 0xFF;
        head[0x20F] = 0xFF;
        assert_eq!(parse(&head), None);
        head[0x20E..0x210].copy_from_slice(&[0, 4]);
        head[0x600..0x60E].copy_from_slice(b"2.6.32-27-pve ");
        assert_eq!(parse(&head).as_deref(), Some("2.6.32-27-pve"));
    }
}
