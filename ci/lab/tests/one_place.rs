//! The node's program writes files in one place and runs commands in one place, so that every write and every command has
//! its failpoints. What else opens something for writing is listed here, with its reason.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;

/// Whatever changes a file system or starts a program.
const CHANGES: [&str; 20] = [
    "File::options()",
    "use std::fs::rename",
    "fs::write(",
    "fs::rename(",
    "fs::copy(",
    "fs::remove_",
    "fs::create_dir",
    "fs::set_permissions(",
    "fs::hard_link(",
    "fs::symlink(",
    "File::create",
    "OpenOptions::new()",
    "Command::new(",
    "chown(",
    "set_len(",
    "symlinkat(",
    "mkfifo(",
    "mkdir(",
    "mount::mount(",
    "sethostname(",
];

/// Files of `firstboot/src` that may, how often, and why.
const MAY: [(&str, usize, &str); 10] = [
    ("console.rs", 3, "terminals are devices, and the shell is a person's"),
    ("failpoint.rs", 1, "the list of points, in tests alone"),
    ("files.rs", 20, "the one place for files, and for the locks, empty ones that nothing reads"),
    ("install.rs", 1, "the vendor's installer is watched while it runs; it has its own points"),
    ("log.rs", 1, "a lost line of the log changes nothing"),
    ("preinstall/clear.rs", 3, "raw disks and a switch of md's in sysfs, with their own points"),
    ("preinstall/marker.rs", 1, "reads only, and neither follows a link nor waits for a pipe"),
    ("runner/host.rs", 1, "the one place for commands"),
    ("site/source.rs", 1, "it only reads; the flag keeps it from waiting for a pipe's writer"),
    ("support/bundle.rs", 2, "it reads as above, and a scratch file without a name is emptied"),
];

/// The text up to its tests.
fn product(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let ends = ["mod", "pub(crate) mod"].map(|word| text.find(&format!("#[cfg(test)]\n{word} tests {{")));
    text[..ends.into_iter().flatten().min().unwrap_or(text.len())].to_owned()
}

fn sources() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firstboot/src");
    let entries = walkdir::WalkDir::new(&folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    files
        .map(|entry| {
            let name = entry.path().strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            (name, product(entry.path()))
        })
        .filter(|(name, _)| !name.contains("tests") && !name.ends_with("testing.rs"))
        .collect()
}

#[test]
fn nothing_else_writes_or_starts_a_program() {
    let count = |text: &str| CHANGES.iter().map(|change| text.matches(change).count()).sum::<usize>();
    let found: BTreeMap<String, usize> = sources()
        .iter()
        .map(|(name, text)| (name.clone(), count(text)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let wanted: BTreeMap<String, usize> =
        MAY.iter().map(|(name, count, _)| ((*name).to_owned(), *count)).collect();
    assert_eq!(
        found, wanted,
        "found what writes or starts programs, wanted those listed in this test with a reason"
    );
}

/// Each of them has a point before and one after.
#[test]
fn every_writer_carries_failpoints() {
    for (name, before, after) in
        [("files.rs", 10, 10), ("runner/host.rs", 1, 2), ("install.rs", 1, 1), ("preinstall/clear.rs", 2, 2)]
    {
        let text = sources().into_iter().find(|(found, _)| found == name).unwrap().1;
        let hits: Vec<&str> = text.lines().filter(|line| line.contains("failpoint::hit(")).collect();
        let count = |word: &str| hits.iter().filter(|line| line.contains(&format!("{word}\""))).count();
        assert_eq!((count("before"), count("after")), (before, after), "{name}: {hits:?}");
    }
}
