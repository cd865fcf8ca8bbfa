//! Looking into the file systems of disks that anybody may have written: whatever lies there, the look comes to its end,
//! leaves every byte as it is, and shows plain words only.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/installer.rs"]
mod installer;
#[path = "support/loops.rs"]
mod loops;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cias_firstboot::disks::DataDisks;
use cias_firstboot::outcome::Class;
use cias_firstboot::preinstall;
use cias_firstboot::site::{self, Who};
use cias_firstboot::step::Step;
use installer::{BUILD, GIB, PARTITION, decide, installer, options, prepare_boot_partition, refuses, tool};
use loops::{Machine, put, put_table};

/// A look that takes longer hangs.
const LIMIT: Duration = Duration::from_mins(2);

/// The line of `disk` in the list that a decision shows.
fn shown(machine: Machine, disk: &str) -> String {
    let (tell, hear) = mpsc::channel();
    let looking = thread::spawn(move || {
        let (system, source, options) = (machine.system(), machine.source(), options(&machine));
        let decision = preinstall::decide(&system, &source, &Who::default(), &options);
        // The test may have given up.
        let _ = tell.send(decision.map(|decision| decision.table));
    });
    let table = hear.recv_timeout(LIMIT).expect("the look hangs").unwrap();
    looking.join().unwrap();
    table.into_iter().find(|line| line.contains(disk)).unwrap()
}

/// `eda` is blank and wanted; `edb` has a boot partition with what `prepare` puts into it.
fn beside(prepare: impl FnOnce(&std::path::Path)) -> Machine {
    let mut machine = installer("[install.disk]\npath = \"/dev/eda\"\n");
    machine.add("eda", 4 * GIB, |_| ());
    machine.add("edb", 4 * GIB, |file| put_table(file, PARTITION));
    prepare_boot_partition(&machine, "edb", prepare);
    machine
}

#[test]
fn a_marker_that_is_no_plain_small_file_still_names_its_build_and_nothing_is_read_from_it() {
    if !loops::allowed() {
        return;
    }
    let named = |machine| {
        let line = shown(machine, "/dev/edb");
        assert!(line.ends_with("carries the finished installation of the build ffff"), "{line}");
    };
    named(beside(|folder| tool("mkfifo", &[folder.join("cias-installed-ffff").to_str().unwrap()])));
    named(beside(|folder| {
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(outside.path(), "{\"site\": \"outside\"}").unwrap();
        let (_, outside) = outside.keep().unwrap();
        symlink(outside, folder.join("cias-installed-ffff")).unwrap();
    }));
    named(beside(|folder| {
        let mut file = File::create(folder.join("cias-installed-ffff")).unwrap();
        // Blanks before JSON are JSON, so that only its size makes it a file that is not read.
        put(&mut file, 0, &vec![b' '; 1 << 20]);
        put(&mut file, 1 << 20, b"{\"site\": \"large\"}");
    }));
    named(beside(|folder| fs::create_dir(folder.join("cias-installed-ffff")).unwrap()));
}

#[test]
fn the_folder_boot_of_a_disk_is_not_followed_out_of_it() {
    if !loops::allowed() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("cias-installed-ffff"), "{}").unwrap();
    let machine = beside(|folder| symlink(outside.path(), folder.join("boot")).unwrap());
    assert!(!shown(machine, "/dev/edb").contains("installation"));
    let looped = beside(|folder| symlink("boot", folder.join("boot")).unwrap());
    assert!(!shown(looped, "/dev/edb").contains("installation"));
    let file = beside(|folder| fs::write(folder.join("boot"), "").unwrap());
    assert!(!shown(file, "/dev/edb").contains("installation"));
}

#[test]
fn only_plain_and_short_words_of_a_marker_are_shown() {
    if !loops::allowed() {
        return;
    }
    for name in
        ["cias-installed-\x1b[2J\x1b[31mred", "cias-installed-a\nb", "cias-installed-", "cias-installed-a;b"]
    {
        let line = shown(beside(|folder| fs::write(folder.join(name), "{}").unwrap()), "/dev/edb");
        assert!(
            line.ends_with("carries the finished installation of a build without a plain name"),
            "{line:?}"
        );
    }
    let long = format!("cias-installed-{}", "f".repeat(200));
    let line = shown(beside(|folder| fs::write(folder.join(&long), "{}").unwrap()), "/dev/edb");
    assert!(line.ends_with("carries the finished installation of a build without a plain name"), "{line}");
}

#[test]
fn a_disk_with_a_marker_of_any_name_needs_the_word() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
    prepare_boot_partition(&machine, "eda", |folder| {
        tool("mkfifo", &[folder.join("cias-installed-\x1b[2J").to_str().unwrap()]);
    });
    refuses(&machine, "/dev/eda carries the finished installation of a build without a plain name");
}

#[test]
fn many_entries_and_many_markers_make_neither_a_long_look_nor_a_long_line() {
    if !loops::allowed() {
        return;
    }
    let machine = beside(|folder| {
        for number in 0..20_000 {
            File::create(folder.join(format!("entry-{number}"))).unwrap();
        }
        fs::create_dir(folder.join("boot")).unwrap();
        for number in 0..2_000 {
            File::create(folder.join(format!("boot/cias-installed-{number:08x}"))).unwrap();
        }
    });
    let line = shown(machine, "/dev/edb");
    assert!(line.contains("carries the finished installation of the build 0") && line.len() < 1000, "{line}");
    // This very build is found among them, too.
    let machine = beside(|folder| {
        for number in 0..2_000 {
            File::create(folder.join(format!("cias-installed-{number:08x}"))).unwrap();
        }
        File::create(folder.join(format!("cias-installed-{BUILD}"))).unwrap();
    });
    refuses(&machine, "/dev/edb carries the finished installation of this very build");
}

#[test]
fn what_lies_on_a_disk_is_neither_run_nor_opened_as_a_device_during_a_look() {
    if !loops::allowed() {
        return;
    }
    let machine = beside(|_| ());
    let (system, source, options) = (machine.system(), machine.source(), options(&machine));
    preinstall::decide(&system, &source, &Who::default(), &options).unwrap();
    let calls = machine.calls.lock().unwrap();
    let mounts: Vec<&String> = calls.iter().filter(|line| line.starts_with("mount ")).collect();
    assert!(!mounts.is_empty());
    for line in mounts {
        assert!(line.contains("-o ro,noload,nodev,nosuid,noexec "), "{line}");
    }
}

#[test]
fn a_file_system_that_is_busy_is_not_taken_for_a_broken_one() {
    if !loops::allowed() {
        return;
    }
    for (complaint, wanted) in [
        ("mount: /dev/x already mounted or /y busy", Some("perhaps a finished installation (")),
        ("mount: wrong fs type, bad option, bad superblock on /dev/x", None),
    ] {
        let mut machine = installer("");
        machine.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
        prepare_boot_partition(&machine, "eda", |_| ());
        machine.answers.push(("mount ".into(), 32, complaint.into()));
        match wanted {
            Some(wanted) => refuses(&machine, wanted),
            None => assert!(shown(machine, "/dev/eda").ends_with("chosen")),
        }
    }
}

#[test]
fn a_look_that_is_interrupted_or_takes_too_long_finds_no_disk_free() {
    if !loops::allowed() {
        return;
    }
    for class in [Class::Interrupted, Class::MissingTool, Class::Failed] {
        let mut machine = installer("[disks]\nwipe = \"all\"\n");
        fs::write(machine.root().join("etc/fstab"), "").unwrap();
        machine.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
        prepare_boot_partition(&machine, "eda", |folder| {
            fs::write(folder.join("cias-installed-ffff"), "{}").unwrap();
        });
        machine.errors.push(("mount ".into(), class));
        let before = machine.fingerprints();
        let text = format!("{}[disks]\nwipe = \"all\"\n", include_str!("support/site.toml"));
        let disks = DataDisks::new(&site::from_text(&text).unwrap()).with(machine.names());
        let (as_data, as_system) = (disks.apply(&machine.system()), decide(&machine));
        let as_system = as_system.expect_err("the disk was chosen");
        if class == Class::Failed {
            as_data.unwrap();
            let warnings = disks.check(&machine.system()).unwrap().warnings;
            assert!(warnings[0].contains("it carries perhaps a finished installation ("), "{warnings:?}");
            assert_eq!(Class::of(&as_system), Class::Refused, "{as_system:#}");
        } else {
            assert_eq!(Class::of(&as_data.expect_err("the disk was formatted")), class);
            assert_eq!(Class::of(&as_system), class, "{as_system:#}");
        }
        assert_eq!(machine.fingerprints(), before, "{class:?}");
    }
}
