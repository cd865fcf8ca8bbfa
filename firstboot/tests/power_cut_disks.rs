//! Cuts the power at every point of clearing the system disk, of installing, and of bringing up the data disks, on loop
//! devices; the next start must end as if nothing had happened. Needs root and the feature `failpoints`.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/installer.rs"]
mod installer;
#[path = "support/loops.rs"]
mod loops;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cias_firstboot::console::Console;
use cias_firstboot::disks::DataDisks;
use cias_firstboot::install;
use cias_firstboot::preinstall;
use cias_firstboot::preinstall::turn::Turn;
use cias_firstboot::site::{self, Who};
use cias_firstboot::step::Step;
use installer::{GIB, MIB, options};
use loops::{Machine, put, put_signature, put_table};

/// What the shell makes of signal 9.
const KILLED: i32 = 128 + 9;
/// Where a child finds the machine.
const ROOT: &str = "CIAS_TEST_ROOT";
const FSTAB: &str = "/dev/pve/root / ext3 errors=remount-ro 0 1\n";

/// Runs the ignored test `name` of this program, which works on `machine` and may be killed; returns what it said, too.
///
/// A power cut ends commands, too. The shell is the first process of a namespace, and all that its child started is killed
/// and gone when it ends; the child itself could not be killed from inside if it were the first.
fn child(machine: &Machine, name: &str, point: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "sh", "-c", "\"$@\"; exit $?", "sh"]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--test-threads=1"]).env(ROOT, machine.root());
    match point {
        Some(point) => command.env("CIAS_FAILPOINT", point),
        None => command.env("CIAS_FAILPOINT_LIST", machine.root().join("points")),
    };
    let output = command.output().unwrap();
    machine.unmount_all();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Counts the points of `name` in an undisturbed run on a machine of `make`, then cuts at each of them, and at those that
/// only a stand-in knows, on a machine of its own; `state` must tell the same of both after the next start.
fn cut_everywhere(
    name: &str,
    least: usize,
    of_stand_in: &[&str],
    make: impl Fn() -> Machine + Sync,
    state: impl Fn(&Machine) -> String + Sync,
) {
    if !loops::allowed() {
        return;
    }
    let whole = make();
    let (status, said) = child(&whole, name, None);
    assert_eq!(status, Some(0), "{said}");
    let wanted = state(&whole);
    let text = fs::read_to_string(whole.root().join("points")).unwrap();
    let count = text.lines().count();
    assert!(count >= least, "only {count} points were reached");
    // By number, and by name: disks are formatted at the same time, so that a number is not always the same point.
    let names: std::collections::BTreeSet<&str> = text.lines().collect();
    let points: Vec<String> = (1..=count)
        .map(|number| format!("#{number}"))
        .chain(names.into_iter().chain(of_stand_in.iter().copied()).map(str::to_owned))
        .collect();
    let folder = whole.root().to_str().unwrap();
    let [next, missed] = [0, 0].map(std::sync::atomic::AtomicUsize::new);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst)) {
                    let machine = make();
                    let here = point.replace(folder, machine.root().to_str().unwrap());
                    let (cut, said) = child(&machine, name, Some(&here));
                    // The kernel is asked again while a disk is busy for a moment, so that not all runs are equally long.
                    if cut == Some(0) && point.starts_with('#') {
                        missed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        continue;
                    }
                    assert_eq!(cut, Some(KILLED), "the power did not go at point {point}: {said}");
                    let (next, said) = child(&machine, name, None);
                    assert_eq!(next, Some(0), "the start after point {point} failed: {said}");
                    assert_eq!(state(&machine), wanted, "after the power went at point {point}");
                }
            });
        }
    });
    let missed = missed.into_inner();
    assert!(missed * 4 < count, "{missed} of {count} numbers were not reached");
}

fn lent() -> Machine {
    Machine::lent(Path::new(&std::env::var_os(ROOT).expect("this is started by another test")))
}

/// Two blank disks, and two whose data stays.
fn node() -> Machine {
    let mut machine = Machine::new();
    fs::write(machine.root().join("etc/fstab"), FSTAB).unwrap();
    machine.add("eda", GIB, |_| ());
    machine.add("edb", GIB, |file| put_signature(file, "xfs"));
    machine.add("edc", GIB, |_| ());
    machine.add("edd", GIB, |file| put(file, GIB - 1, &[1]));
    machine
}

#[test]
#[ignore = "is started by the next one"]
fn data_disks() {
    let machine = lent();
    let site = site::from_text(include_str!("support/site.toml")).unwrap();
    let step = DataDisks::new(&site).with(machine.names());
    let system = machine.system();
    if !step.check(&system).unwrap().todo.is_empty() {
        step.apply(&system).unwrap();
    }
    let after = step.check(&system).unwrap();
    assert_eq!((after.todo.len(), after.warnings.len()), (0, 2), "{after:?}");
}

#[test]
fn data_disks_end_up_the_same_wherever_the_power_goes() {
    cut_everywhere("data_disks", 30, &[], node, |machine| {
        let mut told = Vec::new();
        for name in ["eda", "edc"] {
            let device = machine.device(name);
            let check = Command::new("e2fsck").args(["-fn", device]).output().unwrap();
            assert!(check.status.success(), "{name}: {}", String::from_utf8_lossy(&check.stdout));
            let disks = machine.source().disks().unwrap();
            let found = disks.into_iter().find(|disk| disk.name == name).unwrap();
            let signatures = found.contents.signatures();
            assert_eq!(signatures.len(), 1, "{name}: {signatures:?}");
            let uuid = signatures[0].uuid.clone().unwrap();
            let fstab = fs::read_to_string(machine.root().join("etc/fstab")).unwrap();
            let line = fstab.lines().find(|line| line.contains(&uuid)).unwrap().replace(&uuid, "");
            told.push(format!(
                "{name} {} {line} {}",
                signatures[0].label.clone().unwrap(),
                fstab.lines().count()
            ));
        }
        let left = machine.root().join("var/lib/cias/formatting.json").exists();
        format!("{told:?} {left} {} {}", machine.fingerprint("edb"), machine.fingerprint("edd"))
    });
}

/// A server whose system disk has a table, a partition and old signatures, and another disk.
fn server() -> Machine {
    let mut machine = installer::installer("[install.disk]\npick = \"smallest\"\n");
    machine.add("eda", 5 * GIB, |file| put(file, 0, b"somebody's data"));
    machine.add("edb", 4 * GIB, |file| {
        put_signature(file, "gpt");
        put_table(file, 100 * 2048);
        put(file, MIB + 1024, b"in the first MiB of the partition");
        put(file, 4 * GIB - 4096, b"at the end of the disk");
    });
    machine
}

/// Chooses and clears the disk; nothing if this build is installed already.
fn clear(machine: &Machine) -> Option<Turn> {
    let (system, source, options) = (machine.system(), machine.source(), options(machine));
    // A power cut leaves nothing open; a killed process does, for a moment.
    let end = Instant::now() + Duration::from_secs(30);
    let decide = || preinstall::decide(&system, &source, &Who::default(), &options);
    let mut decided = decide();
    while decided.as_ref().is_err_and(|error| error.to_string().contains("is busy)")) && Instant::now() < end
    {
        decided = decide();
    }
    let decision = match decided {
        Err(error) if error.to_string().contains("the finished installation of this very build") => {
            return None;
        }
        decision => decision.unwrap(),
    };
    assert!(decision.disk.path.ends_with("edb"));
    let mut console = Console::open(machine.root(), "");
    Some(preinstall::apply(&system, &source, &Who::default(), &mut console, &decision, &options).unwrap())
}

fn lent_server() -> Machine {
    let mut machine = lent();
    machine.answers.push(("vgs ".into(), 0, String::new()));
    machine
}

#[test]
#[ignore = "is started by the next one"]
fn system_disk() {
    assert!(clear(&lent_server()).is_some());
}

#[test]
fn the_system_disk_ends_up_the_same_wherever_the_power_goes() {
    cut_everywhere("system_disk", 10, &[], server, |machine| {
        let answers = fs::read_to_string(machine.root().join("work/answers.json")).unwrap();
        let mut answers: serde_json::Value = serde_json::from_str(&answers).unwrap();
        answers["password"] = "random".into();
        format!("{answers} {} {}", machine.fingerprint("eda"), machine.fingerprint("edb"))
    });
}

/// What the stand-in of the vendor's installer does, each step with a point after it.
const STEPS: [(&str, &str); 6] = [
    ("table", "dd if=$ROOT/table of=$DISK conv=notrunc 2>&1; addpart $DISK 1 2048 204800"),
    ("file system", "mkfs.ext3 -q -F -U 01234567-89ab-cdef-0123-456789abcdef ${DISK}p1"),
    ("mount", "mkdir -p $ROOT/target; mount ${DISK}p1 $ROOT/target; mkdir $ROOT/target/boot"),
    ("system", "echo system >$ROOT/target/boot/vmlinuz; sync $ROOT/target/boot/vmlinuz"),
    (
        "marker",
        // Not `sync -f`: the suite runs once more without syncfs, which the target's kernel lacks.
        "marker=$ROOT/target/boot/cias-installed-0123456789abcdef; echo '{\"site\": \"X\"}' >$marker; sync $marker $ROOT/target/boot",
    ),
    ("unmount", "umount $ROOT/target"),
];

/// A server whose vendor's installer is a stand-in: it wants a cleared disk and answers that only root can read.
fn server_with_installer() -> Machine {
    let machine = server();
    let mut table = vec![0; 512];
    table[446 + 4] = 0x83;
    table[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
    table[446 + 12..446 + 16].copy_from_slice(&204_800_u32.to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    fs::write(machine.root().join("table"), table).unwrap();
    let mut script = format!(
        "#!/bin/sh -e\n# A stand-in of the vendor's installer.\nROOT={}\nDISK={}\n",
        machine.root().display(),
        machine.device("edb")
    );
    script += "echo 'cias: this is a stand-in of proxinstall' >&2\n\
        fail() { echo \"cias: installation failed: $1\" >&2; exit 1; }\n\
        test \"$(stat -c %a $CIAS_ANSWERS)\" = 600 || fail 'others can read the answers'\n\
        grep -q '\"password\":\"[a-p]\\{16\\}\"' $CIAS_ANSWERS || fail 'no password'\n\
        cmp -s -n 1048576 $DISK /dev/zero || fail 'the disk is not cleared'\n";
    let step = |(name, command)| {
        format!("{command}\ntest \"$CIAS_FAILPOINT\" != 'proxinstall {name}' || kill -9 $PPID $$\n")
    };
    script.extend(STEPS.map(step));
    let path = machine.root().join("proxinstall");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    machine
}

#[test]
#[ignore = "is started by the next one"]
fn installation() {
    let machine = lent_server();
    // The installer's root lies in memory, which is empty at each start.
    let work = machine.root().join("work");
    if work.exists() {
        fs::remove_dir_all(&work).unwrap();
    }
    let Some(turn) = clear(&machine) else { return };
    let console = Console::open(machine.root(), "");
    install::run_installer(&console, &machine.root().join("proxinstall"), &options(&machine).answers)
        .unwrap();
    drop(turn);
}

/// Until the marker is written a start begins afresh; after it the system is there, and the start leaves it alone.
#[test]
fn an_installation_ends_up_the_same_wherever_the_power_goes() {
    let points: Vec<String> = STEPS.iter().map(|(name, _)| format!("proxinstall {name}")).collect();
    let points: Vec<&str> = points.iter().map(String::as_str).collect();
    cut_everywhere("installation", 20, &points, server_with_installer, |machine| {
        assert!(!machine.root().join("work/answers.json").exists(), "the password is still there");
        let folder = machine.root().join("installed");
        fs::create_dir_all(&folder).unwrap();
        let partition = format!("{}p1", machine.device("edb"));
        loops::mount_read_only(&partition, &folder);
        let mut told: Vec<(String, String)> = fs::read_dir(folder.join("boot"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
            })
            .collect();
        told.sort();
        machine.unmount_all();
        assert_eq!(told.len(), 2, "{told:?}");
        format!("{told:?} {}", machine.fingerprint("eda"))
    });
}

#[test]
fn the_answers_go_also_when_the_installer_fails_or_cannot_be_started() {
    let folder = tempfile::tempdir().unwrap();
    let (program, answers) = (folder.path().join("proxinstall"), folder.path().join("answers.json"));
    let console = Console::open(folder.path(), "");
    fs::write(&answers, "secret").unwrap();
    let error = install::run_installer(&console, &program, &answers).unwrap_err();
    assert!(format!("{error:#}").starts_with("starting "), "{error:#}");
    assert!(!answers.exists());
    fs::write(&answers, "secret").unwrap();
    fs::write(&program, "#!/bin/sh\n# A stand-in.\necho 'cias: installation failed: no disk' >&2; exit 7\n")
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let error = install::run_installer(&console, &program, &answers).unwrap_err();
    assert_eq!(error.to_string(), "no disk (exit status: 7)");
    assert!(!answers.exists());
}
