//! Each kind of disk, and what happens to it.

use super::*;

/// What is on the disk, the disk, another disk beside it, and what happens for the policies blank, foreign and all.
#[expect(clippy::too_many_lines, reason = "it is one table")]
pub(super) fn table() -> Vec<(&'static str, Disk, Option<Disk>, [&'static str; 3])> {
    let base = || disk("sdb", 8);
    let other = |found| Disk { contents: Contents::Read(found), ..disk("sdc", 8) };
    let foreign = || with(vec![signature(Kind::Xfs)]);
    let twin = |base: Disk| Disk { serial: Some("S".into()), ..base };
    let pv = |group: &str| member(Kind::LvmPv, group, group);
    let btrfs = |disks| {
        let mut found = member(Kind::Btrfs, "pool", "a");
        found.group.as_mut().unwrap().of = Some(disks);
        found
    };
    let held = |disk: Disk| Disk { holders: vec!["dm-0".into()], ..disk };
    let [format, keep, refuse] = [["format"; 3], ["use"; 3], ["refuse"; 3]];
    let (data, part) = (["refuse", "format", "format"], ["refuse", "refuse", "format"]);
    let unreadable =
        Partition { contents: Contents::Unreadable("EIO".into()), ..partition("sdb1", Vec::new()) };
    vec![
        ("blank", base(), None, format),
        ("our ext3", with(vec![own("cias-disk1")]), None, keep),
        ("our ext3 under another name", with(vec![own("cias-disk9")]), None, keep),
        (
            "our ext3, mounted below /data",
            Disk { mounts: vec!["/data/disk1".into()], ..with(vec![own("cias-disk1")]) },
            None,
            keep,
        ),
        (
            "our ext3, mounted elsewhere",
            Disk { mounts: vec!["/mnt".into()], ..with(vec![own("cias-disk1")]) },
            None,
            refuse,
        ),
        (
            "our ext3, and a copy of it",
            with(vec![own("cias-disk1")]),
            Some(other(vec![own("cias-disk1")])),
            refuse,
        ),
        ("our ext3 and a ZFS label", with(vec![own("cias-disk1"), signature(Kind::Zfs)]), None, part),
        ("ext3 of another site", with(vec![system_of(&"5b".repeat(32), 1, "cias-disk1")]), None, data),
        (
            "foreign ext3",
            with(vec![Signature { label: Some("backup".into()), ..signature(Kind::Ext3) }]),
            None,
            data,
        ),
        ("foreign ext2", with(vec![signature(Kind::Ext2)]), None, data),
        ("foreign ext4", with(vec![signature(Kind::Ext4)]), None, data),
        ("xfs", foreign(), None, data),
        ("btrfs", with(vec![btrfs(1)]), None, data),
        ("btrfs over several disks, not mounted", with(vec![btrfs(2)]), Some(other(vec![btrfs(2)])), part),
        ("btrfs over several disks, others missing", with(vec![btrfs(2)]), None, part),
        (
            "btrfs over several disks, another one is mounted",
            with(vec![btrfs(2)]),
            Some(Disk { mounts: vec!["/srv".into()], ..other(vec![btrfs(2)]) }),
            refuse,
        ),
        ("ntfs", with(vec![signature(Kind::Ntfs)]), None, data),
        ("vfat", with(vec![signature(Kind::Vfat)]), None, data),
        ("swap, not in use", with(vec![signature(Kind::Swap)]), None, data),
        ("unknown bytes in the first or last MiB", with(vec![signature(Kind::Unknown)]), None, data),
        ("DOS partition table", with(vec![signature(Kind::DosTable)]), None, data),
        ("GPT, also at the end only", with(vec![signature(Kind::Gpt)]), None, data),
        ("blank partitions", Disk { partitions: vec![partition("sdb1", Vec::new())], ..base() }, None, data),
        (
            "file system in a partition",
            Disk { partitions: vec![partition("sdb1", vec![signature(Kind::Xfs)])], ..base() },
            None,
            data,
        ),
        ("md member, not running", with(vec![member(Kind::MdRaid, "md0", "a")]), None, part),
        (
            "md member, the array runs on another disk",
            with(vec![member(Kind::MdRaid, "md0", "a")]),
            Some(Disk { holders: vec!["md0".into()], ..other(vec![member(Kind::MdRaid, "md0", "a")]) }),
            refuse,
        ),
        ("LVM, not running", with(vec![pv("vg")]), None, part),
        (
            "LVM in a partition, not running",
            Disk { partitions: vec![partition("sdb1", vec![pv("vg")])], ..base() },
            None,
            part,
        ),
        ("LVM, running", held(with(vec![pv("vg")])), None, refuse),
        (
            "LVM, its group runs on another disk",
            with(vec![pv("vg")]),
            Some(held(other(vec![pv("vg")]))),
            refuse,
        ),
        ("LVM, its group lies on another idle disk", with(vec![pv("vg")]), Some(other(vec![pv("vg")])), part),
        (
            "LVM, its group lies on a read-only disk",
            with(vec![pv("vg")]),
            Some(Disk { read_only: true, ..other(vec![pv("vg")]) }),
            refuse,
        ),
        ("LVM, its group cannot be read", with(vec![member(Kind::LvmPv, "", "")]), None, part),
        (
            "LVM, its group cannot be read, and another group runs",
            with(vec![member(Kind::LvmPv, "", "")]),
            Some(held(other(vec![pv("vg")]))),
            refuse,
        ),
        ("firmware RAID", with(vec![signature(Kind::FirmwareRaid)]), None, part),
        ("ZFS label, also at the end only", with(vec![signature(Kind::Zfs)]), None, part),
        ("LUKS", with(vec![signature(Kind::Luks)]), None, part),
        ("holder present (LVM, md, crypt, multipath)", held(base()), None, refuse),
        ("mounted", Disk { mounts: vec!["/srv".into()], ..foreign() }, None, refuse),
        ("foreign, mounted below /data", Disk { mounts: vec!["/data/x".into()], ..foreign() }, None, refuse),
        ("swap in use", Disk { swap: true, ..with(vec![signature(Kind::Swap)]) }, None, refuse),
        ("removable, or on USB", Disk { removable: true, ..base() }, None, refuse),
        ("on iSCSI or Fibre Channel", Disk { networked: true, ..base() }, None, refuse),
        (
            "our ext3, on iSCSI or Fibre Channel",
            Disk { networked: true, ..with(vec![own("cias-disk1")]) },
            None,
            refuse,
        ),
        ("read-only, or one of its partitions is", Disk { read_only: true, ..base() }, None, refuse),
        ("boot medium, or any ISO image", Disk { boot_medium: true, ..base() }, None, refuse),
        (
            "our ext3, and read errors in a partition",
            Disk { partitions: vec![unreadable.clone()], ..with(vec![own("cias-disk1")]) },
            None,
            refuse,
        ),
        ("smaller than 1 GiB", Disk { size: SMALLEST - 1, ..base() }, None, refuse),
        ("larger than 16 TiB", Disk { size: LARGEST + 1, ..base() }, None, refuse),
        ("read errors", Disk { contents: Contents::Unreadable("EIO".into()), ..base() }, None, refuse),
        ("read errors in a partition", Disk { partitions: vec![unreadable], ..base() }, None, refuse),
        ("two disks with one serial number", twin(base()), Some(twin(other(Vec::new()))), refuse),
        (
            "two disks with one world wide name",
            Disk { wwn: Some("W".into()), ..base() },
            Some(Disk { wwn: Some("W".into()), ..other(Vec::new()) }),
            refuse,
        ),
        ("the system's disk", Disk { system: true, ..foreign() }, None, ["-"; 3]),
    ]
}
