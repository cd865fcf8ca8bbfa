//! What a metadata server left that did not end by itself is made into what one starts from: its last file and the changes after it.
//!
//! In a folder of its own, because both dialects take whatever file there is for a part of it; and what comes out must have every change, because both
//! leave out what they cannot read without an error (docs/facts.md 18). Nothing is overwritten: until the result has its place, all is as it was.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::dialect::Dialect;
use super::metadata::{self, version_of};
use super::{DATA, USER};
use crate::files;
use crate::outcome::Class;
use crate::runner::{Call, Output};
use crate::system::System;

/// Where it is made.
const STAGE: &str = "/var/lib/mfs/restore";

/// How long it may take.
const LIMIT: Duration = Duration::from_mins(30);

/// A log of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Log<'a> {
    /// Its whole lines.
    whole: &'a [u8],
    /// Those of them that are not in the base yet.
    rest: &'a [u8],
    /// The number of its last change.
    last: Option<u64>,
}

/// Reads a log that goes with a base of this version. A line without an end was being written when the power went: with it neither dialect takes the
/// log. And told to take all logs, 1.6.27 applies none behind a change that its base has.
fn read(bytes: &[u8], base: u64) -> Log<'_> {
    let whole = &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)];
    let lines = || whole.split_inclusive(|byte| *byte == b'\n');
    // What has no number is not left out: then the tool has its say.
    let known = lines().take_while(|line| number(line).is_some_and(|number| number < base));
    let rest = &whole[known.map(<[u8]>::len).sum()..];
    Log { whole, rest, last: lines().next_back().and_then(number) }
}

/// The number of the change in a line: `VERSION: TIME|OP(args):result`.
fn number(line: &[u8]) -> Option<u64> {
    let word = line.split(|byte| *byte == b':').next()?;
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The names of the metadata server's own logs.
fn logs<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let is_log = |name: &&str| {
        let number = name.strip_prefix("changelog.").and_then(|rest| rest.strip_suffix(".mfs"));
        number.is_some_and(|number| number.parse::<u16>().is_ok())
    };
    names.into_iter().map(String::as_str).filter(is_log).collect()
}

/// Makes [`metadata::ENDED`] of what is there; `account` is whose it becomes.
pub fn restore(system: &System, dialect: &dyn Dialect, account: (u32, u32)) -> Result<()> {
    let root = &system.root;
    let at = |name: &str| root.path(&format!("{DATA}/{name}"));
    let stage = root.path(STAGE);
    let base = version_of(root, metadata::RUNNING)?;
    let Some(base) = base.filter(|base| metadata::is_a_base(Some(*base))) else {
        return Err(refuse(&format!("its version is {}, wanted more than 1", base.unwrap_or_default())));
    };
    // An earlier attempt that was cut off.
    files::remove_folder(&stage)?;
    files::make_folder(&stage, 0o750)?;
    files::give(&stage, account)?;
    files::link(&at(metadata::RUNNING), &stage.join(metadata::RUNNING))?;
    let names = root.names(DATA);
    let mut used = Vec::new();
    let mut wanted = base;
    for name in logs(&names) {
        let bytes = fs::read(at(name)).with_context(|| format!("reading {DATA}/{name}"))?;
        let log = read(&bytes, base);
        wanted = wanted.max(log.last.map_or(0, |last| last + 1));
        if log.whole.len() < bytes.len() {
            system.log.say(&format!(
                "MooseFS: the last {} bytes of {DATA}/{name} are no whole line and are left out",
                bytes.len() - log.whole.len()
            ));
            // What is written next must not begin in the middle of this line.
            files::rewrite(&at(name), log.whole)?;
        }
        if log.rest.is_empty() {
            continue;
        }
        used.push(name);
        let copy = stage.join(name);
        files::write(&copy, log.rest, 0o640)?;
        files::give(&copy, account)?;
    }
    let result = stage.join(metadata::ENDED);
    if wanted == base {
        let mut from = open(&at(metadata::RUNNING))?;
        files::write_by(&result, 0o640, |to| std::io::copy(&mut from, to).map(drop).context("copying it"))?;
    } else {
        let output = run(system, dialect, &stage, &used)?;
        if output.code != 0 || !result.exists() {
            return Err(refuse(&format!("it cannot be restored: {}", output.failure())));
        }
    }
    confirm(&result, wanted)?;
    files::give(&result, account)?;
    open(&result)?.sync_all().with_context(|| format!("syncing {}", result.display()))?;
    files::rename(&result, &at(metadata::ENDED))?;
    system.log.say(&format!(
        "MooseFS: the metadata is restored to version {wanted}, {} changes after its last file",
        wanted - base
    ));
    files::remove_folder(&stage)
}

fn open(path: &Path) -> Result<fs::File> {
    fs::File::open(path).with_context(|| format!("reading {}", path.display()))
}

fn refuse(why: &str) -> anyhow::Error {
    Class::Refused.error(format!(
        "{DATA}/{}: mfsmaster did not end by itself, and {why}; nothing but a cut-off line was changed ({STAGE} has what was tried): restore the metadata of a metalogger as {DATA}/{}, then `cias run` goes on",
        metadata::RUNNING,
        metadata::ENDED
    ))
}

fn run(system: &System, dialect: &dyn Dialect, stage: &Path, logs: &[&str]) -> Result<Output> {
    let path = |name: &str| stage.join(name).display().to_string();
    let call = if dialect.restores_itself() {
        let conf = stage.join("restore.cfg");
        let text =
            format!("WORKING_USER = {USER}\nWORKING_GROUP = {USER}\nDATA_PATH = {}\n", stage.display());
        files::write(&conf, text, 0o644)?;
        Call::new("mfsmaster").args(["-c", &conf.display().to_string(), "-a", "-x", "restore"])
    } else {
        // Without `-f` a log of one line is left out.
        let call = Call::new("mfsmetarestore").args([
            "-f",
            "-x",
            "-m",
            &path(metadata::RUNNING),
            "-o",
            &path(metadata::ENDED),
        ]);
        call.args(logs.iter().map(|name| path(name)))
    };
    system.runner.outcome(&call.limit(LIMIT))
}

/// How a whole file of metadata ends: by 16 zeros in files of version 1.5, else by this.
const END: &[u8; 16] = b"[MFS EOF MARKER]";

/// Has the file all changes, and is it whole?
fn confirm(result: &Path, wanted: u64) -> Result<()> {
    let mut bytes = [0; 24];
    let mut end = [0; 16];
    let mut file = open(result)?;
    let read = file
        .read_exact(&mut bytes)
        .and_then(|()| file.seek(SeekFrom::End(-16)))
        .and_then(|_| file.read_exact(&mut end));
    if read.is_err() {
        return Err(refuse("what was restored is shorter than its header"));
    }
    let found = metadata::version(&bytes)?;
    let is_whole = end == *END || bytes.starts_with(b"MFSM 1.5") && end == [0; 16];
    if found != wanted || !is_whole {
        let shown = if is_whole { "" } else { ", and it is not whole" };
        return Err(refuse(&format!(
            "what was restored has version {found}{shown}, wanted {wanted}, one more than the last change in its logs"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::dialect::{ALL, New, Old};
    use super::*;
    use crate::log;
    use crate::runner::fake::Fake;
    use crate::tree::Tree;

    fn base(version: u64) -> Vec<u8> {
        [b"MFSM 1.5\0\0\0\x01", &version.to_be_bytes()[..], &[1; 8], &[0; 16]].concat()
    }

    /// Restores with a tool that makes a file of `version`, and returns what was run and said.
    fn go(tree: &Tree, dialect: &dyn Dialect, version: u64) -> (Result<()>, Vec<String>) {
        let at = tree.root().path(STAGE).join(metadata::ENDED);
        let fake = Fake::default().does("mfs", move || fs::write(&at, base(version)).unwrap());
        let log = log::Log::silent();
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let account = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        let result = restore(&system, dialect, account);
        let root = tree.path().display().to_string();
        (result, fake.lines().iter().map(|line| line.replace(&root, "")).collect())
    }

    fn left(files: &[(&str, &str)]) -> Tree {
        let tree = Tree::from_text("/var/lib/mfs/sessions.mfs = x\n/var/lib/mfs/changelog_ml.0.mfs = 1\n");
        fs::write(tree.root().path("/var/lib/mfs/metadata.mfs.back"), base(5)).unwrap();
        for (name, text) in files {
            fs::write(tree.root().path(&format!("{DATA}/{name}")), text).unwrap();
        }
        tree
    }

    fn has_ended(tree: &Tree) -> Option<u64> {
        version_of(&tree.root(), metadata::ENDED).unwrap()
    }

    #[test]
    fn each_dialect_restores_in_a_folder_of_its_own_and_all_changes_must_be_in_it() {
        for (dialect, wanted) in [
            (
                &Old as &dyn Dialect,
                "mfsmetarestore -f -x -m /var/lib/mfs/restore/metadata.mfs.back -o /var/lib/mfs/restore/metadata.mfs /var/lib/mfs/restore/changelog.0.mfs /var/lib/mfs/restore/changelog.1.mfs",
            ),
            (&New, "mfsmaster -c /var/lib/mfs/restore/restore.cfg -a -x restore"),
        ] {
            let files = [
                ("changelog.0.mfs", "7: 1|A\n8: 1|B\n9: 1|CUT"),
                ("changelog.1.mfs", "4: 1|A\n5: 1|A\n6: 1|B\n"),
                ("changelog.2.mfs", "0: 1|A\n3: 1|B\n"),
            ];
            let tree = left(&files);
            let (result, lines) = go(&tree, dialect, 9);
            result.unwrap();
            assert_eq!(lines, [wanted]);
            assert_eq!(has_ended(&tree), Some(9));
            assert!(!tree.root().has(STAGE));
            // What is written next does not begin in the middle of a line.
            assert_eq!(tree.root().text("/var/lib/mfs/changelog.0.mfs").unwrap(), "7: 1|A\n8: 1|B\n");

            // The tool left out a log, and said nothing.
            let tree = left(&files);
            let error = go(&tree, dialect, 7).0.unwrap_err();
            assert!(
                Class::of(&error) == Class::Refused && error.to_string().contains("version 7, wanted 9"),
                "{error:#}"
            );
            assert_eq!(has_ended(&tree), None);
            // An attempt that is left is in nobody's way.
            go(&tree, dialect, 9).0.unwrap();
        }
    }

    #[test]
    fn without_a_later_change_the_file_itself_is_the_result() {
        for dialect in ALL {
            for files in [&[][..], &[("changelog.0.mfs", "")], &[("changelog.0.mfs", "3: 1|A\n4: 1|B\n")]] {
                let tree = left(files);
                let (result, lines) = go(&tree, dialect, 0);
                result.unwrap();
                assert_eq!((lines, has_ended(&tree)), (vec![], Some(5)));
            }
        }
    }

    #[test]
    fn what_is_no_base_or_not_whole_is_refused() {
        let tree = left(&[("changelog.0.mfs", "0: 1|A\n1: 1|B\n")]);
        fs::write(tree.root().path("/var/lib/mfs/metadata.mfs.back"), base(0)).unwrap();
        let error = go(&tree, &Old, 2).0.unwrap_err();
        assert!(error.to_string().contains("its version is 0, wanted more than 1"), "{error:#}");
        let tree = left(&[]);
        let path = tree.root().path("/var/lib/mfs/metadata.mfs.back");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        let error = go(&tree, &Old, 0).0.unwrap_err();
        assert!(error.to_string().contains("and it is not whole"), "{error:#}");
        assert_eq!(has_ended(&tree), None);
    }

    #[test]
    fn a_log_begins_where_its_base_ends_and_ends_with_a_whole_line() {
        for (text, whole, rest, last) in [
            ("", "", "", None),
            ("7: 1|A", "", "", None),
            ("7: 1|A\n", "7: 1|A\n", "7: 1|A\n", Some(7)),
            ("7: 1|A\n8: 1|B\n9: 1|", "7: 1|A\n8: 1|B\n", "7: 1|A\n8: 1|B\n", Some(8)),
            (
                "0: 1|A\n4: 1|A\n5: 1|B\n6: 1|C\n",
                "0: 1|A\n4: 1|A\n5: 1|B\n6: 1|C\n",
                "5: 1|B\n6: 1|C\n",
                Some(6),
            ),
            ("0: 1|A\n4: 1|A\n", "0: 1|A\n4: 1|A\n", "", Some(4)),
        ] {
            let (whole, rest) = (whole.as_bytes(), rest.as_bytes());
            assert_eq!(read(text.as_bytes(), 5), Log { whole, rest, last }, "{text:?}");
        }
        let names = ["changelog.0.mfs", "changelog.12.mfs", "changelog_ml.0.mfs", "changelog.x.mfs"]
            .map(String::from);
        assert_eq!(logs(&names), ["changelog.0.mfs", "changelog.12.mfs"]);
    }
}
