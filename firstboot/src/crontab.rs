//! Tables of cron in which lines of a person stand beside ours: ours are put right, and all others stay, byte for byte.

use std::io::ErrorKind;

use anyhow::{Context, Result};

use crate::files;
use crate::system::Sysroot;

/// What stands above our line in a file that nobody has written yet.
const HEAD: &str = "# cias puts its own line right at each boot; all others stay.\n";

/// Cron takes no table that others may write.
const MODE: u32 = 0o644;

/// A file below `/etc/cron.d` with one line of ours.
pub struct Table {
    /// Where it is.
    pub path: &'static str,
    /// The line. It sets its own `PATH`, so that it does not matter which variables a person sets above it.
    pub line: &'static str,
    /// The sub-command of `cias-firstboot` that the line runs, by which it is known.
    pub command: &'static str,
}

impl Table {
    /// Is the line missing, or another one?
    pub fn is_due(&self, root: &Sysroot) -> Result<bool> {
        Ok(self.due(root)?.is_some())
    }

    /// Puts it right.
    pub fn write(&self, root: &Sysroot) -> Result<()> {
        match self.due(root)? {
            Some(text) => files::write(&root.path(self.path), text, MODE),
            None => Ok(()),
        }
    }

    fn due(&self, root: &Sysroot) -> Result<Option<Vec<u8>>> {
        let path = root.path(self.path);
        let found = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => HEAD.into(),
            found => found.with_context(|| format!("reading {}", self.path))?,
        };
        let text = corrected(&found, &[self.line], |_, line| self.likeness(line)).unwrap_or(found);
        Ok((!files::is(&path, &text, MODE)).then_some(text))
    }

    fn likeness(&self, line: &str) -> Likeness {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_ours = |pair: &[&str]| pair[0].ends_with("cias-firstboot") && pair[1] == self.command;
        if words == self.line.split_whitespace().collect::<Vec<_>>() {
            Likeness::Same
        } else if !line.trim_start().starts_with('#') && words.windows(2).any(is_ours) {
            Likeness::Changed
        } else {
            Likeness::Other
        }
    }
}

/// What a line of a table is to one that must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It says the same.
    Same,
    /// It is for the same, and says something else: ours that was changed, or a person's own beside ours.
    Changed,
    /// It is none of it.
    Other,
}

/// The table as it should be, with each of the lines `wanted` in it, or nothing if it is that already.
///
/// Where one line says the same, only those that say it again go. Where none does, the first changed one is put right; where there is none
/// of these either, the line is added at the end. `judge` tells what a line is to the wanted one of that index.
pub fn corrected(text: &[u8], wanted: &[&str], judge: impl Fn(usize, &str) -> Likeness) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for (at, line) in wanted.iter().enumerate() {
        let likeness = |found: &Vec<u8>| match judge(at, &String::from_utf8_lossy(found)) {
            // Cron does not take a last line that has no end.
            Likeness::Same if !found.ends_with(b"\n") => Likeness::Changed,
            likeness => likeness,
        };
        let ended = format!("{line}\n").into_bytes();
        let place_of = |wanted| lines.iter().position(|found| likeness(found) == wanted);
        if let Some(place) = place_of(Likeness::Same) {
            let again = lines.split_off(place + 1);
            lines.extend(again.into_iter().filter(|found| likeness(found) != Likeness::Same));
        } else if let Some(place) = place_of(Likeness::Changed) {
            lines[place] = ended;
        } else {
            if let Some(last) = lines.last_mut().filter(|last| !last.ends_with(b"\n")) {
                last.push(b'\n');
            }
            lines.push(ended);
        }
    }
    let new = lines.concat();
    (new != text).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    fn of(text: &[u8]) -> Option<Vec<u8>> {
        corrected(text, &["ours a"], |_, line| match line.trim_end() {
            "ours a" => Likeness::Same,
            line if line.starts_with("ours ") => Likeness::Changed,
            _ => Likeness::Other,
        })
    }

    #[test]
    fn lines_of_others_stay_byte_for_byte() {
        let others = b"# M\xfcller\r\n\nothers".as_slice();
        assert_eq!(of(others), Some([others, b"\nours a\n"].concat()));
        assert_eq!(of(&[b"ours a\n", others].concat()), None);
        assert_eq!(of(&[b"ours b\nours c\n", others].concat()), Some([b"ours a\nours c\n", others].concat()));
    }

    #[test]
    fn what_stands_twice_goes_and_a_line_without_an_end_gets_one() {
        assert_eq!(of(b"ours b\nours a\nours c\nours a\n").unwrap(), b"ours b\nours a\nours c\n");
        assert_eq!(of(b"others\nours a").unwrap(), b"others\nours a\n");
    }

    const TABLE: Table = Table {
        path: "/etc/cron.d/cias",
        line: "0 4 * * 1 root test ! -x /x || cias-firstboot backup-gateway >/dev/null",
        command: "backup-gateway",
    };

    /// What becomes of a file with this text; nothing if it is not written.
    fn written(text: Option<&str>) -> Option<String> {
        let tree = Tree::from_text("/etc/cron.d/\n");
        let (root, path) = (tree.root(), tree.root().path(TABLE.path));
        if let Some(text) = text {
            files::write(&path, text, MODE).unwrap();
        }
        let is_due = TABLE.is_due(&root).unwrap();
        TABLE.write(&root).unwrap();
        assert!(!TABLE.is_due(&root).unwrap());
        is_due.then(|| std::fs::read_to_string(&path).unwrap())
    }

    #[test]
    fn a_file_that_is_missing_is_written_and_one_that_says_the_same_is_not() {
        assert_eq!(written(None), Some(format!("{HEAD}{}\n", TABLE.line)));
        assert_eq!(written(Some(&format!("# mine\n{}\n", TABLE.line.replace(' ', "\t ")))), None);
    }

    #[test]
    fn in_a_file_of_cron_added_lines_stay_and_ours_is_corrected_or_added() {
        let (ours, others) = (TABLE.line, "# mine\nPATH=/opt\n5 5 * * * root cias-firstboot export-vms\n");
        for text in [format!("{others}{ours}\n"), format!("{ours}\n{others}")] {
            assert_eq!(written(Some(&text)), None);
            assert_eq!(written(Some(&text.replace("0 4 *", "0 5 *"))), Some(text));
        }
        let commented = format!("{others}#{ours}\n");
        assert_eq!(written(Some(&commented)), Some(format!("{commented}{ours}\n")));
    }

    #[test]
    fn a_file_that_others_may_write_gets_its_mode_back() {
        let tree = Tree::from_text("/etc/cron.d/\n");
        let path = tree.root().path(TABLE.path);
        files::write(&path, format!("{}\n", TABLE.line), 0o666).unwrap();
        TABLE.write(&tree.root()).unwrap();
        assert!(files::is(&path, format!("{}\n", TABLE.line), MODE));
    }
}
