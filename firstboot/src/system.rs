//! The machine that a step works on: its file system tree, its runner of commands and its log.
//!
//! Tests put a folder in place of `/` and a recorder in place of the runner.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::log::Log;
use crate::outcome::Class;
use crate::runner::Runner;

/// The tree that absolute paths are looked up in: `/` on a node, a fixture in a test.
#[derive(Clone, Debug)]
pub struct Sysroot {
    base: PathBuf,
    /// A folder below which nothing is seen.
    hidden: Option<&'static str>,
}

impl Sysroot {
    /// The tree below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { base: root.into(), hidden: None }
    }

    /// The same tree, but nothing below the folder `hidden` is there, as when its file system does not answer.
    #[must_use]
    pub fn without(&self, hidden: &'static str) -> Self {
        Self { hidden: Some(hidden), ..self.clone() }
    }

    /// Is this the machine's own tree?
    pub fn is_machine(&self) -> bool {
        self.base == Path::new("/")
    }

    /// Refuses the `command` to whoever is not root, where this is the machine's own tree.
    pub fn needs_root(&self, command: &str) -> Result<()> {
        if self.is_machine() && !nix::unistd::geteuid().is_root() {
            return Err(Class::Failed.error(format!(
                "`{command}` needs root's files and was not started by root: use su or sudo"
            )));
        }
        Ok(())
    }

    /// The place of `absolute` (as `/etc/hosts`) in this tree.
    pub fn path(&self, absolute: &str) -> PathBuf {
        let base = match self.hidden {
            // Below what is no folder there is nothing.
            Some(hidden) if Path::new(absolute).starts_with(hidden) => self.base.join("dev/null"),
            _ => self.base.clone(),
        };
        base.join(absolute.trim_start_matches('/'))
    }

    /// The trimmed text of a file; nothing if it is not there or cannot be read, as sysfs attributes of a NIC that is
    /// down cannot.
    pub fn attribute(&self, absolute: &str) -> Option<String> {
        let text = std::fs::read(self.path(absolute)).ok()?;
        Some(String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// The text of a file that must be there.
    pub fn text(&self, absolute: &str) -> Result<String> {
        std::fs::read_to_string(self.path(absolute)).with_context(|| format!("reading {absolute}"))
    }

    /// The sorted names in a folder; none if it is not there.
    pub fn names(&self, absolute: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(absolute)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The last component of what a symbolic link points to.
    pub fn link_name(&self, absolute: &str) -> Option<String> {
        let target = std::fs::read_link(self.path(absolute)).ok()?;
        target.file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// Is the process that this file names by its number there, and called `name`?
    pub fn runs(&self, pid_file: &str, name: &str) -> bool {
        let pid = self.attribute(pid_file).and_then(|text| text.parse::<u32>().ok());
        pid.and_then(|pid| self.attribute(&format!("/proc/{pid}/stat")))
            .is_some_and(|stat| stat.contains(&format!(" ({name}) ")))
    }

    /// Is there anything at `absolute`, be it a dangling link?
    pub fn has(&self, absolute: &str) -> bool {
        std::fs::symlink_metadata(self.path(absolute)).is_ok()
    }
}

impl Default for Sysroot {
    fn default() -> Self {
        Self::new(Path::new("/"))
    }
}

/// What a step may touch.
pub struct System<'a> {
    /// Where files are.
    pub root: Sysroot,
    /// What runs commands.
    pub runner: &'a dyn Runner,
    /// Where to tell what happens.
    pub log: &'a Log,
}

#[cfg(test)]
impl crate::tree::Tree {
    /// The tree as a step sees it.
    pub(crate) fn root(&self) -> Sysroot {
        Sysroot::new(self.path())
    }
}

#[cfg(test)]
mod tests {
    use crate::tree::Tree;

    #[test]
    fn a_hidden_folder_has_nothing_in_it() {
        let tree = Tree::from_text("/etc/pve/.members = x\n/etc/pve-manager = y\n");
        let (whole, part) = (tree.root(), tree.root().without("/etc/pve"));
        assert_eq!(whole.attribute("/etc/pve/.members").as_deref(), Some("x"));
        assert!(!part.has("/etc/pve/.members") && !part.has("/etc/pve") && part.names("/etc/pve").is_empty());
        assert_eq!(part.attribute("/etc/pve-manager").as_deref(), Some("y"));
    }
}
