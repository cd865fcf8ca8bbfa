//! What changes between the decision and the first write: a person had the countdown to read the list of disks, so the disk
//! that is cleared must be as it was when the list was made.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/installer.rs"]
mod installer;
#[path = "support/loops.rs"]
mod loops;

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use cias_firstboot::outcome::Class;
use installer::{
    BUILD, GIB, PARTITION, apply, decide, installer, preinstall, put_boot_partition, refuses, refuses_after,
    tool,
};
use loops::{Machine, put, put_signature, put_table};

fn written(machine: &Machine, disk: &str, write: impl FnOnce(&mut File)) {
    let mut file = File::options().write(true).open(machine.device(disk)).unwrap();
    write(&mut file);
    file.sync_all().unwrap();
}

#[test]
fn a_chosen_disk_whose_content_changes_is_not_cleared() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |_| ());
    let change = |machine: &mut Machine| written(machine, "eda", |file| put_signature(file, "xfs"));
    refuses_after(
        &mut machine,
        change,
        "/dev/eda is no longer as it was when it was chosen: its content: found xfs \"label-xfs\"",
    );

    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
    let partition = machine.add_partition("eda", PARTITION);
    let change = |_: &mut Machine| tool("mkfs.ext3", &["-q", "-F", &partition]);
    refuses_after(&mut machine, change, "/dev/eda is no longer as it was when it was chosen");

    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
    let change = |machine: &mut Machine| drop(machine.add_partition("eda", PARTITION));
    refuses_after(&mut machine, change, "/dev/eda is no longer as it was when it was chosen");
}

#[test]
fn a_chosen_disk_that_comes_into_use_is_not_cleared() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
    let partition = put_boot_partition(&machine, "eda", "x");
    let change = |machine: &mut Machine| {
        tool("mount", &["-r", &partition, machine.root().join("prepare").to_str().unwrap()]);
    };
    refuses_after(&mut machine, change, "/dev/eda, 4.2 GB: refused, it is mounted on /prepare");
}

#[test]
fn another_disk_that_changes_the_choice_or_trips_a_guard_stops_it() {
    if !loops::allowed() {
        return;
    }
    let two = |site: &str| {
        let mut machine = installer(site);
        machine.add("eda", 5 * GIB, |file| put(file, 0, b"data"));
        machine
    };
    let mut machine = two("[install.disk]\npick = \"smallest\"\n");
    refuses_after(
        &mut machine,
        |machine| machine.add("edb", 4 * GIB, |_| ()),
        "/dev/eda was chosen, and now /dev/edb would be",
    );

    let mut machine = two("");
    refuses_after(
        &mut machine,
        |machine| machine.add("edb", 4 * GIB, |_| ()),
        "2 disks are fit for the system",
    );

    let mut machine = two("[install.disk]\npath = \"/dev/eda\"\n");
    let change = |machine: &mut Machine| machine.add("edb", 4 * GIB, |file| put_signature(file, "lvm"));
    refuses_after(&mut machine, change, "/dev/edb carries LVM physical volume of \"pve\"");

    let mut machine = two("[install.disk]\npath = \"/dev/eda\"\n");
    let change = |machine: &mut Machine| {
        machine.add("edb", 4 * GIB, |file| put_table(file, PARTITION));
        put_boot_partition(machine, "edb", &format!("cias-installed-{BUILD}"));
    };
    refuses_after(&mut machine, change, "/dev/edb carries the finished installation of this very build");

    let mut machine = two("");
    let change =
        |machine: &mut Machine| machine.answers.insert(0, ("vgs ".into(), 0, "  data,/dev/eda\n".into()));
    refuses_after(
        &mut machine,
        change,
        "the volume groups on /dev/eda are no longer as they were when it was chosen",
    );
}

#[test]
fn another_disk_that_changes_nothing_about_the_decision_stops_nothing() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("[install.disk]\npath = \"/dev/eda\"\n");
    machine.add("eda", 4 * GIB, |file| put(file, 0, b"data"));
    machine.add("edb", 4 * GIB, |_| ());
    let decision = decide(&machine).unwrap();
    written(&machine, "edb", |file| put_signature(file, "xfs"));
    machine.add("edc", 4 * GIB, |_| ());
    let before = [machine.fingerprint("edb"), machine.fingerprint("edc")];
    apply(&machine, machine.root(), &decision).unwrap();
    assert_eq!([machine.fingerprint("edb"), machine.fingerprint("edc")], before);
    assert!(machine.bytes("eda", 0, 4096).iter().all(|byte| *byte == 0));
}

#[test]
fn a_name_that_means_another_device_than_the_kernel_says_is_not_written_to() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("[install.disk]\npath = \"/dev/eda\"\n");
    machine.add("eda", 4 * GIB, |file| put(file, 0, b"data"));
    machine.add("edb", 4 * GIB, |file| put(file, 0, b"data"));
    let node = machine.root().join("dev/eda");
    fs::remove_file(&node).unwrap();
    symlink(machine.device("edb"), &node).unwrap();
    refuses(&machine, "it is another device than the kernel says");
    fs::remove_file(&node).unwrap();
    symlink(machine.device("eda"), &node).unwrap();
    preinstall(&machine, machine.root()).unwrap();
}

#[test]
fn nothing_is_written_once_we_are_asked_to_stop() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put_signature(file, "xfs"));
    let decision = decide(&machine).unwrap();
    machine.errors.push(("udevadm".into(), Class::Interrupted));
    let before = machine.fingerprints();
    let error = apply(&machine, machine.root(), &decision).unwrap_err();
    assert_eq!(Class::of(&error), Class::Interrupted, "{error:#}");
    assert_eq!(machine.fingerprints(), before);
}
