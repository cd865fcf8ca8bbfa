//! The end of what runs, on a machine that does what it is told.

use std::fs;
use std::sync::{Arc, Mutex};

use super::super::dialect::ALL;
use super::*;
use crate::runner::Output;
use crate::runner::fake::Fake;
use crate::tree::Tree;

const MOUNTS: &str = "/dev/vda1 / ext3 rw 0 0\n";
const MOUNTED: &str = "/dev/vda1 / ext3 rw 0 0\nmfs#cias-pve-master:9421 /mnt/mfs fuse.mfs rw 0 0\n";

/// A machine with all of it, mounted and running, whose `umount` with one of these words helps.
fn machine(helps: &'static [&'static str]) -> (Tree, Fake) {
    let tree = Tree::from_text(
        "/usr/sbin/mfsmaster = x\n/usr/sbin/mfschunkserver = x\n/usr/sbin/mfsmetalogger = x\n/usr/sbin/mfscgiserv = x\n/proc/\n",
    );
    fs::write(tree.root().path("/proc/mounts"), MOUNTED).unwrap();
    let runs = Arc::new(Mutex::new(vec!["mfsmaster", "mfschunkserver", "mfsmetalogger"]));
    let root = tree.root();
    let answer = move |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut runs = runs.lock().unwrap();
        let output = |code, text: &str| Output { code, stdout: String::new(), stderr: text.into() };
        match words[..] {
            ["umount", "--no-canonicalize", ref rest @ ..] => {
                let word = if rest.len() == 2 { rest[0] } else { "" };
                if !helps.contains(&word) {
                    return output(1, "umount: /mnt/mfs: device is busy");
                }
                fs::write(root.path("/proc/mounts"), MOUNTS).unwrap();
            }
            [name, "test"] if runs.contains(&name) => return output(0, &format!("{name} pid: 7")),
            [name, "stop"] => runs.retain(|one| *one != name),
            _ => {}
        }
        Output::default()
    };
    (tree, Fake::default().answers("", answer))
}

/// What was done, without questions, and how it ended.
fn ended(tree: &Tree, fake: &Fake, answers: bool) -> (Result<()>, Vec<String>) {
    let log = Log::silent();
    let system = System { root: tree.root(), runner: fake, log: &log };
    let result = end_all(&system, || answers);
    let path = tree.root().path(POINT).display().to_string();
    let lines = fake.lines().into_iter().filter(|line| !line.ends_with(" test"));
    (
        result,
        lines.map(|line| line.replace(&path, POINT).replace("umount --no-canonicalize", "umount")).collect(),
    )
}

const DAEMONS: [&str; 4] = ["mfschunkserver stop", "mfsmaster stop", "mfscgiserv stop", "mfsmetalogger stop"];

#[test]
fn the_mount_goes_before_what_it_needs() {
    for (helps, answers, unmounts) in [
        (&["", "-l"][..], true, &["umount /mnt/mfs"][..]),
        // Somebody works in it.
        (&["-l"], true, &["umount /mnt/mfs", "umount -l /mnt/mfs"]),
        // The Master has gone before, so that what is written cannot be saved, and is not waited for.
        (&["-f", "-l"], false, &["umount -f /mnt/mfs"]),
        (&["-l"], false, &["umount -f /mnt/mfs", "umount -l /mnt/mfs"]),
    ] {
        let (tree, fake) = machine(helps);
        let (result, lines) = ended(&tree, &fake, answers);
        result.unwrap();
        assert_eq!(lines, [unmounts, &DAEMONS[..]].concat(), "{helps:?} {answers}");
        let again = ended(&tree, &fake, answers).1;
        assert_eq!(again[lines.len()..], ["mfscgiserv stop"], "what is gone is left alone");
    }
}

#[test]
fn what_fails_keeps_nothing_else_running() {
    let (tree, fake) = machine(&[]);
    let fake = fake.fails("mfschunkserver stop", 1, "no");
    let (result, lines) = ended(&tree, &fake, true);
    let said = result.unwrap_err().to_string();
    assert!(said.contains("device is busy") && said.contains("mfschunkserver stop"), "{said}");
    assert_eq!(lines[2..], DAEMONS);
}

#[test]
fn where_it_is_not_installed_nothing_is_done() {
    let (tree, fake) = (Tree::from_text("/proc/mounts = x\n"), Fake::default());
    let (result, lines) = ended(&tree, &fake, true);
    result.unwrap();
    assert_eq!((lines, fake.lines().len()), (vec![], 0));
}

/// insserv stops a script before those that `Should-Stop` names, and after those of `X-Stop-After`.
#[test]
fn the_boot_script_ends_it_after_the_guests_and_before_the_address_and_the_network() {
    let script = include_str!("../../../overlay/init.d/cias-provision");
    let names = |key: &str| -> Vec<&str> {
        let line =
            script.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {key}")).split_whitespace().collect()
    };
    assert_eq!(names("X-Stop-After"), ["pve-manager", "rgmanager", "qemu-server", "vz"]);
    // A disabled script still stops its daemon at the end, if its package lets it.
    let scripts = ALL.iter().flat_map(|dialect| dialect.scripts()).copied();
    let wanted: Vec<&str> = ["keepalived", "pve-cluster"].into_iter().chain(scripts).collect();
    assert_eq!(names("Should-Stop"), wanted);
    assert_eq!(names("Required-Stop"), ["$remote_fs", "$network", "$syslog"]);
    assert_eq!(names("Default-Stop"), ["0", "1", "6"]);
    assert!(script.contains("    stop)\n") && script.contains("cias-firstboot end-services || true"));
}
