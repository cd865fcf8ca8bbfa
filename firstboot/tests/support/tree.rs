//! Builds a small tree of files from a fixture: lines of `PATH = CONTENT`, `PATH -> TARGET`, `PATH size BYTES` and `PATH/`;
//! `\n` and `\t` in a content are what they are in Rust, and a line that begins with blanks goes on with the content
//! above.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

use std::fmt::Write;
use std::path::Path;

/// A machine's files in a folder that goes with this value.
pub struct Tree(tempfile::TempDir);

impl Tree {
    /// The machine that `firstboot/tests/fixtures/machines/NAME.txt` describes.
    pub fn of(name: &str) -> Self {
        let path = format!("{}/tests/fixtures/machines/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        Self::from_text(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    /// The machine that `text` describes.
    pub fn from_text(text: &str) -> Self {
        let mut joined = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            if line.starts_with(' ') {
                write!(joined, "\\n{}", line.trim_start()).unwrap();
            } else {
                write!(joined, "\n{line}").unwrap();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        for line in joined.lines().filter(|line| !line.is_empty()) {
            entry(folder.path(), line);
        }
        Self(folder)
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

fn entry(folder: &Path, line: &str) {
    let place = |path: &str| {
        let path = folder.join(path.trim().trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    if let Some((path, content)) = line.split_once(" = ") {
        std::fs::write(place(path), content.replace("\\n", "\n").replace("\\t", "\t") + "\n").unwrap();
    } else if let Some((path, target)) = line.split_once(" -> ") {
        std::os::unix::fs::symlink(target.trim(), place(path)).unwrap();
    } else if let Some((path, size)) = line.split_once(" size ") {
        std::fs::File::create(place(path)).unwrap().set_len(size.parse().unwrap()).unwrap();
    } else if let Some(path) = line.strip_suffix('/') {
        std::fs::create_dir_all(place(path)).unwrap();
    } else {
        panic!("a line of the fixture is none of the kinds: {line}");
    }
}
