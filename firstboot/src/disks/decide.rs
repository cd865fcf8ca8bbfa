//! The truth table: what happens to one disk. Pure, and in doubt it refuses.

use crate::facts::disks::{Contents, Disk, human};
use crate::preinstall::choose::matches;
use crate::signatures::{Kind, Signature};
use crate::site;

/// What the label of our file systems begins with; the name below `/data` follows.
pub const LABEL: &str = "cias-";

/// The smallest disk that is worth a file system, in bytes.
pub const SMALLEST: u64 = 1 << 30;

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

/// What the site says about data disks.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What may be overwritten.
    pub wipe: Wipe,
    /// Models that are data disks; none means all.
    pub models: Vec<String>,
}

impl Policy {
    /// The site's policy. An unknown word, which the site's own check refuses, counts as the careful one.
    pub fn of(disks: &site::Disks) -> Self {
        let wipe = match disks.wipe.as_str() {
            "all" => Wipe::All,
            "foreign" => Wipe::Foreign,
            _ => Wipe::Blank,
        };
        Self { wipe, models: disks.models.clone() }
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
    let found = match &disk.contents {
        Contents::Unreadable(why) => return Verdict::Refuse(format!("it can't be read ({why}): replace it")),
        Contents::Read(found) => found,
    };
    let (ours, elsewhere) = (ours(found), mounted_elsewhere(disk));
    if let (Some((uuid, label)), None) = (&ours, elsewhere) {
        return Verdict::Reuse { uuid: uuid.clone(), label: label.clone() };
    }
    if let Some(point) = disk.mounts.first() {
        return Verdict::Refuse(format!("it is mounted at {point}"));
    }
    if !policy.models.is_empty() {
        let model = disk.model.as_deref().unwrap_or_default();
        if !policy.models.iter().any(|pattern| matches(pattern, model)) {
            return Verdict::Refuse(format!("its model {model:?} is not in disks.match"));
        }
    }
    let all: Vec<&Signature> = disk.signatures().collect();
    if begun || all.is_empty() && disk.partitions.is_empty() {
        return Verdict::Format;
    }
    let seen: Vec<String> = all.iter().map(|signature| format!("{:?}", signature.kind)).collect();
    let seen = if seen.is_empty() { "partitions".to_owned() } else { seen.join(", ") };
    let member = all.iter().any(|signature| signature.kind.is_member());
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

/// What no policy changes.
fn never(disk: &Disk, all: &[Disk]) -> Option<String> {
    let twin =
        |other: &&Disk| other.path != disk.path && disk.serial.is_some() && other.serial == disk.serial;
    if disk.boot_medium {
        Some("it is the medium that the installation came from".into())
    } else if disk.removable {
        Some("it is removable".into())
    } else if disk.read_only {
        Some("it is read-only".into())
    } else if disk.swap {
        Some("it is in use as swap space".into())
    } else if !disk.holders.is_empty() {
        Some(format!("it is in use by {}", disk.holders.join(", ")))
    } else if let Some(other) = all.iter().find(twin) {
        let other = other.path.display();
        Some(format!("{other} has the same serial number: they may be two ways to one disk"))
    } else if disk.size < SMALLEST {
        Some(format!("it has {}, wanted at least {}", human(disk.size), human(SMALLEST)))
    } else {
        None
    }
}

/// UUID and label of our file system, if that is all that the disk carries.
fn ours(found: &[Signature]) -> Option<(String, String)> {
    match found {
        [Signature { kind: Kind::Ext3, uuid: Some(uuid), label: Some(label), .. }]
            if label.starts_with(LABEL) =>
        {
            Some((uuid.clone(), label.clone()))
        }
        _ => None,
    }
}

fn mounted_elsewhere(disk: &Disk) -> Option<&String> {
    disk.mounts.iter().find(|point| !point.starts_with("/data/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::disks::testing::{disk, member, partition, signature};

    const ALL: [Wipe; 3] = [Wipe::Blank, Wipe::Foreign, Wipe::All];

    fn policy(wipe: Wipe) -> Policy {
        Policy { wipe, models: Vec::new() }
    }

    fn with(found: Vec<Signature>) -> Disk {
        Disk { contents: Contents::Read(found), ..disk("sdb", 8) }
    }

    fn own(label: &str) -> Signature {
        Signature { uuid: Some("u".into()), label: Some(label.into()), ..signature(Kind::Ext3) }
    }

    /// F formats, u reuses, r refuses, s is the system's: for the policies blank, foreign and all.
    #[test]
    fn the_truth_table() {
        let base = || disk("sdb", 8);
        let foreign = || with(vec![signature(Kind::Xfs)]);
        for (what, disk, wanted) in [
            ("blank", base(), "FFF"),
            ("our ext3", with(vec![own("cias-disk1")]), "uuu"),
            (
                "our ext3, mounted by us",
                Disk { mounts: vec!["/data/disk1".into()], ..with(vec![own("cias-disk1")]) },
                "uuu",
            ),
            (
                "our ext3, mounted elsewhere",
                Disk { mounts: vec!["/mnt".into()], ..with(vec![own("cias-disk1")]) },
                "rrr",
            ),
            ("foreign ext3", with(vec![own("backup")]), "rFF"),
            ("ext3 without a label", with(vec![signature(Kind::Ext3)]), "rFF"),
            ("our ext3 and something else", with(vec![own("cias-disk1"), signature(Kind::Zfs)]), "rrF"),
            ("xfs", foreign(), "rFF"),
            ("ntfs", with(vec![signature(Kind::Ntfs)]), "rFF"),
            ("unknown bytes", with(vec![signature(Kind::Unknown)]), "rFF"),
            ("GPT at the end only", with(vec![signature(Kind::Gpt)]), "rFF"),
            (
                "partitions without a signature",
                Disk { partitions: vec![partition("sdb1", Vec::new())], ..base() },
                "rFF",
            ),
            ("md member", with(vec![member(Kind::MdRaid, "md0", "a")]), "rrF"),
            ("LVM, not running", with(vec![member(Kind::LvmPv, "vg", "a")]), "rrF"),
            (
                "LVM in a partition",
                Disk { partitions: vec![partition("sdb1", vec![signature(Kind::LvmPv)])], ..base() },
                "rrF",
            ),
            (
                "LVM, running",
                Disk { holders: vec!["dm-0".into()], ..with(vec![member(Kind::LvmPv, "vg", "a")]) },
                "rrr",
            ),
            ("ZFS label", with(vec![signature(Kind::Zfs)]), "rrF"),
            ("LUKS", with(vec![signature(Kind::Luks)]), "rrF"),
            ("mounted", Disk { mounts: vec!["/srv".into()], ..foreign() }, "rrr"),
            ("swap in use", Disk { swap: true, ..with(vec![signature(Kind::Swap)]) }, "rrr"),
            ("swap, not in use", with(vec![signature(Kind::Swap)]), "rFF"),
            ("removable", Disk { removable: true, ..base() }, "rrr"),
            ("read-only", Disk { read_only: true, ..base() }, "rrr"),
            ("boot medium", Disk { boot_medium: true, ..base() }, "rrr"),
            ("system", Disk { system: true, ..foreign() }, "sss"),
            ("too small", Disk { size: SMALLEST - 1, ..base() }, "rrr"),
            ("read errors", Disk { contents: Contents::Unreadable("EIO".into()), ..base() }, "rrr"),
        ] {
            let found: String = ALL
                .iter()
                .map(|wipe| match decide(&disk, std::slice::from_ref(&disk), &policy(*wipe), false) {
                    Verdict::Format => 'F',
                    Verdict::Reuse { .. } => 'u',
                    Verdict::Refuse(_) => 'r',
                    Verdict::System => 's',
                })
                .collect();
            assert_eq!(found, wanted, "{what}");
        }
    }

    #[test]
    fn two_disks_with_one_serial_number_are_both_refused() {
        let twin = |name: &str| Disk { serial: Some("S".into()), ..disk(name, 8) };
        let disks = [twin("sdb"), twin("sdc"), disk("sdd", 8), disk("sde", 8)];
        let formats = |disk: &Disk| decide(disk, &disks, &policy(Wipe::All), false) == Verdict::Format;
        assert_eq!(disks.iter().map(formats).collect::<Vec<_>>(), [false, false, true, true]);
    }

    #[test]
    fn models_narrow_what_is_formatted() {
        let disk = Disk { model: Some("WDC RED 4TB".into()), ..disk("sdb", 8) };
        for (pattern, formats) in [("WDC*", true), ("*RED*", true), ("Seagate*", false)] {
            let policy = Policy { wipe: Wipe::Blank, models: vec![pattern.into()] };
            let verdict = decide(&disk, std::slice::from_ref(&disk), &policy, false);
            assert_eq!(verdict == Verdict::Format, formats, "{pattern}");
        }
    }

    /// Whatever a disk is, in use it is never written; every combination of the facts is tried.
    #[test]
    fn what_is_in_use_is_never_written() {
        for bits in 0_u32..1 << 9 {
            let is = |bit: u32| bits >> bit & 1 == 1;
            let some = |bit: u32, text: &str| if is(bit) { vec![text.to_owned()] } else { Vec::new() };
            let found = if is(6) { vec![signature(Kind::LvmPv)] } else { Vec::new() };
            let disk = Disk {
                system: is(0),
                boot_medium: is(1),
                swap: is(2),
                read_only: is(3),
                mounts: some(4, "/srv"),
                holders: some(5, "dm-0"),
                removable: is(7),
                ..with(found)
            };
            let untouchable = bits & 0b1011_1111 != 0;
            for wipe in ALL {
                let verdict = decide(&disk, std::slice::from_ref(&disk), &policy(wipe), is(8));
                assert!(!untouchable || verdict != Verdict::Format, "{disk:?} {wipe:?}");
            }
        }
    }
}
