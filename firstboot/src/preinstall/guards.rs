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
    if !disk.together.is_empty() {
        let lie = if disk.holders.len() == 1 { "lies" } else { "lie" };
        return Err(Class::Refused.error(format!(
            "{here} is in use by {}, which {lie} on {}, too: nothing was stopped or written; take those out or stop it by \
             hand, then start again",
            disk.holders.join(", "),
            disk.together.join(", ")
        )));
    }
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
    missing_members(disk)
}

/// The other disks of a file system may lie in a drawer, and would be worth nothing without this one.
fn missing_members(disk: &Disk) -> Result<()> {
    let here = |id: &str| {
        let same = |found: &&Signature| found.group.as_ref().is_some_and(|group| group.id == id);
        disk.signatures().filter(same).count()
    };
    for found in disk.signatures() {
        let Some((group, wanted)) = found.group.as_ref().and_then(|group| Some((group, group.of?))) else {
            continue;
        };
        let count = here(&group.id);
        if wanted > count as u64 {
            return Err(Class::Refused.error(format!(
                "{} carries {found}, which lies on {wanted} disks or partitions, and only {count} of them is here: nothing \
                 was written; clear it by hand if nobody needs it, then start again",
                disk.path.display()
            )));
        }
    }
    Ok(())
}

/// Refuses what holds the disk and can't be stopped: of device mapper's only volumes of LVM can. `mapped` tells the UUID
/// that device mapper gave, which begins with what it is.
pub fn guard_holders(disk: &Disk, mapped: impl Fn(&str) -> Option<String>) -> Result<()> {
    let array = |name: &str| {
        name.strip_prefix("md").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '_'))
    };
    let volume = |name: &str| mapped(name).is_some_and(|uuid| uuid.starts_with("LVM-"));
    let Some(holder) = disk.holders.iter().find(|name| !array(name) && !volume(name)) else { return Ok(()) };
    Err(Class::Refused.error(format!(
        "{} is in use by {holder}, which this installer can't stop (it is neither an array nor a volume of LVM): nothing was \
         stopped or written; stop it by hand, then start again",
        disk.path.display()
    )))
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
        (Some(a), Some(b)) if mine.kind == Kind::LvmPv && (a.id.is_empty() || b.id.is_empty()) => {
            Some("a volume group that cannot be read".into())
        }
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
    use crate::facts::disks::Contents;
    use crate::facts::disks::testing::{disk, member, partition, signature};
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

    fn over(disks: u64, id: &str) -> Signature {
        let mut found = member(Kind::Btrfs, "pool", id);
        found.group.as_mut().unwrap().of = Some(disks);
        found
    }

    #[test]
    fn a_btrfs_over_several_disks_stops_it_unless_all_of_it_is_on_the_disk() {
        let mut disks = [disk("sda", 10), disk("sdb", 10)];
        disks[0].contents = Contents::Read(vec![over(1, "a")]);
        assert!(guard(&disks[0], &disks).is_ok(), "alone");
        disks[1].partitions = vec![partition("sdb1", vec![over(2, "b")])];
        assert!(guard(&disks[0], &disks).is_ok(), "another one elsewhere");
        disks[1].partitions = vec![partition("sdb1", vec![over(2, "a")])];
        disks[0].contents = Contents::Read(vec![over(2, "a")]);
        refused(&disks, "carries btrfs of \"pool\" of pool, which has another member on /dev/sdb");
        disks[1].partitions.clear();
        refused(
            &disks,
            "/dev/sda carries btrfs of \"pool\", which lies on 2 disks or partitions, and only 1 of them is here",
        );
        disks[0].contents = Contents::Read(Vec::new());
        disks[0].partitions =
            vec![partition("sda1", vec![over(2, "a")]), partition("sda2", vec![over(2, "a")])];
        assert!(guard(&disks[0], &disks).is_ok(), "all of it is on the disk");
    }

    #[test]
    fn what_the_kernel_runs_on_another_disk_too_stops_it() {
        let mut disks = [disk("sda", 10), disk("sdb", 10)];
        disks[0].holders = vec!["md0".into(), "dm-0".into()];
        assert!(guard(&disks[0], &disks).is_ok(), "on the disk alone");
        disks[0].together = vec!["sdb".into()];
        refused(&disks, "/dev/sda is in use by md0, dm-0, which lie on sdb, too");
    }

    #[test]
    fn only_arrays_and_volume_groups_can_be_stopped() {
        let mut disk = disk("sda", 10);
        disk.holders = vec!["md0".into(), "dm-0".into(), "md_d0".into()];
        let uuid = |wanted: &'static str| move |name: &str| (name == "dm-0").then(|| wanted.to_owned());
        disk.holders.pop();
        assert!(guard_holders(&disk, uuid("LVM-abc")).is_ok());
        for (kind, holder) in [
            ("CRYPT-LUKS1-abc-x", "dm-0"),
            ("mpath-3600", "dm-0"),
            ("part1-mpath-3600", "dm-0"),
            ("", "dm-0"),
        ] {
            let error = guard_holders(&disk, uuid(kind)).unwrap_err();
            assert_eq!(Class::of(&error), Class::Refused);
            assert!(error.to_string().contains(&format!("/dev/sda is in use by {holder}")), "{error}");
        }
        disk.holders = vec!["bcache0".into()];
        assert!(guard_holders(&disk, uuid("LVM-abc")).is_err());
    }

    #[test]
    fn a_volume_group_that_is_not_read_may_be_any() {
        let mut disks = [disk("sda", 10), disk("sdb", 10)];
        disks[0].contents = Contents::Read(vec![member(Kind::LvmPv, "", "")]);
        assert!(guard(&disks[0], &disks).is_ok(), "alone");
        disks[1].contents = Contents::Read(vec![member(Kind::LvmPv, "data", "id-1")]);
        refused(&disks, "of a volume group that cannot be read, which has another member on /dev/sdb");
        disks.swap(0, 1);
        disks[0].name = "sda".into();
        disks[1].name = "sdb".into();
        refused(&disks, "of a volume group that cannot be read");
        disks[1].contents = Contents::Read(vec![signature(Kind::LvmPv)]);
        assert!(guard(&disks[0], &disks).is_ok(), "one that is in no group");
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
