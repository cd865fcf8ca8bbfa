//! Preinstall on loop devices: it clears one disk and no other, and each refusal leaves every byte as it was. Without the
//! refusal each of these tests would find its disk cleared.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/installer.rs"]
mod installer;
#[path = "support/loops.rs"]
mod loops;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use cias_firstboot::outcome::Class;
use cias_firstboot::preinstall;
use cias_firstboot::site::Who;
use installer::{BUILD, GIB, MIB, PARTITION, installer, options, preinstall, put_boot_partition, refuses};
use loops::{put, put_signature, put_table};

#[test]
fn the_chosen_disk_is_cleared_at_its_ends_and_nothing_else_is_touched() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("[install.disk]\npick = \"smallest\"\n");
    let partition_end = MIB + 100 * MIB;
    machine.add("eda", 5 * GIB, |file| put(file, 0, b"somebody's data"));
    machine.add("edb", 4 * GIB, |file| {
        put_signature(file, "gpt");
        put_table(file, PARTITION);
        put(file, MIB + 1024, b"in the first MiB of the partition");
        put(file, partition_end - 512, b"in its last");
        put(file, 50 * MIB, b"in its middle");
        put(file, 4 * GIB - 4096, b"at the end of the disk");
    });
    let partition = machine.add_partition("edb", PARTITION);
    // As small as the kernel shows an extended one.
    installer::tool("addpart", &[machine.device("edb"), "2", "300000", "2"]);
    let other = machine.fingerprint("eda");
    preinstall(&machine, machine.root()).unwrap();
    assert_eq!(machine.fingerprint("eda"), other);
    for at in [0, MIB, partition_end - MIB, 4 * GIB - MIB] {
        assert!(machine.bytes("edb", at, 1 << 20).iter().all(|byte| *byte == 0), "at {at}");
    }
    assert_eq!(machine.bytes("edb", 50 * MIB, 13), b"in its middle");
    assert!(!Path::new(&partition).exists(), "the kernel knows the partition");

    let path = options(&machine).answers;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let answers: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!((&answers["disk"], &answers["country"]), (&"/dev/edb".into(), &"Germany".into()));
    assert_eq!(answers["password"].as_str().unwrap().len(), 16);
    assert!(answers.as_object().unwrap().values().all(serde_json::Value::is_string));
}

#[test]
fn a_decision_alone_writes_nothing() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put_signature(file, "xfs"));
    let before = machine.fingerprints();
    let decision =
        preinstall::decide(&machine.system(), &machine.source(), &Who::default(), &options(&machine))
            .unwrap();
    assert!(preinstall::show(&decision).contains("clear /dev/eda, 4.2 GB after 0 s"));
    assert_eq!(machine.fingerprints(), before);
    assert!(!options(&machine).answers.exists());
}

#[test]
fn disks_that_may_never_be_cleared_are_refused_with_the_table() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("[install.disk]\npick = \"first\"\n");
    machine.add_read_only("eda", 4 * GIB);
    machine.add("edb", 4 * GIB - 512, |_| ());
    machine.add("edc", 4 * GIB, |file| put(file, 32769, b"CD001"));
    machine.add("nope", 4 * GIB, |_| ());
    machine.add("edd", 4 * GIB, |file| put_table(file, PARTITION));
    let partition = put_boot_partition(&machine, "edd", "x");
    let mounted = machine.root().join("mounted");
    fs::create_dir(&mounted).unwrap();
    assert!(
        std::process::Command::new("mount")
            .args(["-r", &partition])
            .arg(&mounted)
            .status()
            .unwrap()
            .success()
    );
    for wanted in [
        "no disk is fit for the system: no disk was touched",
        "/dev/eda, 4.2 GB: refused, it is read-only",
        "/dev/edb, 4.2 GB: refused, it is smaller than 4.2 GB",
        "/dev/edc, 4.2 GB: refused, it is the boot medium or carries an ISO image",
        "/dev/edd, 4.2 GB: refused, it is mounted on /mounted",
        "/dev/nope, 4.2 GB: refused, the vendor's installer knows no device of that name",
    ] {
        refuses(&machine, wanted);
    }
}

#[test]
fn two_fit_disks_without_a_pick_are_refused() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |_| ());
    machine.add("edb", 5 * GIB, |_| ());
    refuses(&machine, "2 disks are fit for the system and install.disk.pick does not say which");
}

#[test]
fn a_group_or_an_array_with_a_member_on_another_disk_stops_it() {
    if !loops::allowed() {
        return;
    }
    let array = |file: &mut File| {
        put(file, 4096, &[0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]);
        put(file, 4096 + 16, &[0xab; 16]);
        put(file, 4096 + 32, b"host:0");
    };
    let lvm = |name: &'static str| move |file: &mut File| put_signature(file, name);
    let mut groups = installer("[install.disk]\npick = \"first\"\n");
    groups.add("eda", 4 * GIB, lvm("lvm"));
    groups.add("edb", 4 * GIB, lvm("lvm_other"));
    refuses(&groups, "of pve, which has another member on /dev/edb");
    let mut arrays = installer("[install.disk]\npick = \"first\"\n");
    arrays.add("eda", 4 * GIB, array);
    arrays.add("edb", 4 * GIB, array);
    refuses(&arrays, "of host:0, which has another member on /dev/edb");
}

#[test]
fn a_group_of_the_vendors_name_elsewhere_stops_it() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("[install.disk]\npick = \"first\"\n");
    machine.add("eda", 4 * GIB, |_| ());
    machine.add("edb", 4 * GIB, |file| put_signature(file, "lvm"));
    refuses(&machine, "/dev/edb carries LVM physical volume of \"pve\"");

    let mut hidden = installer("");
    hidden.add("eda", 4 * GIB, |_| ());
    hidden.answers.insert(0, ("vgs ".into(), 0, "  pve,/dev/md0\n".into()));
    refuses(&hidden, "/dev/md0 belongs to a volume group \"pve\"");
}

#[test]
fn a_finished_installation_needs_the_word_and_a_half_one_does_not() {
    if !loops::allowed() {
        return;
    }
    for (marker, wanted) in [
        (format!("cias-installed-{BUILD}"), "the finished installation of this very build"),
        (
            "cias-installed-ffff".to_owned(),
            "the finished installation of the build ffff of the site \"elsewhere\"",
        ),
    ] {
        let mut machine = installer("");
        machine.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
        put_boot_partition(&machine, "eda", &marker);
        refuses(&machine, wanted);
        fs::write(machine.root().join("proc/cmdline"), "cias.reinstall cias.countdown=0").unwrap();
        preinstall(&machine, machine.root()).unwrap();
    }
    let mut half = installer("");
    half.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
    put_boot_partition(&half, "eda", "vmlinuz");
    preinstall(&half, half.root()).unwrap();
}

#[test]
fn an_installation_on_another_disk_is_named_and_this_builds_own_stops_it() {
    if !loops::allowed() {
        return;
    }
    for (marker, stops) in
        [("cias-installed-ffff".to_owned(), false), (format!("cias-installed-{BUILD}"), true)]
    {
        let mut machine = installer("[install.disk]\npath = \"/dev/eda\"\n");
        machine.add("eda", 4 * GIB, |file| put(file, 0, b"data"));
        machine.add("edb", 4 * GIB, |file| put_table(file, PARTITION));
        put_boot_partition(&machine, "edb", &marker);
        if stops {
            refuses(&machine, "/dev/edb carries the finished installation of this very build");
            refuses(
                &machine,
                "Seen:\n  /dev/eda, 4.2 GB: chosen\n  /dev/edb, 4.2 GB: refused, install.disk.path wants /dev/eda; carries the",
            );
            continue;
        }
        let other = machine.fingerprint("edb");
        let decision =
            preinstall::decide(&machine.system(), &machine.source(), &Who::default(), &options(&machine))
                .unwrap();
        let line = decision.table.iter().find(|line| line.contains("/dev/edb")).unwrap();
        assert!(
            line.ends_with("carries the finished installation of the build ffff of the site \"elsewhere\""),
            "{line}"
        );
        preinstall(&machine, machine.root()).unwrap();
        assert_eq!(machine.fingerprint("edb"), other);
    }
}

#[test]
fn a_disk_that_something_has_claimed_is_refused_although_no_fact_shows_it() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put(file, 0, b"data"));
    let exclusive = nix::fcntl::OFlag::O_EXCL.bits();
    let claim = File::options().read(true).custom_flags(exclusive).open(machine.device("eda")).unwrap();
    refuses(&machine, "can't be had for this installation alone");
    drop(claim);
    preinstall(&machine, machine.root()).unwrap();
}

#[test]
fn a_disk_that_another_process_writes_to_is_refused_and_one_that_it_reads_is_not() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
    let partition = machine.add_partition("eda", PARTITION);
    for (how, device, writes) in
        [("<>", machine.device("eda"), true), ("<>", &partition, true), ("<", machine.device("eda"), false)]
    {
        // Its own child is the one that counts: what we start ourselves does not.
        let script = format!("sh -c 'exec 3{how}{device}; echo $$; read line'; true");
        let (input, output) = (Stdio::piped(), Stdio::piped());
        let mut other = Command::new("sh").args(["-c", &script]).stdin(input).stdout(output).spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(other.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        let entry = machine.root().join("proc").join(pid.trim());
        std::os::unix::fs::symlink(Path::new("/proc").join(pid.trim()), &entry).unwrap();
        if writes {
            refuses(
                &machine,
                &format!(
                    "can't be had for this installation alone (sh (process {}) writes to it)",
                    pid.trim()
                ),
            );
        } else {
            preinstall(&machine, machine.root()).unwrap();
        }
        fs::remove_file(entry).unwrap();
        drop(other.stdin.take());
        other.wait().unwrap();
    }
}

#[test]
fn a_partition_that_is_locked_is_not_cleared() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put_table(file, PARTITION));
    let partition = machine.add_partition("eda", PARTITION);
    installer::tool("blockdev", &["--setro", &partition]);
    refuses(&machine, "/dev/eda, 4.2 GB: refused, it is read-only");
}

#[test]
fn a_key_during_the_countdown_stops_it() {
    if !loops::allowed() {
        return;
    }
    let mut machine = installer("");
    machine.add("eda", 4 * GIB, |file| put(file, 0, b"data"));
    fs::write(machine.root().join("proc/cmdline"), "cias.auto cias.countdown=60").unwrap();
    let pty = nix::pty::openpty(None, None).unwrap();
    let terminal = nix::unistd::ttyname(&pty.slave).unwrap();
    let folder = machine.root().join("terminals");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(terminal, folder.join("tty0")).unwrap();
    let before = machine.fingerprints();
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| preinstall(&machine, &folder).unwrap_err());
        let mut shown = String::new();
        while !shown.contains("Erasing /dev/eda in") {
            let mut bytes = [0; 4096];
            let count = nix::unistd::read(&pty.master, &mut bytes).unwrap();
            shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        assert!(shown.contains("ALL DATA ON /dev/eda, 4.2 GB IS LOST"), "{shown}");
        nix::unistd::write(&pty.master, b" ").unwrap();
        running.join().unwrap()
    });
    assert_eq!(Class::of(&error), Class::Interrupted);
    assert_eq!(machine.fingerprints(), before);
    assert!(!options(&machine).answers.exists());
}
