//! Cuts the power at every point of clearing the system disk and of bringing up the data disks, on loop devices; the next
//! start must end as if nothing had happened. Needs root and the feature `failpoints`.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/loops.rs"]
mod loops;

use std::fs;
use std::path::Path;
use std::process::Command;

use cias_firstboot::console::Console;
use cias_firstboot::disks::DataDisks;
use cias_firstboot::preinstall::{self, Options};
use cias_firstboot::region::{self, Payload};
use cias_firstboot::site::{self, Who};
use cias_firstboot::step::Step;
use loops::{Machine, put, put_signature, put_table};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
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

/// Counts the points of `name` in an undisturbed run on a machine of `make`, then cuts at each of them on a machine of its
/// own; `state` must tell the same of both after the next start.
fn cut_everywhere(
    name: &str,
    least: usize,
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
    let points: Vec<String> =
        (1..=count).map(|number| format!("#{number}")).chain(names.into_iter().map(str::to_owned)).collect();
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
    cut_everywhere("data_disks", 30, node, |machine| {
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
    let mut machine = Machine::new();
    let write = |path: &str, bytes: &[u8]| {
        let path = machine.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("proc/cmdline", b"cias.auto cias.countdown=0\n");
    write(
        "proxmox/country.dat",
        b"map:en-us:U.S. English:en-us:us.kmap:us::\nmap:de:German:de:de.kmap:de::\nde:Germany:de::\n",
    );
    write("usr/share/zoneinfo/zone.tab", b"DE\t+5230+01322\tEurope/Berlin\n");
    let site_toml = format!("{}[install.disk]\npick = \"smallest\"\n", include_str!("support/site.toml"));
    let payload = Payload { build_id: "0123456789abcdef".into(), manifest_sha256: String::new(), site_toml };
    write("site.bin", &region::encode(&payload).unwrap());
    machine.add("eda", 5 * GIB, |file| put(file, 0, b"somebody's data"));
    machine.add("edb", 4 * GIB, |file| {
        put_signature(file, "gpt");
        put_table(file, 100 * 2048);
        put(file, MIB + 1024, b"in the first MiB of the partition");
        put(file, 4 * GIB - 4096, b"at the end of the disk");
    });
    machine
}

#[test]
#[ignore = "is started by the next one"]
fn system_disk() {
    let mut machine = lent();
    machine.answers.push(("vgs ".into(), 0, String::new()));
    let at = |name: &str| machine.root().join(name);
    let options = Options {
        region: at("site.bin"),
        answers: at("work/answers.json"),
        look: at("work/look"),
        dry_run: false,
    };
    let (system, source) = (machine.system(), machine.source());
    let decision = preinstall::decide(&system, &source, &Who::default(), &options).unwrap();
    assert!(decision.disk.path.ends_with("edb"));
    let mut console = Console::open(machine.root(), "");
    preinstall::apply(&system, &source, &Who::default(), &mut console, &decision, &options).unwrap();
}

#[test]
fn the_system_disk_ends_up_the_same_wherever_the_power_goes() {
    cut_everywhere("system_disk", 10, server, |machine| {
        let answers = fs::read_to_string(machine.root().join("work/answers.json")).unwrap();
        let mut answers: serde_json::Value = serde_json::from_str(&answers).unwrap();
        answers["password"] = "random".into();
        format!("{answers} {} {}", machine.fingerprint("eda"), machine.fingerprint("edb"))
    });
}
