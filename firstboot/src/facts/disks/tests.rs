//! Against the trees of tests/fixtures/machines.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::*;
use crate::signatures::Kind;
use crate::tree::Tree;

fn read(root: &Path) -> BTreeMap<String, Disk> {
    let source =
        Source { root: PathBuf::from(root), udev: Box::new(|_| Ok(BTreeMap::new())), also: Vec::new() };
    source.disks().unwrap().into_iter().map(|disk| (disk.name.clone(), disk)).collect()
}

fn put(root: &Path, node: &str, at: u64, bytes: &[u8]) {
    let mut file = File::options().write(true).open(root.join("dev").join(node)).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn only_disks_with_a_medium_are_listed() {
    let folder = Tree::of("node");
    let names: Vec<String> = read(folder.path()).into_keys().collect();
    assert_eq!(names, ["sda", "sdaa", "sdb", "sdc", "sdd", "sde", "vda"]);
}

#[test]
fn the_system_is_found_through_lvm_and_by_a_partition() {
    let folder = Tree::of("node");
    let disks = read(folder.path());
    let system = &disks["sda"];
    assert!(system.system && system.swap && system.in_use());
    assert_eq!(system.mounts, ["/", "/boot"]);
    assert_eq!(system.holders, ["dm-0", "dm-1"]);
    assert_eq!(system.together, Vec::<String>::new());
    assert_eq!(system.partitions.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["sda1", "sda2"]);
    assert!(disks.values().filter(|disk| disk.system).count() == 1);
}

#[test]
fn both_members_of_a_mounted_array_are_in_use() {
    let folder = Tree::of("node");
    let disks = read(folder.path());
    for name in ["sdc", "sdd"] {
        assert_eq!(disks[name].mounts, ["/srv/two words"], "{name}");
        assert_eq!(disks[name].holders, ["md0"], "{name}");
        assert_eq!(disks[name].together, [if name == "sdc" { "sdd" } else { "sdc" }]);
        assert!(!disks[name].system);
    }
}

#[test]
fn what_stands_on_an_array_holds_its_disks_too_and_comes_after_it() {
    let folder = Tree::of("node");
    let entry = |path: &str| fs::create_dir_all(folder.path().join("sys/block").join(path)).unwrap();
    for path in
        ["md0/holders/dm-7", "md0/holders/dm-2", "dm-2/slaves/md0", "dm-2/holders/dm-7", "dm-7/slaves/md0"]
    {
        entry(path);
    }
    entry("dm-7/slaves/vda");
    let disks = read(folder.path());
    assert_eq!(disks["sdc"].holders, ["md0", "dm-2", "dm-7"]);
    assert_eq!(disks["sdc"].together, ["sdd", "vda"]);
}

#[test]
fn an_iso_image_on_a_partition_makes_its_disk_a_boot_medium() {
    let folder = Tree::of("installer");
    put(folder.path(), "cciss/c0d0p1", 32769, b"CD001");
    assert!(read(folder.path())["cciss/c0d0"].boot_medium);
}

#[test]
fn what_makes_a_disk_untouchable_is_read() {
    let folder = Tree::of("node");
    let disks = read(folder.path());
    assert!(disks["sde"].removable, "on USB, although its medium is fixed");
    assert!(disks["sdaa"].read_only);
    let blank = &disks["sdb"];
    assert!(!blank.in_use() && !blank.removable && !blank.read_only && !blank.boot_medium);
    assert_eq!(blank.contents, Contents::Read(Vec::new()));
    assert_eq!((blank.size, blank.rotational), (4 << 30, false));
    assert_eq!(blank.model.as_deref(), Some("INTEL SSDSC2BA1"));
}

#[test]
fn a_serial_number_comes_from_sysfs_or_else_from_udev() {
    let folder = Tree::of("node");
    assert_eq!(read(folder.path())["vda"].serial.as_deref(), Some("VIRT-1"));
    let udev = |name: &str| match name {
        "sdb" => {
            BTreeMap::from([("ID_SERIAL_SHORT".into(), "S-2".into()), ("ID_SERIAL".into(), "X_S-2".into())])
        }
        "sdc" => BTreeMap::from([
            ("ID_SCSI_SERIAL".into(), "S-3".into()),
            ("ID_SERIAL_SHORT".into(), "5000".into()),
        ]),
        _ => BTreeMap::new(),
    };
    let source =
        Source { root: folder.path().into(), udev: Box::new(|name| Ok(udev(name))), also: Vec::new() };
    let disks = source.disks().unwrap();
    let serial = |name: &str| disks.iter().find(|disk| disk.name == name).unwrap().serial.as_deref();
    assert_eq!((serial("sdb"), serial("sdc"), serial("sdd")), (Some("S-2"), Some("S-3"), None));
}

#[test]
fn a_world_wide_name_tells_a_unit_with_its_extension() {
    let folder = Tree::of("node");
    let udev = |name: &str| match name {
        "sdb" => BTreeMap::from([
            ("ID_WWN".into(), "0x6000".into()),
            ("ID_WWN_WITH_EXTENSION".into(), "0x60001".into()),
        ]),
        "sdc" => BTreeMap::from([("ID_WWN".into(), "0x6000".into())]),
        _ => BTreeMap::new(),
    };
    let source =
        Source { root: folder.path().into(), udev: Box::new(|name| Ok(udev(name))), also: Vec::new() };
    let disks = source.disks().unwrap();
    let wwn = |name: &str| disks.iter().find(|disk| disk.name == name).unwrap().wwn.as_deref();
    assert_eq!((wwn("sdb"), wwn("sdc"), wwn("sdd")), (Some("0x60001"), Some("0x6000"), None));
}

#[test]
fn disks_on_a_network_are_told_from_those_in_the_server() {
    let folder = Tree::of("node");
    let block = folder.path().join("sys/block");
    assert!(!read(folder.path())["sdb"].networked);
    let real = fs::canonicalize(block.join("sdb")).unwrap();
    for way in
        ["platform/host7/session1/target7:0:0/7:0:0:1", "pci0000:00/host8/rport-8:0-3/target8:0:0/8:0:0:0"]
    {
        let place = folder.path().join("sys/devices").join(way).join("block");
        fs::create_dir_all(&place).unwrap();
        fs::remove_file(block.join("sdb")).unwrap();
        copy(&real, &place.join("sdb"));
        std::os::unix::fs::symlink(place.join("sdb"), block.join("sdb")).unwrap();
        assert!(read(folder.path())["sdb"].networked, "{way}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

#[test]
fn a_partition_that_is_locked_locks_its_disk() {
    let folder = Tree::of("installer");
    let ro = folder.path().join("sys/block/cciss!c0d0/cciss!c0d0p1/ro");
    assert!(!read(folder.path())["cciss/c0d0"].read_only);
    fs::write(ro, "1\n").unwrap();
    assert!(read(folder.path())["cciss/c0d0"].read_only);
}

#[test]
fn the_boot_medium_is_what_the_root_came_from_or_what_carries_an_iso_image() {
    let folder = Tree::of("installer");
    put(folder.path(), "sda", 32769, b"CD001");
    let disks = read(folder.path());
    assert_eq!(disks.keys().collect::<Vec<_>>(), ["cciss/c0d0", "sda", "vda", "vdb"]);
    assert!(disks["sda"].boot_medium);
    assert!(!disks["vda"].boot_medium && !disks["vda"].in_use());

    let mounts = folder.path().join("proc/self/mountinfo");
    let from_stick = fs::read_to_string(&mounts).unwrap().replace("11:0", "254:16");
    fs::write(&mounts, from_stick).unwrap();
    let disks = read(folder.path());
    assert!(disks["vdb"].boot_medium && !disks["vdb"].system && disks["vdb"].in_use());
}

#[test]
fn names_with_a_slash_and_their_partitions_are_read() {
    let folder = Tree::of("installer");
    put(folder.path(), "cciss/c0d0p1", 1024 + 0x38, &[0x53, 0xef]);
    let disk = read(folder.path()).remove("cciss/c0d0").unwrap();
    assert_eq!(disk.path, Path::new("/dev/cciss/c0d0"));
    assert_eq!(disk.partitions[0].path, Path::new("/dev/cciss/c0d0p1"));
    assert_eq!(disk.signatures().map(|found| found.kind).collect::<Vec<_>>(), [Kind::Ext2]);
}

#[test]
fn a_disk_that_cannot_be_read_says_so_and_the_others_are_still_listed() {
    let folder = Tree::of("installer");
    File::options().write(true).open(folder.path().join("dev/vdb")).unwrap().set_len(4096).unwrap();
    let disks = read(folder.path());
    assert!(matches!(disks["vdb"].contents, Contents::Unreadable(_)));
    assert_eq!(disks["vda"].contents, Contents::Read(Vec::new()));
}
