//! The data disks on loop devices: formatted, mounted, entered into fstab; and everything else left alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/loops.rs"]
mod loops;

use std::fs;
use std::os::unix::fs::OpenOptionsExt;

use cias_firstboot::disks::{DataDisks, owner};
use cias_firstboot::facts::disks::Disk;
use cias_firstboot::outcome::Class;
use cias_firstboot::signatures::Kind;
use cias_firstboot::site::{self, Site};
use cias_firstboot::step::Step;
use loops::{Machine, put, put_signature, put_table};

const GIB: u64 = 1 << 30;
/// Sectors of the partition that the tests make, 100 MiB.
const PARTITION: u32 = 100 * 2048;
const FSTAB: &str = "/dev/pve/root / ext3 errors=remount-ro 0 1\n# kept\nproc /proc proc defaults 0 0\n";

fn node() -> Machine {
    let machine = Machine::new();
    fs::write(machine.root().join("etc/fstab"), FSTAB).unwrap();
    machine
}

fn test_site(more: &str) -> Site {
    let text = format!("{}{more}", include_str!("support/site.toml"));
    site::from_text(&text).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// One boot: looks, applies if there is something to do, and wants nothing to be left. Returns what was to be done and
/// the warnings.
fn boot(machine: &Machine, site: &Site) -> (Vec<String>, Vec<String>) {
    let step = DataDisks::new(site).with(machine.names());
    let system = machine.system();
    let todo = step.check(&system).unwrap().todo;
    if !todo.is_empty() {
        assert_eq!(step.apply(&system).unwrap(), Vec::<String>::new());
    }
    let after = step.check(&system).unwrap();
    assert_eq!(after.todo, Vec::<String>::new());
    (todo, after.warnings)
}

fn disk(machine: &Machine, name: &str) -> Disk {
    machine.source().disks().unwrap().into_iter().find(|disk| disk.name == name).unwrap()
}

fn fstab(machine: &Machine) -> String {
    fs::read_to_string(machine.root().join("etc/fstab")).unwrap()
}

#[test]
fn blank_disks_are_formatted_and_mounted_and_foreign_ones_stay_as_they_are() {
    if !loops::allowed() {
        return;
    }
    let (mut machine, site) = (node(), test_site(""));
    machine.add("eda", GIB, |_| ());
    machine.add("edb", GIB, |file| put_signature(file, "xfs"));
    machine.add("edc", 2 * GIB, |_| ());
    machine.add("edd", GIB, |file| put(file, GIB - 1, &[1]));
    let foreign = [machine.fingerprint("edb"), machine.fingerprint("edd")];

    let (todo, warnings) = boot(&machine, &site);
    assert_eq!(
        todo,
        [
            "format /dev/eda, 1.0 GB as ext3 and mount it at /data/disk1",
            "format /dev/edc, 2.1 GB as ext3 and mount it at /data/disk2"
        ]
    );
    assert_eq!(
        warnings,
        [
            "/dev/edb, 1.0 GB is not used: it is not blank (xfs \"label-xfs\"); disks.wipe = \"foreign\" would overwrite it",
            "/dev/edd, 1.0 GB is not used: it is not blank (unknown data); disks.wipe = \"foreign\" would overwrite it",
        ]
    );
    assert_eq!([machine.fingerprint("edb"), machine.fingerprint("edd")], foreign);
    let mut wanted = FSTAB.to_owned();
    for (name, data) in [("eda", "disk1"), ("edc", "disk2")] {
        let disk = disk(&machine, name);
        assert_eq!(disk.mounts, [format!("/data/{data}")]);
        let found = &disk.contents.signatures()[0];
        assert_eq!((found.kind, found.label.as_deref()), (Kind::Ext3, Some(format!("cias-{data}").as_str())));
        let uuid = found.uuid.as_deref().unwrap();
        assert!(owner::is_ours(&site.secrets.key, uuid), "{uuid}");
        wanted = format!("{wanted}UUID={uuid} /data/{data} ext3 noatime,nofail 0 0\n");
    }
    assert_eq!(fstab(&machine), wanted);
    assert!(!machine.root().join("var/lib/cias/formatting.json").exists());
}

#[test]
fn a_second_boot_changes_nothing_and_one_without_the_mounts_only_mounts() {
    if !loops::allowed() {
        return;
    }
    let (mut machine, site) = (node(), test_site("[disks]\nwipe = \"all\"\n"));
    machine.add("eda", GIB, |file| put_signature(file, "lvm_free"));
    machine.add("edb", GIB, |_| ());
    boot(&machine, &site);
    fs::write(machine.root().join("data/disk1/kept"), "data").unwrap();
    let before = (fstab(&machine), machine.calls.lock().unwrap().len());
    assert_eq!(boot(&machine, &site), (Vec::new(), Vec::new()));
    let looked_only =
        machine.calls.lock().unwrap()[before.1..].iter().all(|line| line.starts_with("udevadm info"));
    assert!(looked_only, "{:?}", machine.calls);

    machine.unmount_all();
    let (todo, warnings) = boot(&machine, &site);
    assert!(todo.iter().all(|line| line.starts_with("mount /dev/ed")) && todo.len() == 2, "{todo:?}");
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(fs::read_to_string(machine.root().join("data/disk1/kept")).unwrap(), "data");
    assert_eq!(fstab(&machine), before.0);
}

#[test]
fn a_disk_of_another_site_is_refused_and_one_of_the_same_site_is_used() {
    if !loops::allowed() {
        return;
    }
    let (mut machine, site) = (node(), test_site(""));
    machine.add("eda", GIB, |_| ());
    boot(&machine, &site);
    fs::write(machine.root().join("data/disk1/kept"), "data").unwrap();
    machine.unmount_all();
    // Another node: its fstab knows nothing of the disk.
    fs::write(machine.root().join("etc/fstab"), FSTAB).unwrap();
    let mut other = test_site("");
    other.secrets.key = "6b".repeat(32);
    let before = machine.fingerprint("eda");
    let (todo, warnings) = boot(&machine, &other);
    assert_eq!((todo.len(), warnings.len()), (0, 1), "{todo:?} {warnings:?}");
    assert!(warnings[0].contains("it is not blank (ext3 \"cias-disk1\")"), "{warnings:?}");
    assert_eq!(machine.fingerprint("eda"), before);
    boot(&machine, &site);
    assert_eq!(fs::read_to_string(machine.root().join("data/disk1/kept")).unwrap(), "data");
}

#[test]
fn a_disk_with_an_installed_system_is_never_a_data_disk() {
    if !loops::allowed() {
        return;
    }
    for (name, kept) in [("cias-installed-ffff", true), ("vmlinuz", false)] {
        let (mut machine, site) = (node(), test_site("[disks]\nwipe = \"all\"\n"));
        machine.add("eda", GIB, |_| ());
        let device = machine.device("eda").to_owned();
        let folder = machine.root().join("prepare");
        fs::create_dir(&folder).unwrap();
        for (program, args) in
            [("mkfs.ext3", vec!["-q", "-F", &device]), ("mount", vec![&device, folder.to_str().unwrap()])]
        {
            assert!(std::process::Command::new(program).args(&args).status().unwrap().success(), "{program}");
        }
        fs::write(folder.join(name), "{}").unwrap();
        machine.unmount_all();
        let before = machine.fingerprint("eda");
        let (todo, warnings) = boot(&machine, &site);
        assert_eq!(
            (todo.is_empty(), machine.fingerprint("eda") == before),
            (kept, kept),
            "{name}: {todo:?} {warnings:?}"
        );
        let named = warnings.iter().any(|line| line.contains("the finished installation of the build ffff"));
        assert_eq!(named, kept, "{warnings:?}");
    }
}

#[test]
fn a_disk_whose_partition_carries_an_iso_image_or_cannot_be_read_is_never_a_data_disk() {
    if !loops::allowed() {
        return;
    }
    let (mut machine, site) = (node(), test_site("[disks]\nwipe = \"all\"\n"));
    machine.add("eda", GIB, |file| {
        put_table(file, PARTITION);
        put(file, (1 << 20) + 32769, b"CD001");
    });
    machine.add("edb", GIB, |file| put_table(file, PARTITION));
    machine.add_partition("eda", PARTITION);
    let unreadable = machine.add_partition("edb", PARTITION);
    fs::remove_file(machine.root().join(unreadable.trim_start_matches('/'))).unwrap();
    let before = machine.fingerprints();
    let (todo, warnings) = boot(&machine, &site);
    assert_eq!((todo.len(), warnings.len()), (0, 2), "{todo:?} {warnings:?}");
    assert!(warnings[0].contains("or carries an ISO image"), "{warnings:?}");
    assert!(warnings[1].contains(&format!("{unreadable} can't be read")), "{warnings:?}");
    assert_eq!(machine.fingerprints(), before);
}

/// Formats `eda` while `event` happens before the first call that begins with `call`; returns the warnings.
fn format_while(
    machine: &Machine,
    site: &Site,
    call: &str,
    event: impl FnOnce() + Send + 'static,
) -> Vec<String> {
    *machine.meanwhile.lock().unwrap() = Some((call.into(), Box::new(event)));
    let system = machine.system();
    let step = DataDisks::new(site).with(vec!["eda".into()]);
    step.apply(&system).unwrap();
    assert!(machine.meanwhile.lock().unwrap().is_none(), "{call} was not called");
    assert!(!machine.calls.lock().unwrap().iter().any(|line| line.starts_with("mkfs")), "{call}");
    step.check(&system).unwrap().warnings
}

#[test]
fn a_name_that_comes_to_mean_another_disk_is_not_formatted() {
    if !loops::allowed() {
        return;
    }
    // Before the disk is opened, and between the wipe, which works on what was opened, and mkfs.
    for call in ["udevadm settle", "blockdev --rereadpt"] {
        let (mut machine, site) = (node(), test_site(""));
        machine.add("eda", GIB, |_| ());
        machine.add("edb", GIB, |file| put(file, 600 << 20, b"data in its middle"));
        let before = machine.fingerprint("edb");
        let (name, other) = (machine.root().join("dev/eda"), machine.device("edb").to_owned());
        let warnings = format_while(&machine, &site, call, move || {
            fs::remove_file(&name).unwrap();
            std::os::unix::fs::symlink(&other, &name).unwrap();
        });
        let text = "/dev/eda is not what was decided about (it is the device 7:";
        assert!(warnings.iter().any(|line| line.contains(text)), "{call}: {warnings:?}");
        assert_eq!(machine.fingerprint("edb"), before, "{call}");
    }
}

#[test]
fn a_disk_that_is_written_to_after_the_look_is_not_formatted() {
    if !loops::allowed() {
        return;
    }
    for call in ["udevadm settle", "blockdev --rereadpt"] {
        let (mut machine, site) = (node(), test_site(""));
        machine.add("eda", GIB, |_| ());
        let device = machine.device("eda").to_owned();
        let warnings = format_while(&machine, &site, call, move || {
            fs::write(device, b"somebody's data").unwrap();
        });
        let text = "/dev/eda is not what was decided about (what is on it has changed)";
        assert!(warnings.iter().any(|line| line.contains(text)), "{call}: {warnings:?}");
        // It is nobody's half-made file system, at the next boot either.
        let (todo, warnings) = boot(&machine, &site);
        assert_eq!((todo.len(), warnings.len()), (0, 1), "{call}: {todo:?} {warnings:?}");
        assert_eq!(machine.bytes("eda", 0, 15), b"somebody's data");
    }
}

#[test]
fn a_half_made_file_system_that_is_refused_for_a_moment_is_formatted_later() {
    if !loops::allowed() {
        return;
    }
    let (mut machine, site) = (node(), test_site(""));
    machine.add("eda", GIB, |_| ());
    machine.answers.push(("mkfs.ext3".into(), 1, "input/output error".into()));
    boot(&machine, &site);
    machine.answers.clear();
    fs::write(machine.device("eda"), b"half a file system").unwrap();
    let exclusive = nix::fcntl::OFlag::O_EXCL.bits();
    let claim = fs::File::options().read(true).custom_flags(exclusive).open(machine.device("eda")).unwrap();
    let (_, warnings) = boot(&machine, &site);
    assert!(warnings[0].contains("can't be had for this installation alone"), "{warnings:?}");
    drop(claim);
    assert_eq!(boot(&machine, &site).1, Vec::<String>::new());
    assert_eq!(disk(&machine, "eda").mounts, ["/data/disk1"]);
}

#[test]
fn a_disk_that_cannot_be_formatted_is_a_warning_and_is_tried_again_at_the_next_boot() {
    if !loops::allowed() {
        return;
    }
    let (mut machine, site) = (node(), test_site(""));
    machine.add("eda", GIB, |_| ());
    machine.add("edb", GIB, |_| ());
    machine.answers.push(("mkfs.ext3 -F -q -m 0 -L cias-disk1".into(), 1, "input/output error".into()));
    let (_, warnings) = boot(&machine, &site);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("/dev/eda, 1.0 GB could not be formatted: `mkfs.ext3"), "{warnings:?}");
    assert!(disk(&machine, "eda").mounts.is_empty());
    assert_eq!(disk(&machine, "edb").mounts, ["/data/disk2"]);
    // It left something behind, as a mkfs that was cut off does.
    fs::write(machine.device("eda"), b"half a file system").unwrap();
    machine.answers.clear();
    let (todo, warnings) = boot(&machine, &site);
    assert_eq!(todo, ["format /dev/eda, 1.0 GB as ext3 and mount it at /data/disk1"]);
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(disk(&machine, "eda").mounts, ["/data/disk1"]);
}

#[test]
fn after_an_interruption_nothing_is_written_any_more_and_the_next_run_goes_on() {
    if !loops::allowed() {
        return;
    }
    let (mut machine, site) = (node(), test_site("[disks]\nwipe = \"all\"\n"));
    machine.add("eda", GIB, |file| put_signature(file, "xfs"));
    let before = machine.fingerprint("eda");
    for (command, written) in [("udevadm", false), ("mkfs.ext3", true), ("mount ", true)] {
        machine.errors = vec![(command.into(), Class::Interrupted)];
        let error = DataDisks::new(&site).with(machine.names()).apply(&machine.system()).expect_err(command);
        assert_eq!(Class::of(&error), Class::Interrupted, "{command}: {error:#}");
        assert_eq!(machine.fingerprint("eda") != before, written, "{command}");
    }
    machine.errors.clear();
    assert_eq!(boot(&machine, &site).1, Vec::<String>::new());
    assert_eq!(disk(&machine, "eda").mounts, ["/data/disk1"]);
}

#[test]
fn a_disk_that_cannot_be_mounted_is_a_warning() {
    if !loops::allowed() {
        return;
    }
    let (mut machine, site) = (node(), test_site(""));
    machine.add("eda", GIB, |_| ());
    machine.answers.push(("mount ".into(), 32, "bad superblock".into()));
    let (_, warnings) = boot(&machine, &site);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("/dev/eda, 1.0 GB could not be mounted at /data/disk1"), "{warnings:?}");
}

#[test]
fn all_disks_are_formatted_at_the_same_time() {
    if !loops::allowed() {
        return;
    }
    let (mut machine, site) = (node(), test_site(""));
    for name in ["eda", "edb", "edc"] {
        machine.add(name, GIB, |_| ());
    }
    // Each mkfs waits for the other two; one after the other they would wait for ever.
    machine.together = Some(("mkfs.ext3".into(), std::sync::Barrier::new(3)));
    let (todo, warnings) = boot(&machine, &site);
    assert_eq!((todo.len(), warnings.len()), (3, 0));
}
