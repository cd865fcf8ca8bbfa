//! The truth table: what happens to one disk. Pure, and in doubt it refuses. docs/disks.md shows it.

use std::path::Path;

use super::owner::is_ours;
use crate::facts::disks::{Contents, Disk, human};
use crate::preinstall::choose::matches;
use crate::preinstall::guards::shared;
use crate::signatures::{Kind, Signature};
use crate::site;

/// What the label of our file systems begins with; the name below `/data` follows.
pub const LABEL: &str = "cias-";

/// The smallest disk that is worth a file system, in bytes.
pub const SMALLEST: u64 = 1 << 30;

/// The largest file system that ext3 can be, in bytes: 2^32 blocks of 4 KiB.
pub const LARGEST: u64 = 1 << 44;

/// What may be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wipe {
    /// Nothing: only disks without any data.
    Blank,
    /// File systems and unknown data, but no member of anything.
    Foreign,
    /// Also members of arrays, groups and pools that are not running.
    All,
}

/// What the site, and the node's fstab, say about data disks.
#[derive(Clone)]
pub struct Policy {
    /// What may be overwritten.
    pub wipe: Wipe,
    /// Models that are data disks; none means all.
    pub models: Vec<String>,
    /// The site's key, by which our file systems are known.
    pub key: String,
    /// UUIDs of the file systems that this node mounts below `/data`; they stay ours when the key changes.
    pub known: Vec<String>,
    /// What the node's fstab mounts elsewhere: the first field of each such line.
    pub listed: Vec<String>,
}

impl Policy {
    /// The site's policy. An unknown word, which the site's own check refuses, counts as the careful one.
    pub fn of(disks: &site::Disks, key: &str, known: Vec<String>, listed: Vec<String>) -> Self {
        let wipe = match disks.wipe.as_str() {
            "all" => Wipe::All,
            "foreign" => Wipe::Foreign,
            _ => Wipe::Blank,
        };
        Self { wipe, models: disks.models.clone(), key: key.to_owned(), known, listed }
    }

    /// The field of fstab that means the disk or a part of it.
    fn listed(&self, disk: &Disk) -> Option<&String> {
        let parts = disk.partitions.iter().map(|part| part.path.as_path());
        let paths: Vec<&Path> = parts.chain([disk.path.as_path()]).collect();
        let same = |mine: &Option<String>, wanted: &str| {
            mine.as_deref().is_some_and(|mine| mine.eq_ignore_ascii_case(wanted))
        };
        self.listed.iter().find(|field| {
            let plain = field.replace('"', "").replace("\\040", " ");
            match plain.split_once('=') {
                Some(("UUID", uuid)) => disk.signatures().any(|found| same(&found.uuid, uuid)),
                Some(("LABEL", label)) => {
                    disk.signatures().any(|found| found.label.as_deref() == Some(label))
                }
                _ => paths.contains(&Path::new(&plain)),
            }
        })
    }

    fn wants(&self, disk: &Disk) -> bool {
        let model = disk.model.as_deref().unwrap_or_default();
        self.models.is_empty() || self.models.iter().any(|pattern| matches(pattern, model))
    }
}

/// What happens to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gets a new file system.
    Format,
    /// It carries one of ours, which is mounted as it is.
    Reuse {
        /// Of the file system.
        uuid: String,
        /// Of the file system.
        label: String,
    },
    /// It is left alone, for this reason.
    Refuse(String),
    /// It is the system's, which nobody needs to be told.
    System,
}

/// Decides about `disk`, one of `all`. `begun` says that we were formatting it when the power went.
pub fn decide(disk: &Disk, all: &[Disk], policy: &Policy, begun: bool) -> Verdict {
    if disk.system {
        return Verdict::System;
    }
    if let Some(reason) = never(disk, all) {
        return Verdict::Refuse(reason);
    }
    if let Some(verdict) = ours(disk, policy, begun) {
        return verdict;
    }
    if let Some(reason) = not_to_format(disk, all, policy) {
        return Verdict::Refuse(reason);
    }
    let found: Vec<&Signature> = disk.signatures().collect();
    if found.is_empty() && disk.partitions.is_empty() || begun && found.iter().all(|it| half_made(it, policy))
    {
        return Verdict::Format;
    }
    let seen: Vec<String> = found.iter().map(ToString::to_string).collect();
    let seen = if seen.is_empty() { "partitions".to_owned() } else { seen.join(", ") };
    let member = found.iter().any(|signature| signature.is_member());
    match (policy.wipe, member) {
        (Wipe::All, _) | (Wipe::Foreign, false) => Verdict::Format,
        (Wipe::Foreign, true) => Verdict::Refuse(format!(
            "it belongs to something ({seen}); disks.wipe = \"all\" would overwrite it"
        )),
        (Wipe::Blank, _) => {
            let word = if member { "all" } else { "foreign" };
            Verdict::Refuse(format!("it is not blank ({seen}); disks.wipe = {word:?} would overwrite it"))
        }
    }
}

/// Reasons that no policy changes, neither for formatting nor for mounting.
fn never(disk: &Disk, all: &[Disk]) -> Option<String> {
    let others = || all.iter().filter(|other| other.path != disk.path);
    let same_unit = |other: &&Disk| other.may_be(disk);
    let same_system = |other: &&Disk| match (own_system(disk), own_system(other)) {
        (Some((mine, _)), Some((theirs, _))) => mine == theirs,
        _ => false,
    };
    if disk.boot_medium {
        Some("it is the medium that the installation came from, or carries an ISO image".into())
    } else if disk.removable {
        Some("it is removable or on USB".into())
    } else if disk.networked {
        Some("it is reached over iSCSI or Fibre Channel: other servers may use it".into())
    } else if disk.read_only {
        Some("it is read-only".into())
    } else if disk.swap {
        Some("it is in use as swap space".into())
    } else if !disk.holders.is_empty() {
        Some(format!("it is in use by {}", disk.holders.join(", ")))
    } else if let Some(point) = disk.mounts.iter().find(|point| !point.starts_with("/data/")) {
        Some(format!("it is mounted at {point}"))
    } else if let Contents::Unreadable(why) = &disk.contents {
        Some(format!("it can't be read ({why}): replace it"))
    } else if let Some((path, why)) = disk.unreadable_partition() {
        Some(format!("{} can't be read ({why}): replace the disk", path.display()))
    } else if let Some(other) = others().find(same_unit) {
        let other = other.path.display();
        Some(format!(
            "{other} has the same serial number or world wide name: they may be two ways to one disk"
        ))
    } else if let Some(other) = others().find(same_system) {
        Some(format!("{} carries the same file system: one is a copy of the other", other.path.display()))
    } else if disk.size < SMALLEST {
        Some(format!("it has {}, wanted at least {}", human(disk.size), human(SMALLEST)))
    } else {
        None
    }
}

/// The verdict about a file system of ours; nothing if there is none.
fn ours(disk: &Disk, policy: &Policy, begun: bool) -> Option<Verdict> {
    let (uuid, label) = own_system(disk)?;
    let known = policy.known.contains(&uuid);
    // It is in fstab only once mkfs has come to its end. Before that it may be whole in looks alone: its superblock can
    // reach the disk before what it describes.
    if begun && !known && disk.mounts.is_empty() {
        return None;
    }
    (known || is_ours(&policy.key, &uuid)).then_some(Verdict::Reuse { uuid, label })
}

/// Reasons against formatting.
fn not_to_format(disk: &Disk, all: &[Disk], policy: &Policy) -> Option<String> {
    let torn = |other: &&Disk| {
        let kept = other.in_use() || never(other, all).is_some() || !policy.wants(other);
        kept && disk.signatures().any(|mine| other.signatures().any(|theirs| shared(mine, theirs).is_some()))
    };
    if let Some(point) = disk.mounts.first() {
        Some(format!("it is mounted at {point}"))
    } else if let Some(field) = policy.listed(disk) {
        Some(format!("/etc/fstab has another use for it ({field})"))
    } else if !policy.wants(disk) {
        Some(format!("its model {:?} is not in disks.match", disk.model.as_deref().unwrap_or_default()))
    } else if disk.size > LARGEST {
        Some(format!("it has {}, and ext3 takes at most {}", human(disk.size), human(LARGEST)))
    } else {
        let other = all.iter().filter(|other| other.path != disk.path).find(torn)?;
        Some(format!("it belongs together with {}, which stays as it is", other.path.display()))
    }
}

/// What an interrupted mkfs leaves: bytes here and there, or our file system.
fn half_made(found: &Signature, policy: &Policy) -> bool {
    found.kind == Kind::Unknown || found.uuid.as_ref().is_some_and(|uuid| is_ours(&policy.key, uuid))
}

/// UUID and label of an ext3 file system with a label like ours, if that is all that the disk carries.
fn own_system(disk: &Disk) -> Option<(String, String)> {
    match disk.contents.signatures() {
        [Signature { kind: Kind::Ext3, uuid: Some(uuid), label: Some(label), .. }]
            if disk.partitions.is_empty() && label.starts_with(LABEL) =>
        {
            Some((uuid.clone(), label.clone()))
        }
        _ => None,
    }
}
