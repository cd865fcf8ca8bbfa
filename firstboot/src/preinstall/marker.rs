//! Looks for finished installations of this product on a disk, without changing a byte of it.
//!
//! The marker is the last thing that is written to the target, so a half-installed disk has none. It lies on the boot
//! partition, a plain file system that no LVM has to be started for. Anybody may have written that file system: nothing on it
//! is followed, waited for, or shown as it stands.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use nix::fcntl::OFlag;

use super::turn::Turn;
use crate::facts::disks::Disk;
use crate::files;
use crate::outcome::Class;
use crate::runner::Call;
use crate::signatures::Kind;
use crate::system::System;

/// Name of the marker without the build id that follows.
pub const PREFIX: &str = "cias-installed-";

/// A marker is smaller, in bytes.
const LARGEST: u64 = 4096;

/// The longest build or site that is shown.
const LONGEST: usize = 64;

/// So many installations on one disk are shown; more than one is rare.
const SHOWN: usize = 4;

/// So many are counted: memory ends somewhere.
const MOST: usize = 10_000;

/// A finished installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The build that made it, if its name is a plain one.
    pub build: Option<String>,
    /// The site that it belongs to, if its marker can be read.
    pub site: Option<String>,
}

impl std::fmt::Display for Installation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.build {
            Some(build) => write!(out, "the build {build}")?,
            None => write!(out, "a build without a plain name")?,
        }
        self.site.as_ref().map_or(Ok(()), |site| write!(out, " of the site {site:?}"))
    }
}

/// What the look at one disk brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The finished installations on it.
    pub installed: Vec<Installation>,
    /// Why nobody knows whether there are more.
    pub doubt: Option<String>,
}

impl Look {
    /// What is said about the disk; nothing if it carries no installation.
    pub fn describe(&self) -> Option<String> {
        let mut names: Vec<String> = self.installed.iter().take(SHOWN).map(ToString::to_string).collect();
        if self.installed.len() > SHOWN {
            names.push(format!("{} more", self.installed.len() - SHOWN));
        }
        let found = format!("the finished installation of {}", names.join(" and "));
        match &self.doubt {
            None => Some(found).filter(|_| !names.is_empty()),
            Some(doubt) if names.is_empty() => Some(format!("perhaps a finished installation ({doubt})")),
            Some(doubt) => Some(format!("{found}, and perhaps more ({doubt})")),
        }
    }
}

/// Looks at the disk.
pub fn find(system: &System, disk: &Disk, turn: &Turn) -> Result<Look> {
    let folder = turn.folder();
    let whole = disk.contents.signatures().iter().map(|found| (&disk.path, found.kind));
    let parts = disk
        .partitions
        .iter()
        .flat_map(|part| part.contents.signatures().iter().map(move |found| (&part.path, found.kind)));
    let mut all = Look::default();
    for (device, kind) in whole.chain(parts) {
        // Without `noload` the journal would be replayed, which writes even when mounted read-only.
        let (kind, options) = match kind {
            Kind::Ext2 => ("ext2", "ro,nodev,nosuid,noexec"),
            Kind::Ext3 => ("ext3", "ro,noload,nodev,nosuid,noexec"),
            Kind::Ext4 => ("ext4", "ro,noload,nodev,nosuid,noexec"),
            _ => continue,
        };
        files::make_folder(folder, 0o700)?;
        let target = folder.to_string_lossy();
        let mount = Call::new("mount").args(["-n", "-t", kind, "-o", options]);
        let mount = mount.arg(device.to_string_lossy()).arg(&*target);
        match system.runner.outcome(&mount) {
            Ok(output) if output.code == 0 => {}
            Ok(output) => {
                // A broken file system is what an interrupted installation leaves behind; it carries no marker. One that
                // is in use may.
                let why = output.complaint();
                system.log.say(&format!("{} can't be looked into: {why}", device.display()));
                if why.contains("busy") {
                    all.doubt = Some(format!("{} is busy", device.display()));
                }
                continue;
            }
            Err(error) => {
                turn.tidy()?;
                // A disk that answers too late is one disk's matter, all else is that of the whole look.
                if Class::of(&error) != Class::Failed {
                    return Err(error);
                }
                all.doubt = Some(format!("{} can't be looked into: {error:#}", device.display()));
                continue;
            }
        }
        let doubt = [folder.to_owned(), folder.join("boot")]
            .iter()
            .find_map(|folder| markers(folder, &mut all.installed).err());
        turn.take_off()?;
        if let Some(error) = doubt {
            all.doubt = Some(format!("{} can't be searched: {error}", device.display()));
        }
    }
    Ok(all)
}

/// Adds the installations whose markers lie in `folder`, if that is a folder and no link to one.
fn markers(folder: &Path, found: &mut Vec<Installation>) -> std::io::Result<()> {
    match std::fs::symlink_metadata(folder) {
        Ok(folder) if folder.is_dir() => {}
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => return Ok(()),
    }
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let Some(build) = name.strip_prefix(PREFIX) else { continue };
        if found.len() == MOST {
            return Err(std::io::Error::other(format!("it holds more than {MOST} markers")));
        }
        // Names alone are kept of the many that nobody will be shown, so that this build's own is found among them.
        let site = (found.len() < SHOWN).then(|| site_of(&folder.join(&*name))).flatten();
        found.push(Installation { build: plain(build), site });
    }
    Ok(())
}

/// The site in a marker.
fn site_of(marker: &Path) -> Option<String> {
    // A pipe would wait for its writer, a device would do who knows what, and a link leads out of the disk.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file: File = OpenOptions::new().read(true).custom_flags(flags.bits()).open(marker).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    plain(json["site"].as_str()?)
}

/// A word that can be shown as it is: it comes from a disk that anybody may have written.
fn plain(word: &str) -> Option<String> {
    let fit = !word.trim().is_empty()
        && word.len() <= LONGEST
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_. ".contains(c));
    fit.then(|| word.to_owned())
}
