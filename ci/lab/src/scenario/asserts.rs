//! Questions to a running node, and what the answers must be.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::road::{ADDRESS, BOOT, Road};
use crate::guest::Guest;
use crate::site::PASSWORD;

/// Asks a node over ssh.
pub struct Node<'a, 'n> {
    /// The running server.
    pub guest: &'a Guest<'n>,
    /// The lab's key.
    pub key: &'a Path,
}

impl Node<'_, '_> {
    /// Standard output of a command that must succeed.
    pub fn ask(&self, command: &str) -> Result<String> {
        let output = self.guest.ssh(ADDRESS, self.key, command)?;
        ensure!(
            output.code == 0,
            "`{command}` ended with {}: {}{}",
            output.code,
            output.stdout,
            output.stderr
        );
        Ok(output.stdout.trim().to_owned())
    }

    /// A command's output must be exactly `wanted`.
    pub fn equals(&self, command: &str, wanted: &str) -> Result<()> {
        let found = self.ask(command)?;
        ensure!(found == wanted, "`{command}`: found {found:?}, wanted {wanted:?}");
        Ok(())
    }

    /// A command's output must contain `wanted`.
    pub fn contains(&self, command: &str, wanted: &str) -> Result<()> {
        let found = self.ask(command)?;
        ensure!(found.contains(wanted), "`{command}`: found {found:?}, wanted {wanted:?} in it");
        Ok(())
    }
}

/// Waits until the first boot has done its work: the node answers and says that it is done.
pub fn settled(road: &Road, guest: &mut Guest) -> Result<()> {
    let status = guest.wait("status done over ssh", BOOT, |guest| {
        let output = guest.ssh(ADDRESS, &road.site.key, "cias status --json")?;
        let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        Ok((json["state"] == "done").then_some(output.stdout))
    })?;
    eprintln!("lab: {}", status.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(())
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

/// The SHA-256 of a file, byte for byte.
pub fn fingerprint(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    std::io::copy(&mut file, &mut hash).with_context(|| format!("reading {}", path.display()))?;
    Ok(hash.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}
