//! Questions to a running node, and what the answers must be.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::unistd::{Whence, lseek};
use sha2::{Digest, Sha256};

use super::road::{BOOT, Road};
use crate::guest::Guest;
use crate::net::Net;
use crate::site::PASSWORD;

/// A node that is asked over ssh.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    /// The network.
    pub net: &'a Net,
    /// The lab's key.
    pub key: &'a Path,
    /// Its address.
    pub address: &'a str,
}

impl Node<'_> {
    /// Standard output of a command that must succeed.
    pub fn ask(&self, command: &str) -> Result<String> {
        self.told(command, "")
    }

    /// Standard output of a command that must succeed with `stdin` as its standard input.
    pub fn told(&self, command: &str, stdin: &str) -> Result<String> {
        let output = self.net.ssh(self.address, self.key, command, stdin)?;
        ensure!(
            output.code == 0,
            "{}: `{command}` ended with {}: {}{}",
            self.address,
            output.code,
            output.stdout,
            output.stderr
        );
        Ok(output.stdout.trim().to_owned())
    }

    /// Standard output of a command; nothing if it fails, or the node does not answer.
    pub fn try_ask(&self, command: &str) -> Result<Option<String>> {
        let output = self.net.ssh(self.address, self.key, command, "")?;
        Ok((output.code == 0).then(|| output.stdout.trim().to_owned()))
    }

    /// Does it answer, and say that all is done?
    pub fn is_done(&self) -> Result<bool> {
        let output = self.net.ssh(self.address, self.key, "cias status --json", "")?;
        let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        Ok(json["state"] == "done")
    }

    /// A command's output must be exactly `wanted`.
    pub fn equals(&self, command: &str, wanted: &str) -> Result<()> {
        let found = self.ask(command)?;
        ensure!(found == wanted, "{}: `{command}`: found {found:?}, wanted {wanted:?}", self.address);
        Ok(())
    }

    /// A command's output must contain `wanted`.
    pub fn contains(&self, command: &str, wanted: &str) -> Result<()> {
        let found = self.ask(command)?;
        ensure!(
            found.contains(wanted),
            "{}: `{command}`: found {found:?}, wanted {wanted:?} in it",
            self.address
        );
        Ok(())
    }
}

/// Waits until the first boot has done its work: the node answers and says that it is done.
pub fn settled(road: &Road, guest: &mut Guest) -> Result<()> {
    guest.wait("status done over ssh", BOOT, |_| Ok(road.node().is_done()?.then_some(())))
}

/// Logs in as a person would, on the serial console, with the site's password.
pub fn password_login(guest: &mut Guest) -> Result<()> {
    guest.send("\nroot\n")?;
    guest.wait_for("Password: ", BOOT)?;
    guest.send(&format!("{PASSWORD}\n"))?;
    guest.wait_for("~# ", BOOT)?;
    // The console echoes the question, so the answer must differ from it.
    guest.send("echo LAB-$((6 * 7))\n")?;
    guest.wait_for("LAB-42", BOOT)
}

/// Stands for every byte of a file: the SHA-256 of each piece that is not all zero, with its place. Holes of a sparse
/// image are not read, they are zeroes.
pub fn fingerprint(path: &Path) -> Result<String> {
    let read = || -> Result<String> {
        let (mut hash, mut file) = (Sha256::new(), File::open(path)?);
        let size = i64::try_from(file.metadata()?.len())?;
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        // No more data behind `at` is an error by the name of ENXIO.
        while let Ok(data) = lseek(&file, at, Whence::SeekData) {
            let start = data - data % i64::try_from(PIECE)?;
            file.seek(SeekFrom::Start(u64::try_from(start)?))?;
            let mut length = 0;
            while let Some(count) = Some(file.read(&mut piece[length..])?).filter(|count| *count > 0) {
                length += count;
            }
            if piece[..length].iter().any(|byte| *byte != 0) {
                hash.update(start.to_le_bytes());
                hash.update(&piece[..length]);
            }
            at = start + i64::try_from(PIECE)?;
        }
        hash.update(size.to_le_bytes());
        Ok(hash.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
    };
    read().with_context(|| format!("reading {}", path.display()))
}

/// How much of a disk is looked at at a time, in bytes.
const PIECE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_fingerprint_depends_on_every_byte_and_its_place_but_not_on_holes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let with = |writes: &[(u64, &[u8])]| {
            let file = File::create(&path).unwrap();
            file.set_len(8 << 20).unwrap();
            for (at, bytes) in writes {
                file.write_all_at(bytes, *at).unwrap();
            }
            fingerprint(&path).unwrap()
        };
        let one = with(&[(5 << 20, b"x")]);
        assert_eq!(one, with(&[(0, &[0; 4096]), (5 << 20, b"x")]), "written zeroes are zeroes");
        for other in [
            &[(5 << 20, &b"y"[..])][..],
            &[(6 << 20, b"x")],
            &[((5 << 20) + 1, b"x")],
            &[],
            &[((8 << 20) - 1, b"x")],
        ] {
            assert_ne!(one, with(other), "{other:?}");
        }
    }
}
