//! Every program and option that the node side uses, with the version that wheezy has.
//!
//! The target is Debian 7 with Proxmox VE 3.2 (docs/facts.md 1.1 and 3.5), and the installer's live root is made of
//! the same packages; versions are those of the last Debian 7 release. What is not in here cannot be called: the tests
//! run on a much newer userland, which would otherwise accept options that the target does not know.

use anyhow::Result;

use super::Call;

/// One program of the target.
#[derive(Debug)]
pub struct Row {
    /// Its name, without a folder.
    pub program: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// The package's version in wheezy.
    pub version: &'static str,
    /// The options that may be used: `-x`, `--long`; for programs with sub-commands also those words, one of which each
    /// call must have.
    pub options: &'static [&'static str],
}

/// The table, sorted by program.
pub const TABLE: &[Row] = &[
    Row { program: "blockdev", package: "util-linux", version: "2.20.1", options: &["--rereadpt"] },
    Row { program: "ethtool", package: "ethtool", version: "3.4.2", options: &["-P"] },
    Row { program: "hostname", package: "hostname", version: "3.11", options: &["-F"] },
    Row {
        program: "mkfs.ext3",
        package: "e2fsprogs",
        version: "1.42.5",
        options: &["-F", "-q", "-m", "-L", "-U", "-i", "-J", "-E"],
    },
    Row { program: "mount", package: "mount", version: "2.20.1", options: &["-n", "-t", "-o"] },
    Row { program: "sync", package: "coreutils", version: "8.13", options: &[] },
    Row {
        program: "udevadm",
        package: "udev",
        version: "175",
        options: &["info", "--query", "--path", "settle", "--timeout"],
    },
    Row { program: "umount", package: "mount", version: "2.20.1", options: &["-n"] },
    Row { program: "update-rc.d", package: "sysv-rc", version: "2.88", options: &["enable"] },
    Row { program: "vgchange", package: "lvm2", version: "2.02.95", options: &["-an"] },
    Row {
        program: "vgs",
        package: "lvm2",
        version: "2.02.95",
        options: &["--noheadings", "--separator", "-o"],
    },
];

/// Is `call` inside the table? The error is a bug of ours, not of the machine.
pub fn check(rows: &[Row], call: &Call) -> Result<()> {
    let Some(row) = rows.iter().find(|row| row.program == call.program()) else {
        anyhow::bail!(
            "the program {} is not in the table of what the target has (runner/table.rs)",
            call.program()
        );
    };
    for arg in call.arguments().iter().take_while(|arg| *arg != "--") {
        let name = arg.split('=').next().unwrap_or(arg);
        if name.starts_with('-') && name.len() > 1 && !row.options.contains(&name) {
            anyhow::bail!(
                "the option {name} of {} is not in the table of what {} {} has (runner/table.rs)",
                row.program,
                row.package,
                row.version
            );
        }
    }
    let mut words = row.options.iter().filter(|option| !option.starts_with('-')).peekable();
    if words.peek().is_some() && !words.any(|word| call.arguments().iter().any(|arg| arg == word)) {
        anyhow::bail!("`{}` has no sub-command that is in the table (runner/table.rs)", call.line());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_no_double() {
        assert!(TABLE.windows(2).all(|pair| pair[0].program < pair[1].program));
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
                called.insert(rest.split('"').next().unwrap().to_owned());
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
        ] {
            assert_eq!(check(TABLE, &call).is_ok(), passes, "{}", call.line());
        }
    }
}
