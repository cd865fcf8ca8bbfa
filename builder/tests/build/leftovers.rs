//! Nothing is left behind, however a build ends, and nothing that is read is written to.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::bench::{ARGS, Bench, refused};
use crate::common;

/// Programs in front of the real ones: `xorriso` stops at one point of its work, tells its process id, and waits for a word.
struct Tools {
    folder: tempfile::TempDir,
    /// Open for writing too: it has no end, so nothing that two programs tell is lost between them.
    ready: RefCell<BufReader<fs::File>>,
}

impl Tools {
    /// `xorriso` runs `before`, the real one, then `after`; both are lines of shell in which `meet` waits for the test.
    fn new(before: &str, after: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "#!/bin/sh\nmeet() {{ mkfifo \"$TOOLS/go.$$\"; echo $$ >\"$TOOLS/ready\"; read -r go <\"$TOOLS/go.$$\"; }}\n\
             [ \"$1\" = -version ] && exec /usr/bin/xorriso \"$@\"\n{before}\n/usr/bin/xorriso \"$@\"\n{after}\n"
        );
        common::put(folder.path(), "xorriso", 0o755, script.as_bytes());
        let ready = folder.path().join("ready");
        assert!(Command::new("mkfifo").arg(&ready).status().unwrap().success());
        let ready = fs::File::options().read(true).write(true).open(ready).unwrap();
        Self { folder, ready: RefCell::new(BufReader::new(ready)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, bench: &Bench, out: &str) -> Child {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        // Whoever started the tests may have had a lost terminal ignored, as nohup does; children inherit that.
        Command::new("env")
            .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_cias-builder")])
            .args(ARGS)
            .args(["--out", out])
            .env("PATH", path)
            .env("TOOLS", self.folder.path())
            .current_dir(bench.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Waits until a `xorriso` is there, and gives its process id.
    fn met(&self) -> u32 {
        let mut line = String::new();
        self.ready.borrow_mut().read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    /// Lets that `xorriso` go on.
    fn go(&self, xorriso: u32) {
        fs::write(self.path(&format!("go.{xorriso}")), "go\n").unwrap();
    }
}

/// Sends signals at one moment: the process sees them together. The shell's own kill: a small Debian has no other.
fn signal(process: u32, signals: &[&str]) {
    let lines: Vec<String> = ["STOP"]
        .iter()
        .chain(signals)
        .chain(&["CONT"])
        .map(|signal| format!("kill -{signal} {process}"))
        .collect();
    assert!(Command::new("sh").args(["-c", &lines.join(" && ")]).status().unwrap().success());
}

/// Gone, or dead and not yet taken note of by its parent.
fn is_dead(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_signal_while_xorriso_runs_kills_it_and_leaves_nothing_also_when_a_second_one_follows() {
    for signals in [&["INT"][..], &["TERM"], &["HUP"], &["INT", "TERM"], &["INT", "HUP", "TERM"]] {
        for (before, after) in [("meet", ""), ("", "meet")] {
            let (bench, tools) = (Bench::new(), Tools::new(before, after));
            let before = bench.names();
            let child = tools.start(&bench, "out.iso");
            let xorriso = tools.met();
            signal(child.id(), signals);
            // Nobody lets xorriso go on.
            refused(&bench, &child.wait_with_output().unwrap(), 130, "interrupted", &before);
            assert!(is_dead(xorriso), "xorriso goes on after {signals:?}");
        }
    }
}

#[test]
fn a_lost_terminal_is_no_reason_to_stop_under_nohup() {
    let (bench, tools) = (Bench::new(), Tools::new("meet", ""));
    let path = format!("{}:{}", tools.folder.path().display(), std::env::var("PATH").unwrap());
    let mut child = Command::new("nohup")
        .arg(env!("CARGO_BIN_EXE_cias-builder"))
        .args(ARGS)
        .args(["--out", "out.iso"])
        .env("PATH", path)
        .env("TOOLS", tools.folder.path())
        .current_dir(bench.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let xorriso = tools.met();
    signal(child.id(), &["HUP"]);
    tools.go(xorriso);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_killed_or_failing_xorriso_is_an_error_and_leaves_nothing() {
    let half = "for each; do case $each in stdio:*) head -c 99999 /dev/zero >>\"${each#stdio:}\";; esac; done; kill -9 $$";
    let cases = [
        ("kill -9 $$", "", "137"),
        ("", "kill -9 $$", "137"),
        (half, "", "137"),
        ("echo no such luck >&2; exit 5", "", "no such luck"),
        // It says that all is well, and has done nothing, or has done it and spoiled it.
        ("exit 0", "", "not what was wanted"),
        (
            "",
            "for each; do case $each in stdio:*) printf x | dd of=\"${each#stdio:}\" bs=1 seek=432 conv=notrunc 2>&-;; esac; done",
            "the MBR does not point",
        ),
    ];
    for (before, after, wanted) in cases {
        let (bench, tools) = (Bench::new(), Tools::new(before, after));
        let before = bench.names();
        let output = tools.start(&bench, "out.iso").wait_with_output().unwrap();
        refused(&bench, &output, 1, wanted, &before);
    }
}

#[test]
fn builds_into_one_folder_do_not_clash() {
    let (bench, tools) = (Bench::new(), Tools::new("meet", ""));
    let mut children = [tools.start(&bench, "one.iso"), tools.start(&bench, "two.iso")];
    // Both wait here.
    let met = [tools.met(), tools.met()];
    assert_ne!(met[0], met[1]);
    tools.go(met[0]);
    tools.go(met[1]);
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert!(bench.bytes("one.iso") == bench.bytes("two.iso"));
    assert_eq!(bench.run(&["inspect", "--verify", "one.iso"]).status.code(), Some(0));
    assert!(!bench.names().iter().any(|name| name.starts_with('.')), "{:?}", bench.names());
}

#[test]
fn of_two_builds_of_one_file_one_wins_and_the_other_is_refused() {
    let (bench, tools) = (Bench::new(), Tools::new("meet", ""));
    let children = [tools.start(&bench, "out.iso"), tools.start(&bench, "out.iso")];
    let met = [tools.met(), tools.met()];
    assert_ne!(met[0], met[1]);
    tools.go(met[0]);
    tools.go(met[1]);
    let mut codes: Vec<i32> = children
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() || text.contains("out.iso exists already"), "{text}");
            output.status.code().unwrap()
        })
        .into();
    codes.sort_unstable();
    assert_eq!(codes, [0, 5]);
    assert_eq!(bench.run(&["inspect", "--verify", "out.iso"]).status.code(), Some(0));
    assert!(!bench.names().iter().any(|name| name.starts_with('.')), "{:?}", bench.names());
}

#[test]
fn what_is_read_is_never_the_output() {
    let bench = Bench::new();
    std::os::unix::fs::symlink("in.iso", bench.path().join("link.iso")).unwrap();
    fs::hard_link(bench.path().join("in.iso"), bench.path().join("hard.iso")).unwrap();
    let (before, bytes) = (bench.names(), bench.bytes("in.iso"));
    for (out, wanted) in [
        ("in.iso", "the same file as in.iso"),
        ("hard.iso", "the same file as in.iso"),
        ("site.toml", "the same file as site.toml"),
        ("cias-firstboot", "the same file as cias-firstboot"),
        ("link.iso", "is no plain file"),
        ("tree", "is no plain file"),
        ("/dev/null", "is no plain file"),
    ] {
        refused(&bench, &bench.build(out, &["--force"]), 5, wanted, &before);
    }
    assert!(bench.bytes("in.iso") == bytes);
}

#[test]
fn what_is_staged_is_for_us_alone() {
    let list = "for each; do case $each in */stage/*) stat -c %a \"$each\" \"${each%/*}\" \"${each%/stage/*}\" \
                \"${each%/stage/*}/image.iso\";; esac; done >\"$TOOLS/modes\"";
    let (bench, tools) = (Bench::new(), Tools::new(list, ""));
    let output = tools.start(&bench, "out.iso").wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let modes = fs::read_to_string(tools.path("modes")).unwrap();
    let lines: Vec<&str> = modes.lines().collect();
    assert!(lines.len() > 40, "{lines:?}");
    assert!(lines.chunks(4).all(|four| four == ["600", "700", "700", "600"]), "{lines:?}");
}

/// Whether this test may mount; says so if not.
pub fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        println!("skipped: mounting needs root");
    }
    root
}

/// Runs lines of shell in a mount namespace of their own, so that no mount outlives them, with `builder` as a function.
pub fn in_namespace(bench: &Bench, lines: &str) -> String {
    let builder = env!("CARGO_BIN_EXE_cias-builder");
    let script = format!("set -eu\nbuilder() {{ {builder} {} \"$@\"; }}\n{lines}", ARGS.join(" "));
    let mut child = Command::new("unshare")
        .args(["--mount", "sh"])
        .current_dir(bench.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// One build on a disk that holds all but `missing` KiB of what is needed at most; then what is there, and the code.
fn on_small_disk(bench: &Bench, mount: &str, kib: u64) -> (i32, String) {
    let text = in_namespace(
        bench,
        &format!(
            "mkdir -p disk\n{}\nchmod 0755 disk\nrm -rf disk/lost+found\ncode=0\n\
             builder --out disk/out.iso >report 2>errors || code=$?\n\
             echo $code\nls -A disk\ntail -n 1 errors\n",
            mount.replace("KIB", &kib.to_string())
        ),
    );
    let (code, rest) = text.split_once('\n').unwrap();
    (code.parse().unwrap(), rest.to_owned())
}

#[test]
fn a_full_disk_is_named_and_nothing_is_left_on_it() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    bench.built();
    let need = fs::metadata(bench.path().join("out.iso")).unwrap().len() / 1024;
    let tmpfs = "mount -t tmpfs -o size=KIBk,mode=0755 none disk";
    let ext4 = "truncate -s $((KIB + 200))K disk.img\nmke2fs -q -t ext4 -m 0 -O ^has_journal disk.img\nmount -o loop disk.img disk";
    for (name, mount) in [("tmpfs", tmpfs), ("ext4", ext4)] {
        // From no room for the copy to room for all: the copy, the staged files and the growth fail in turn.
        let (mut codes, mut phases) = (Vec::new(), BTreeSet::new());
        for kib in (need / 4..need * 3).step_by(usize::try_from(need / 8).unwrap()) {
            let (code, rest) = on_small_disk(&bench, mount, kib);
            codes.push(code);
            if code == 0 {
                assert!(rest.starts_with("out.iso\n"), "{name} of {kib} KiB: {rest}");
                break;
            }
            let wanted = "disk: the disk is full; make room there or choose another --out";
            assert!(code == 1 && rest.contains(wanted), "{name} of {kib} KiB: {code}, {rest}");
            assert!(rest.starts_with("error: "), "{name} of {kib} KiB: left behind: {rest}");
            phases.insert(rest.split_whitespace().take(4).collect::<Vec<_>>().join(" "));
        }
        for phase in ["error: writing the copy", "error: writing the files", "error: adding the files"] {
            assert!(phases.contains(phase), "{name}: no {phase} in {phases:?}");
        }
        assert!(codes.len() > 5 && codes.last() == Some(&0), "{name}: {codes:?}");
    }
}

#[test]
fn the_source_is_never_opened_for_writing() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let source = bench.path().join("in.iso");
    let (bytes, before) = (bench.bytes("in.iso"), fs::metadata(&source).unwrap());
    // The read-only mount refuses what the mode bits would not refuse root.
    let text = in_namespace(
        &bench,
        "mkdir read\nmount --bind . read\nmount -o remount,bind,ro read\n\
         ! { printf x >>read/in.iso; } 2>/dev/null\ncd read\nbuilder --out ../made.iso 2>&1\n",
    );
    assert!(text.contains("made.iso: "), "{text}");
    let after = fs::metadata(&source).unwrap();
    assert_eq!((after.mtime(), after.mtime_nsec()), (before.mtime(), before.mtime_nsec()));
    assert_eq!((after.ctime(), after.ctime_nsec()), (before.ctime(), before.ctime_nsec()));
    assert!(bench.bytes("in.iso") == bytes);
}
