//! Somebody on the segment who tries the enrolment's door.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cias_firstboot::files;
use cias_firstboot::runner::{Call, Host, Output, Runner};
use toml_edit::DocumentMut;

use super::Lab;
use super::fleet::Fleet;
use super::road;
use crate::site::LabSite;

/// The enrolment's port, by the site.
const PORT: &str = "7322";

/// What a shell would print of [`SHELL`]; an echo of it would not.
const MARK: &str = "LAB-42";
const SHELL: &str = "echo LAB-$((6*7))\n";

/// A key of the site's installation, which its medium carries.
pub struct Keys {
    /// The join key.
    pub join: PathBuf,
    /// A key that nobody knows.
    pub wrong: PathBuf,
}

impl Keys {
    /// Takes the join key from the lab's site, and makes another.
    pub fn make(lab: &Lab, folder: &Path) -> Result<Self> {
        let keys = Self { join: folder.join("join-key"), wrong: folder.join("wrong-key") };
        files::write(&keys.join, join_key(lab)?, 0o600)?;
        for old in [keys.wrong.clone(), folder.join("wrong-key.pub")] {
            files::remove(&old)?;
        }
        let wrong = keys.wrong.display().to_string();
        let call = Call::new("ssh-keygen").args(["-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", &wrong]);
        Host::unchecked(|_| ()).run(&call)?;
        Ok(keys)
    }
}

/// The private key that nodes of the lab's site join with, in PEM form.
pub fn join_key(lab: &Lab) -> Result<String> {
    let file = LabSite::in_folder(&road::installation(lab)?).file;
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let document: DocumentMut = text.parse().context("parsing the lab's site")?;
    let key =
        document["site"]["secrets"]["join_key"].as_str().context("looking for site.secrets.join_key")?;
    Ok(key.to_owned())
}

/// Tries everything at the enrolment's port at `address`, and the join key at the usual one. Nothing may come of it.
pub fn is_kept_out(fleet: &Fleet, keys: &Keys, address: &str) -> Result<()> {
    let (join, wrong) = (&keys.join, &keys.wrong);
    // It is there, and knows the one key: else all that follows shows nothing.
    let door = attempt(fleet, join, PORT, &[], address, &["true"], "")?;
    ensure!(
        !door.stderr.contains("refused") && !door.stderr.contains("denied"),
        "the join key found {door:?}"
    );
    // A shell would be seen: with root's key at the usual port there is one.
    let shell = attempt(fleet, &fleet.key, "22", &[], address, &[], SHELL)?;
    ensure!(shell.stdout.contains(MARK), "found {shell:?}, wanted {MARK} from a shell");
    for (what, key, port, options, words, stdin) in [
        ("a wrong key", wrong, PORT, &[][..], &["true"][..], ""),
        ("the join key at the usual port", join, "22", &[], &["true"], ""),
        ("a command", join, PORT, &[], &["sh", "-c", "'echo LAB-$((6*7))'"], ""),
        ("a shell", join, PORT, &[], &[], SHELL),
        ("a terminal", join, PORT, &["-tt"], &[], SHELL),
        ("forwarding to the usual port", join, PORT, &["-W", "127.0.0.1:22"], &[], ""),
        ("files", join, PORT, &["-s"], &["sftp"], "\0\0\0\x05\x01\0\0\0\x03"),
    ] {
        let found = attempt(fleet, key, port, options, address, words, stdin)?;
        let inside =
            found.stdout.contains(MARK) || found.stdout.contains("SSH-2.0") || found.stdout.starts_with('\0');
        // Whatever is asked for with the join key, the enrolment is what runs, and it ends quietly when nobody speaks to it.
        ensure!(!inside, "{what}: found {found:?}, wanted a refusal");
        let is_key = what.contains("key");
        ensure!(
            !is_key || found.stderr.contains("Permission denied"),
            "{what}: found {found:?}, wanted a denial"
        );
    }
    Ok(())
}

/// What the enrolment at `address` answers to whoever has the join key and says `line`.
pub fn says(fleet: &Fleet, keys: &Keys, address: &str, line: &str) -> Result<String> {
    attempt(fleet, &keys.join, PORT, &[], address, &["true"], line).map(|output| output.stdout)
}

fn attempt(
    fleet: &Fleet,
    key: &Path,
    port: &str,
    options: &[&str],
    address: &str,
    words: &[&str],
    stdin: &str,
) -> Result<Output> {
    let mut call = Call::new("ssh").args(["-p", port, "-i", &key.display().to_string()]);
    for option in [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "ConnectTimeout=30",
        "LogLevel=ERROR",
    ] {
        call = call.args(["-o", option]);
    }
    let call = call.args(options.iter().copied()).arg(format!("root@{address}")).args(words.iter().copied());
    fleet.net.outcome(&call.stdin(stdin).limit(Duration::from_mins(2)))
}
