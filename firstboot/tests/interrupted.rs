//! Runs that are cut short, and journals that a node must not trust: each has one answer (docs/power.md).
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/node.rs"]
mod node;
#[path = "support/tree.rs"]
mod tree;

use std::fs::{File, FileTimes};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use node::Node;

const PIN: &str = "[role]\nfounder = { serial = \"LAB-0001\" }\n";
const BOOT: &str = "proc/sys/kernel/random/boot_id";

fn node() -> Node {
    let node = Node::new("fresh-node", PIN);
    boots(&node, "first");
    node
}

/// The kernel's name for this boot.
fn boots(node: &Node, name: &str) {
    let path = node.path(BOOT);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("{name}\n")).unwrap();
}

/// Starts a run and returns when it is inside step 9, whose command does not end by itself.
fn hang(node: &Node) -> Child {
    mkfifo(&node.path("fifo"), Mode::S_IRWXU).unwrap();
    node.answers("hostname", Some("read line < $ROOT/fifo"));
    let child = node.command(&["run"], &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = || node.read("calls").lines().any(|line| line.starts_with("hostname"));
    let end = SystemTime::now() + Duration::from_mins(2);
    while !begun() {
        assert!(SystemTime::now() < end, "step 9 was not reached");
        std::thread::yield_now();
    }
    child
}

fn end(child: Child, signal: Signal) -> Output {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs again, to the end; returns the status in both forms.
fn go_on(node: &Node) -> (String, serde_json::Value) {
    node.answers("hostname", None);
    node.wants(0, &["run"]);
    let json = serde_json::from_str(&node.wants(0, &["status", "--json"]).0).unwrap();
    (node.wants(0, &["status"]).0, json)
}

#[test]
fn status_says_where_a_run_went_on_after_power_loss() {
    let node = node();
    end(hang(&node), Signal::SIGKILL);
    // The command does not die with us here, as it does with a machine: let it end.
    drop(
        File::options()
            .read(true)
            .write(true)
            .open(node.path("fifo"))
            .map(|mut fifo| std::io::Write::write_all(&mut fifo, b"\n")),
    );
    assert!(node.wants(0, &["status"]).0.contains("interrupted at step 9 of 10 of identity"));
    boots(&node, "second");
    let (text, json) = go_on(&node);
    assert!(
        text.contains("identity: 10 of 10 steps done, resumed at step 9 of 10 after power loss\n"),
        "{text}"
    );
    assert_eq!(json["stages"][0]["resumed"], serde_json::json!({"step": 9, "of": 10, "cause": "power-loss"}));
    assert_eq!(json["state"], "done");
}

#[test]
fn a_signal_ends_the_running_command_too_and_is_no_power_loss() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let node = node();
        let output = end(hang(&node), signal);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        // Nobody reads the fifo any more, so that opening it for writing alone fails.
        let fifo = nix::fcntl::open(
            &node.path("fifo"),
            nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_NONBLOCK,
            Mode::empty(),
        );
        assert_eq!(fifo.err(), Some(nix::errno::Errno::ENXIO), "the command outlived the run");
        boots(&node, "second");
        let (text, _) = go_on(&node);
        assert!(text.contains("resumed at step 9 of 10 after an interruption"), "{text}");
    }
}

#[test]
fn another_machines_journal_is_refused_until_a_person_says_otherwise() {
    let node = node();
    node.wants(0, &["run"]);
    let set = |serial: &str, first: &str, second: &str| {
        std::fs::write(node.path("sys/class/dmi/id/product_serial"), serial).unwrap();
        std::fs::write(node.path("sys/class/net/eth0/address"), first).unwrap();
        std::fs::write(node.path("sys/class/net/eth1/address"), second).unwrap();
    };
    set("OTHER", "52:54:00:00:00:01\n", "52:54:00:00:00:99\n");
    // A new main board and one new NIC: still the same machine.
    node.wants(0, &["run"]);
    set("OTHER", "52:54:00:00:00:98\n", "52:54:00:00:00:99\n");
    for _ in 0..2 {
        let (_, stderr) = node.wants(5, &["run"]);
        assert!(stderr.contains("another machine's: found serial number OTHER"), "{stderr}");
        assert!(stderr.contains("wanted one of serial number LAB-0001"), "{stderr}");
    }
    assert!(node.wants(0, &["status"]).0.contains("failed"));
    set("LAB-0001", "52:54:00:00:00:98\n", "52:54:00:00:00:99\n");
    node.wants(0, &["run"]);
    assert!(node.wants(0, &["status"]).0.contains("): done"));
}

#[test]
fn a_clock_that_went_back_changes_nothing() {
    let node = node();
    node.wants(0, &["run"]);
    let journal = node.path("var/lib/cias/journal.json");
    let future = SystemTime::now() + Duration::from_hours(24 * 365 * 40);
    File::options()
        .write(true)
        .open(&journal)
        .unwrap()
        .set_times(FileTimes::new().set_modified(future))
        .unwrap();
    let before = node.snapshot();
    node.wants(0, &["run"]);
    assert_eq!(node.snapshot(), before);
    assert!(node.wants(0, &["status"]).0.contains("): done"));
}

#[test]
fn a_read_only_file_system_is_named_and_nothing_is_begun() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: a mount needs root");
        return;
    }
    let node = node();
    let before = node.snapshot();
    let run = node.command(&["run"], &[]);
    // In a mount namespace of its own, which goes with the process.
    let line = "mount --bind \"$ROOT\" \"$ROOT\" && mount -o remount,ro,bind \"$ROOT\" && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", line, "sh"])
        .arg(run.get_program())
        .args(run.get_args())
        .env("ROOT", node.path(""))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("read-only file system") && stderr.contains("remount,rw"), "{stderr}");
    assert_eq!(node.snapshot(), before);
}

/// What the kernel was asked for, in its order: a journal that was not synced before it was renamed may be empty after a
/// power cut, and one whose folder was not synced may be the old one.
#[test]
fn the_journal_is_on_the_disk_before_it_is_renamed_and_its_folder_after() {
    if std::env::var_os("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUNNER").is_some() {
        eprintln!("skipped: the filter of ci/old-target is no place for a tracer");
        return;
    }
    let node = node();
    let run = node.command(&["run"], &[]);
    let trace = node.path("trace");
    let output = Command::new("/usr/bin/strace")
        .args(["-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o"])
        .arg(&trace)
        .arg(run.get_program())
        .args(run.get_args())
        .env("ROOT", node.path(""))
        .env("PATH", run.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap())
        .output();
    let output = output.expect("strace is installed by ci/setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> = text.lines().filter(|line| line.contains("/var/lib/cias")).collect();
    let renames = || calls.iter().enumerate().filter(|(_, line)| line.contains("rename"));
    assert!(renames().count() > 10, "{text}");
    for (at, line) in renames() {
        let before = calls[..at].last().copied().unwrap_or_default();
        let after = calls.get(at + 1).copied().unwrap_or_default();
        let temporary = line.split('"').nth(1).unwrap();
        assert!(temporary.ends_with(".cias-new"), "{line}");
        assert!(
            before.contains("fsync") && before.contains(&format!("{temporary}>")),
            "before {line}: {before}"
        );
        assert!(after.contains("fsync") && after.contains("/var/lib/cias>"), "after {line}: {after}");
    }
}
