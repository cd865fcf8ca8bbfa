//! The package `cias-firstboot`, which carries the node's program through the vendor's own installation.

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;

use crate::deb::{Content, Package};

/// The largest program that is shipped, in bytes.
pub const LARGEST: usize = 8 << 20;

const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../overlay/debian/postinst")),
    ("postrm", include_str!("../../overlay/debian/postrm")),
    ("prerm", include_str!("../../overlay/debian/prerm")),
];

const INIT: [(&str, &str); 2] = [
    ("/etc/init.d/cias-identity", include_str!("../../overlay/init.d/cias-identity")),
    ("/etc/init.d/cias-provision", include_str!("../../overlay/init.d/cias-provision")),
];

/// The package around `binary`, dated `epoch`. A program that the target could not run is bad input.
pub fn package(binary: Vec<u8>, version: &str, epoch: u64) -> Result<Package> {
    check_binary(&binary)?;
    let control = include_str!("../../overlay/debian/control").replace("{{ version }}", version);
    let fields: Vec<(&str, &str)> = control.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut package = Package::new(epoch, &fields);
    package.add("/usr/sbin/cias-firstboot", 0o755, Content::Bytes(binary));
    package.add("/usr/sbin/cias", 0o777, Content::Link("cias-firstboot".into()));
    for (path, text) in INIT {
        package.add(path, 0o755, Content::Bytes(text.into()));
    }
    package.add(
        "/etc/logrotate.d/cias-firstboot",
        0o644,
        Content::Bytes(include_bytes!("../../overlay/logrotate").to_vec()),
    );
    for folder in ["/etc/cias", "/var/lib/cias", "/var/log/cias"] {
        package.add(folder, 0o700, Content::Folder);
    }
    let copyright = "Apache-2.0; the text of the licence: /usr/share/common-licenses/Apache-2.0\n";
    package.add("/usr/share/doc/cias-firstboot/copyright", 0o644, Content::Bytes(copyright.into()));
    package.conffiles = INIT.iter().map(|(path, _)| (*path).to_owned()).collect();
    package.conffiles.push("/etc/logrotate.d/cias-firstboot".into());
    for (name, text) in SCRIPTS {
        package.script(name, text);
    }
    Ok(package)
}

/// Is this a static x86-64 program? It runs before any library is there, and on a libc that is years older.
fn check_binary(binary: &[u8]) -> Result<()> {
    let bad = |found: &str| {
        Class::BadInput.error(format!(
            "the node's program: found {found}, wanted a static x86-64 ELF of at most 8 MiB: build it with \
             `cargo build --release -p cias-firstboot --target x86_64-unknown-linux-musl`"
        ))
    };
    if !binary.starts_with(b"\x7fELF\x02\x01") || binary.get(18..20) != Some(&[62, 0]) {
        return Err(bad("no 64-bit ELF for x86-64"));
    }
    if binary.len() > LARGEST {
        return Err(bad(&format!("{} bytes", binary.len())));
    }
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = binary.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let table = || Some((number(32, 8)?, number(54, 2)?, number(56, 2)?));
    let (start, size, count) = table().context("reading the ELF header")?;
    for index in 0..count {
        let at = start.checked_add(index * size).and_then(|at| number(at, 4));
        match at.ok_or_else(|| bad("a cut ELF"))? {
            2 => return Err(bad("a dynamic section")),
            3 => return Err(bad("a program interpreter")),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kinds: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        (bytes[18], bytes[32], bytes[54], bytes[56]) = (62, 64, 56, u8::try_from(kinds.len()).unwrap());
        for kind in kinds {
            bytes.push(*kind);
            bytes.resize(bytes.len() + 55, 0);
        }
        bytes
    }

    #[test]
    fn only_a_static_program_of_the_target_is_packed() {
        assert!(check_binary(&elf(&[1, 1])).is_ok());
        for (binary, wanted) in [
            (elf(&[1, 2]), "a dynamic section"),
            (elf(&[3]), "a program interpreter"),
            (elf(&[1])[..70].to_vec(), ""),
            (b"#!/bin/sh\n".to_vec(), "no 64-bit ELF"),
            ([elf(&[1]), vec![0; LARGEST]].concat(), "bytes"),
            (elf(&[1, 1])[..100].to_vec(), "a cut ELF"),
        ] {
            let result = check_binary(&binary);
            assert_eq!(result.is_err(), !wanted.is_empty());
            if let Err(error) = result {
                assert!(error.to_string().contains(wanted), "{error}");
            }
        }
    }

    #[test]
    fn it_carries_the_program_and_its_boot_scripts() {
        let package = package(elf(&[1]), "0.1.0", 0).unwrap();
        assert_eq!(package.file_name(), "cias-firstboot_0.1.0_amd64.deb");
        for path in [
            "/usr/sbin/cias-firstboot",
            "/usr/sbin/cias",
            "/etc/init.d/cias-identity",
            "/etc/init.d/cias-provision",
        ] {
            assert!(package.files.contains_key(path), "{path}");
        }
        assert_eq!(package.files["/etc/cias"].mode, 0o700);
    }
}
