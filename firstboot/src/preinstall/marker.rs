//! Looks for finished installations of this product on a disk, without changing a byte of it.
//!
//! The marker is the last thing that is written to the target, so a half-installed disk has none. It lies on the boot
//! partition, a plain file system that no LVM has to be started for.

use std::path::Path;

use anyhow::{Context, Result};

use crate::facts::disks::Disk;
use crate::files;
use crate::outcome::Class;
use crate::runner::Call;
use crate::signatures::Kind;
use crate::system::System;

/// Name of the marker without the build id that follows.
pub const PREFIX: &str = "cias-installed-";

/// A finished installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The build that made it.
    pub build: String,
    /// The site that it belongs to, if its marker can be read.
    pub site: Option<String>,
}

impl std::fmt::Display for Installation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "the build {}", self.build)?;
        self.site.as_ref().map_or(Ok(()), |site| write!(out, " of the site {site:?}"))
    }
}

/// The finished installations on the disk. `folder` is where its file systems are mounted for the look.
pub fn find(system: &System, disk: &Disk, folder: &Path) -> Result<Vec<Installation>> {
    let whole = disk.contents.signatures().iter().map(|found| (&disk.path, found.kind));
    let parts = disk
        .partitions
        .iter()
        .flat_map(|part| part.contents.signatures().iter().map(move |found| (&part.path, found.kind)));
    let mut all = Vec::new();
    for (device, kind) in whole.chain(parts) {
        // Without `noload` the journal would be replayed, which writes even when mounted read-only.
        let (kind, options) = match kind {
            Kind::Ext2 => ("ext2", "ro"),
            Kind::Ext3 => ("ext3", "ro,noload"),
            Kind::Ext4 => ("ext4", "ro,noload"),
            _ => continue,
        };
        files::make_folder(folder, 0o700)?;
        let target = folder.to_string_lossy();
        let mount = Call::new("mount").args(["-n", "-t", kind, "-o", options]);
        let mounted = system.runner.run(&mount.arg(device.to_string_lossy()).arg(&*target));
        if let Err(error) = mounted {
            // A broken file system is what an interrupted installation leaves behind; it carries no marker.
            system.log.say(&format!("{} can't be looked into: {error:#}", device.display()));
            continue;
        }
        let found = markers(folder).and_then(|mut found| {
            found.extend(markers(&folder.join("boot"))?);
            Ok(found)
        });
        system.runner.run(&Call::new("umount").args(["-n", &*target])).map_err(|error| {
            Class::Refused.error(format!("{} does not come off {target}: {error:#}", device.display()))
        })?;
        all.extend(found?);
    }
    Ok(all)
}

fn markers(folder: &Path) -> Result<Vec<Installation>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("reading {}", folder.display()))?,
    };
    // Names that can't be read are not ours, and a broken folder must not stop an installation afresh.
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let found = names.filter_map(|name| {
        let build = name.strip_prefix(PREFIX)?.to_owned();
        Some(Installation { build, site: site_of(&folder.join(&name)) })
    });
    Ok(found.collect())
}

/// The name in a marker; it comes from a disk that anybody may have written, so only plain words of it are shown.
fn site_of(marker: &Path) -> Option<String> {
    let text = std::fs::read_to_string(marker).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    let site = json["site"].as_str()?;
    let plain = site.len() <= 64 && site.chars().all(|c| c.is_ascii_alphanumeric() || "-_. ".contains(c));
    plain.then(|| site.to_owned())
}
