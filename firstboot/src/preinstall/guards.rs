//! What stops the installation although the disk itself is fit: damage beyond it, or an installation on it. Pure.

use anyhow::Result;

use super::marker::Look;
use crate::facts::disks::Disk;
use crate::outcome::Class;
use crate::signatures::{Kind, Signature};

/// The volume group that the vendor's installer creates; a second one of that name cannot be.
const VENDORS_GROUP: &str = "pve";

/// Refuses if clearing `disk` would damage something on another disk, or if the vendor's installer would fail later.
pub fn guard(disk: &Disk, all: &[Disk]) -> Result<()> {
    let here = disk.path.display();
    for other in all.iter().filter(|other| other.name != disk.name) {
        let there = other.path.display();
        for (mine, theirs) in disk.signatures().flat_map(|mine| other.signatures().map(move |it| (mine, it)))
        {
            if let Some(name) = shared(mine, theirs) {
                return Err(Class::Refused.error(format!(
                    "{here} carries {mine} of {name}, which has another member on {there}: nothing was written; \
                     take {there} out or clear both by hand, then start again"
                )));
            }
        }
        if let Some(found) = other.signatures().find(|found| found.kind == Kind::LvmPv && of_vendor(found)) {
            return Err(Class::Refused.error(format!(
                "{there} carries {found}, and the system's own volume group must have that name: nothing was \
                 written; take {there} out or clear it by hand, then start again"
            )));
        }
    }
    Ok(())
}

fn of_vendor(found: &Signature) -> bool {
    found.group.as_ref().is_some_and(|group| group.name == VENDORS_GROUP)
}

/// What both are members of, if it is one thing. Pools and firmware arrays whose id is not read count as one.
pub fn shared(mine: &Signature, theirs: &Signature) -> Option<String> {
    if mine.kind != theirs.kind {
        return None;
    }
    match (&mine.group, &theirs.group) {
        (Some(a), Some(b)) if a.id == b.id => {
            Some(if a.name.is_empty() { a.id.clone() } else { a.name.clone() })
        }
        (None, None) if matches!(mine.kind, Kind::Zfs | Kind::FirmwareRaid) => Some("a set".into()),
        _ => None,
    }
}

/// Judges the output of `vgs -o vg_name,pv_name` (one `GROUP,DEVICE` in each line), which sees also what stands on RAID,
/// where no signature shows. Returns the groups on the disk, which must be stopped before it is cleared.
///
/// Refuses groups that lie on this disk and elsewhere, and one of the vendor's name elsewhere.
pub fn guard_groups(disk: &Disk, vgs: &str) -> Result<Vec<String>> {
    let held = disk.holders.iter().map(|name| format!("/dev/{name}"));
    let own: Vec<String> = std::iter::once(disk.path.to_string_lossy().into_owned())
        .chain(disk.partitions.iter().map(|part| part.path.to_string_lossy().into_owned()))
        .chain(held)
        .collect();
    let rows: Vec<(&str, &str)> = vgs.lines().filter_map(|line| line.trim().split_once(',')).collect();
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(_, device)| own.iter().any(|path| path == device));
    for (group, device) in elsewhere {
        let advice =
            "nothing was written; take its disks out or rename it by hand (vgrename), then start again";
        if group == VENDORS_GROUP {
            return Err(Class::Refused.error(format!(
                "{device} belongs to a volume group {group:?}, and the system's own must have that name: {advice}"
            )));
        }
        // A missing physical volume has no device; what is not there can't be damaged.
        if device.starts_with('/') && here.iter().any(|(name, _)| *name == group) {
            return Err(Class::Refused.error(format!(
                "the volume group {group:?} lies on {} and on {device}: {advice}",
                disk.path.display()
            )));
        }
    }
    let mut groups: Vec<String> = here.into_iter().map(|(name, _)| name.to_owned()).collect();
    groups.dedup();
    Ok(groups)
}

/// Refuses, unless the kernel line has `cias.reinstall`, a disk with a finished installation of this product, or with
/// perhaps one, and any disk at all when the server was installed by this very build already. `found` is what was found on
/// each disk.
pub fn guard_installation(
    disk: &Disk,
    found: &[(Disk, Look)],
    build_id: &str,
    reinstall: bool,
) -> Result<()> {
    let is_this = |look: &Look| look.installed.iter().any(|it| it.build.as_deref() == Some(build_id));
    let same = found.iter().find(|(_, look)| is_this(look));
    let here = || found.iter().find(|(carrier, _)| carrier.name == disk.name)?.1.describe();
    let (carrier, what) = match (same, here()) {
        (Some((carrier, _)), _) => (carrier, "the finished installation of this very build".to_owned()),
        (None, Some(what)) => (disk, what),
        (None, None) => return Ok(()),
    };
    if reinstall {
        return Ok(());
    }
    Err(Class::Refused.error(format!(
        "{} carries {what}: nothing was written; take the medium out to start it, or type cias-reinstall at the prompt \
         \"boot:\" (the kernel word cias.reinstall) to install {} all the same",
        carrier.path.display(),
        disk.path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::disks::testing::{disk, member, partition};
    use crate::preinstall::marker::Installation;

    fn refused(disks: &[Disk], wanted: &str) {
        let error = guard(&disks[0], disks).unwrap_err();
        assert_eq!(Class::of(&error), Class::Refused);
        assert!(error.to_string().contains(wanted), "{error}");
    }

    #[test]
    fn members_on_another_disk_stop_it() {
        for kind in [Kind::LvmPv, Kind::MdRaid] {
            let mut disks = [disk("sda", 10), disk("sdb", 10)];
            disks[0].partitions = vec![partition("sda2", vec![member(kind, "data", "id-1")])];
            assert!(guard(&disks[0], &disks).is_ok(), "alone on the disk");
            disks[1].partitions = vec![partition("sdb1", vec![member(kind, "data", "id-2")])];
            assert!(guard(&disks[0], &disks).is_ok(), "another group of that name");
            disks[1].partitions = vec![partition("sdb1", vec![member(kind, "data", "id-1")])];
            refused(&disks, "of data, which has another member on /dev/sdb");
        }
    }

    #[test]
    fn pools_whose_id_is_unknown_count_as_one() {
        let mut disks = [disk("sda", 10), disk("sdb", 10)];
        for disk in &mut disks {
            disk.partitions =
                vec![partition("x1", vec![Signature { group: None, ..member(Kind::Zfs, "", "") }])];
        }
        refused(&disks, "ZFS label of a set");
    }

    #[test]
    fn a_group_of_the_vendors_name_elsewhere_stops_it() {
        let mut disks = [disk("sda", 10), disk("sdb", 10)];
        disks[0].partitions = vec![partition("sda2", vec![member(Kind::LvmPv, "pve", "old")])];
        assert!(guard(&disks[0], &disks).is_ok(), "on the disk itself it is cleared");
        disks[1].partitions = vec![partition("sdb2", vec![member(Kind::LvmPv, "pve", "other")])];
        refused(&disks, "/dev/sdb carries LVM physical volume of \"pve\"");
    }

    #[test]
    fn groups_that_lvm_sees_are_stopped_or_stop_it() {
        let mut disk = disk("sda", 10);
        disk.partitions = vec![partition("sda2", Vec::new())];
        disk.holders = vec!["md0".into()];
        for (vgs, stopped) in [
            ("", Some(&[][..])),
            ("  pve,/dev/sda2\n", Some(&["pve"][..])),
            ("  old,/dev/md0\n  old,/dev/sda2\n", Some(&["old"][..])),
            ("  data,/dev/md1\n", Some(&[][..])),
            ("  data,/dev/sda2\n  data,unknown device\n", Some(&["data"][..])),
            ("  data,/dev/sda2\n  data,/dev/sdb1\n", None),
            ("  pve,/dev/sda2\n  pve,/dev/md1\n", None),
            ("  pve,/dev/sda21\n", None),
        ] {
            let found = guard_groups(&disk, vgs);
            assert_eq!(found.as_ref().ok().map(Vec::len), stopped.map(<[_]>::len), "{vgs:?}: {found:?}");
            match (found, stopped) {
                (Ok(found), Some(stopped)) => assert_eq!(found, stopped, "{vgs:?}"),
                (found, _) => assert_eq!(Class::of(&found.unwrap_err()), Class::Refused, "{vgs:?}"),
            }
        }
    }

    #[test]
    fn a_finished_installation_needs_the_word() {
        let (sda, sdb) = (disk("sda", 10), disk("sdb", 10));
        let look = |builds: &[&str], doubt: Option<&str>| {
            let installed =
                |build: &&str| Installation { build: Some((*build).into()), site: Some("X".into()) };
            Look { installed: builds.iter().map(installed).collect(), doubt: doubt.map(Into::into) }
        };
        let on = |disk: &Disk, builds: &[&str]| (disk.clone(), look(builds, None));
        let doubt = |disk: &Disk| (disk.clone(), look(&[], Some("EIO")));
        for (what, found, wanted) in [
            ("nothing anywhere", vec![], None),
            ("nothing found", vec![on(&sda, &[]), on(&sdb, &[])], None),
            (
                "this build here",
                vec![on(&sda, &["bb", "aa"])],
                Some("/dev/sda carries the finished installation of this very build"),
            ),
            ("another build here", vec![on(&sda, &["bb"])], Some("of the build bb of the site \"X\"")),
            ("nobody knows", vec![doubt(&sda)], Some("carries perhaps a finished installation (EIO)")),
            ("nobody knows of another disk", vec![doubt(&sdb)], None),
            (
                "this build on another disk",
                vec![on(&sdb, &["aa"])],
                Some("/dev/sdb carries the finished installation of this very build"),
            ),
            ("another build on another disk", vec![on(&sdb, &["bb"])], None),
        ] {
            let refused = guard_installation(&sda, &found, "aa", false).map_err(|error| {
                assert_eq!(Class::of(&error), Class::Refused);
                error.to_string()
            });
            match wanted {
                None => assert_eq!(refused, Ok(()), "{what}"),
                Some(wanted) => assert!(refused.unwrap_err().contains(wanted), "{what}"),
            }
            assert!(guard_installation(&sda, &found, "aa", true).is_ok(), "{what}");
        }
    }
}
