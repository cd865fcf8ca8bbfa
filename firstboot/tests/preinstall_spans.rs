//! Whatever lies on more disks than the chosen one stops the installer before anything is stopped or written.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/installer.rs"]
mod installer;
#[path = "support/loops.rs"]
mod loops;

use std::fs::{self, File};

use installer::{GIB, MIB, PARTITION, decide, installer, refuses};
use loops::{Machine, put, put_signature, put_table};

/// A btrfs over so many disks.
fn btrfs(disks: u8) -> impl FnOnce(&mut File) {
    move |file| {
        put_signature(file, "btrfs");
        put(file, (64 << 10) + 136, &[disks]);
    }
}

fn first(write: impl FnOnce(&mut File)) -> Machine {
    let mut machine = installer("[install.disk]\npath = \"/dev/eda\"\n");
    machine.add("eda", 4 * GIB, write);
    machine
}

#[test]
fn a_btrfs_over_two_disks_stops_it_also_when_the_other_is_missing() {
    if !loops::allowed() {
        return;
    }
    let mut machine = first(btrfs(2));
    refuses(&machine, "which lies on 2 disks or partitions, and only 1 of them is here");
    machine.add("edb", 4 * GIB, btrfs(2));
    refuses(&machine, "which has another member on /dev/edb");
    decide(&first(btrfs(1))).unwrap();
}

#[test]
fn an_array_that_runs_on_another_disk_too_is_not_stopped() {
    if !loops::allowed() {
        return;
    }
    let array = [("dev", "9:0\n"), ("size", "16\n"), ("md/array_state", "clean\n")];
    let mut machine = first(|file| put(file, 0, b"data"));
    machine.add("edb", 4 * GIB, |file| put(file, 0, b"data"));
    machine.hold("md0", &array, &["eda", "edb"]);
    refuses(&machine, "/dev/eda is in use by md0, which lies on edb, too");
    let state = machine.root().join("sys/block/md0/md/array_state");
    assert_eq!(fs::read_to_string(&state).unwrap(), "clean\n");

    // One on this disk alone is stopped; the stand-in of sysfs does not take the holder away, which is then refused.
    let machine = first(|file| put(file, 0, b"data"));
    machine.hold("md0", &array, &["eda"]);
    refuses(&machine, "/dev/eda is still in use by md0");
    assert_eq!(fs::read_to_string(machine.root().join("sys/block/md0/md/array_state")).unwrap(), "clear");
}

#[test]
fn what_is_mapped_on_the_disk_and_is_no_volume_group_stops_it_before_anything_is_stopped() {
    if !loops::allowed() {
        return;
    }
    for (uuid, wanted) in [("CRYPT-LUKS1-0-x\n", true), ("mpath-36000\n", true), ("LVM-abc\n", false)] {
        let mut machine = first(|file| put(file, 0, b"data"));
        machine.answers.insert(0, ("vgs ".into(), 0, "  data,/dev/eda\n".into()));
        machine.answers.push(("vgchange -an data".into(), 0, String::new()));
        machine.hold("dm-3", &[("dev", "252:3\n"), ("size", "16\n"), ("dm/uuid", uuid)], &["eda"]);
        let text = if wanted {
            "/dev/eda is in use by dm-3, which this installer can't stop"
        } else {
            "/dev/eda is still in use by dm-3"
        };
        refuses(&machine, text);
        let stopped = machine.calls.lock().unwrap().iter().any(|line| line.starts_with("vgchange"));
        assert_eq!(stopped, !wanted, "{uuid}");
    }
}

#[test]
fn a_partition_that_cannot_be_read_or_carries_an_iso_image_refuses_its_disk() {
    if !loops::allowed() {
        return;
    }
    let machine = first(|file| {
        put_table(file, PARTITION);
        put(file, MIB + 32769, b"CD001");
    });
    machine.add_partition("eda", PARTITION);
    refuses(&machine, "/dev/eda, 4.2 GB: refused, it is the boot medium or carries an ISO image");

    let machine = first(|file| put_table(file, PARTITION));
    let partition = machine.add_partition("eda", PARTITION);
    let node = machine.root().join(partition.trim_start_matches('/'));
    fs::remove_file(&node).unwrap();
    refuses(&machine, &format!("/dev/eda, 4.2 GB: refused, {partition} cannot be read"));
}
