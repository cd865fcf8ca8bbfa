use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::runner::Call;

#[test]
fn the_table_is_sorted_and_has_no_double() {
    for table in [TABLE, SCRIPTED] {
        assert!(table.windows(2).all(|pair| pair[0].program < pair[1].program));
    }
}

/// The part of a source file that ships.
fn shipped(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if !["tests.rs", "testing.rs", "fake.rs"].iter().any(|skip| path.ends_with(skip)) {
            found.push(path);
        }
    }
}

#[test]
fn the_sources_call_just_what_the_table_lists_and_start_nothing_past_the_runner() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut called = BTreeSet::new();
    let mut starting = BTreeSet::new();
    for file in files {
        let text = shipped(&file);
        for rest in text.split("Call::new(\"").skip(1) {
            let program = rest.split('"').next().unwrap();
            called.insert(program.rsplit('/').next().unwrap().to_owned());
        }
        if text.contains("Command::new(") {
            starting.insert(file.strip_prefix(&root).unwrap().display().to_string());
        }
    }
    let listed: BTreeSet<String> = TABLE.iter().map(|row| row.program.to_owned()).collect();
    assert_eq!(called, listed);
    // The shell for a person, the vendor's installer with its progress, and the runner itself.
    assert_eq!(starting.into_iter().collect::<Vec<_>>(), ["console.rs", "install.rs", "runner/host.rs"]);
}

#[test]
fn only_listed_programs_and_options_pass() {
    for (call, passes) in [
        (Call::new("/sbin/mkfs.ext3").args(["-F", "-L", "data", "/dev/sdb"]), true),
        (Call::new("udevadm").args(["settle", "--timeout=10"]), true),
        (Call::new("udevadm").args(["monitor", "--timeout=10"]), false),
        (Call::new("lsblk").arg("--json"), false),
        (Call::new("ip").args(["-j", "link"]), false),
        (Call::new("mkfs.ext3").args(["-O", "metadata_csum"]), false),
        (Call::new("mkfs.ext3").args(["-J", "size=64", "-E", "nodiscard"]), true),
        (Call::new("mkfs.ext3").args(["-E", "nodiscard,packed_meta_blocks=1"]), false),
        (Call::new("vgs").args(["--noheadings", "-o", "vg_name,pv_name"]), true),
        (Call::new("vgs").args(["--noheadings", "-o", "vg_lock_type"]), false),
        (Call::new("udevadm").args(["info", "--query=symlink"]), false),
    ] {
        assert_eq!(check(TABLE, &call).is_ok(), passes, "{}", call.line());
    }
}
