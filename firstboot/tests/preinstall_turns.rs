//! Two looks at once: each sees the disks as they are, and one that takes too long is told of, not waited for.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/installer.rs"]
mod installer;
#[path = "support/loops.rs"]
mod loops;

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cias_firstboot::disks::DataDisks;
use cias_firstboot::outcome::Class;
use cias_firstboot::preinstall::turn::Turn;
use cias_firstboot::site;
use cias_firstboot::step::Step;
use installer::{GIB, PARTITION, decide, installer, options, put_boot_partition, tool};
use loops::{Machine, put_table};

const LIMIT: Duration = Duration::from_mins(1);

/// `eda` is blank; the other disks carry an installation each.
fn three() -> Machine {
    let mut machine = installer("[install.disk]\npath = \"/dev/eda\"\n");
    machine.add("eda", 4 * GIB, |_| ());
    for (name, build) in [("edb", "bbbb"), ("edc", "cccc"), ("edd", "dddd")] {
        machine.add(name, 4 * GIB, |file| put_table(file, PARTITION));
        put_boot_partition(&machine, name, &format!("cias-installed-{build}"));
    }
    machine
}

#[test]
fn looks_at_the_same_time_do_not_take_one_disk_for_another() {
    if !loops::allowed() {
        return;
    }
    let machine = three();
    let wanted = decide(&machine).unwrap().table;
    for (name, build) in [("edb", "bbbb"), ("edc", "cccc"), ("edd", "dddd")] {
        let line = wanted.iter().find(|line| line.contains(name)).unwrap();
        assert!(line.contains(&format!("the build {build} ")), "{line}");
    }
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(decide(&machine).unwrap().table, wanted));
        }
    });
}

#[test]
fn looks_of_a_node_at_the_same_time_do_not_either() {
    if !loops::allowed() {
        return;
    }
    let mut machine = three();
    fs::write(machine.root().join("etc/fstab"), "/dev/pve/root / ext3 errors=remount-ro 0 1\n").unwrap();
    machine.add("ede", GIB, |_| ());
    let text = format!("{}[disks]\nwipe = \"all\"\n", include_str!("support/site.toml"));
    let site = site::from_text(&text).unwrap();
    let check = || DataDisks::new(&site).with(machine.names()).check(&machine.system()).unwrap();
    let wanted = check();
    assert_eq!((wanted.todo.len(), wanted.warnings.len()), (2, 3), "{wanted:?}");
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(check(), wanted));
        }
    });
}

#[test]
fn a_second_look_waits_for_the_first_and_gives_up_after_its_time() {
    if !loops::allowed() {
        return;
    }
    let machine = three();
    let look = options(&machine).look;
    let turn = Turn::take(&look, LIMIT).unwrap();
    let error = Turn::take(&look, Duration::from_millis(50)).unwrap_err();
    assert_eq!(Class::of(&error), Class::TryLater);
    assert!(error.to_string().contains("another cias is at work on the disks"), "{error:#}");
    thread::scope(|scope| {
        let (tell, hear) = mpsc::channel();
        let machine = &machine;
        scope.spawn(move || tell.send(decide(machine).unwrap().table).unwrap());
        assert!(hear.recv_timeout(Duration::from_millis(300)).is_err(), "it did not wait");
        assert!(!machine.calls.lock().unwrap().iter().any(|line| line.starts_with("mount ")));
        drop(turn);
        assert_eq!(hear.recv_timeout(LIMIT).unwrap().len(), 4);
    });
}

#[test]
fn what_a_killed_look_left_mounted_is_taken_off() {
    if !loops::allowed() {
        return;
    }
    let machine = three();
    let wanted = decide(&machine).unwrap().table;
    let look = options(&machine).look;
    let before = machine.fingerprints();
    for name in ["edc", "edb"] {
        let partition = format!("{}p1", machine.device(name));
        tool("mount", &["-n", "-o", "ro,noload", &partition, look.to_str().unwrap()]);
    }
    assert_eq!(decide(&machine).unwrap().table, wanted);
    assert_eq!(machine.fingerprints(), before);
}
