//! A node in a folder: a machine's files, and small scripts in place of the commands that would change this machine.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::tree::Tree;

#[path = "standins.rs"]
mod standins;

/// A node with the files of a machine and a site file.
pub struct Node {
    tree: Tree,
    commands: tempfile::TempDir,
}

impl Node {
    /// A node with the test site and `more` at its end.
    pub fn new(machine: &str, more: &str) -> Self {
        let node = Self { tree: Tree::of(machine), commands: tempfile::tempdir().unwrap() };
        standins::write(node.commands.path());
        node.site(more);
        node
    }

    /// Replaces the site file by the test site and `more`.
    pub fn site(&self, more: &str) {
        let path = self.path("etc/cias/site.toml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("{}{more}", include_str!("site.toml"))).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Where a file of the node is.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.tree.path().join(relative)
    }

    /// A file of the node, empty if it is not there.
    pub fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).unwrap_or_default()
    }

    /// Replaces a stand-in; without a script it is the usual one.
    pub fn answers(&self, name: &str, script: Option<&str>) {
        match script {
            Some(script) => standins::write_one(self.commands.path(), name, script),
            None => standins::write(self.commands.path()),
        }
    }

    /// Has the node's program found by its name, as on a machine.
    pub fn finds_itself(&self) {
        std::os::unix::fs::symlink(program(), self.commands.path().join("cias-firstboot")).unwrap();
    }

    /// Has this script found by the name of the node's program.
    pub fn finds_another(&self, script: &str) {
        // Not written through the link to the program itself.
        std::fs::remove_file(self.commands.path().join("cias-firstboot")).unwrap();
        self.answers("cias-firstboot", Some(script));
    }

    /// Runs `cias` on the node; it finds no command but the stand-ins. `CIAS_SHIPPED` names the released binary where
    /// that is to be tested (ci/old-target).
    pub fn cias(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        self.command(args, env).output().unwrap()
    }

    /// As [`Node::cias`], to be started.
    pub fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program());
        command
            .arg("--root")
            .arg(self.tree.path())
            .args(args)
            .env_clear()
            .env("PATH", self.commands.path())
            .env("ROOT", self.tree.path())
            .envs(env.iter().copied());
        command
    }

    /// Runs `cias` and wants `code`; returns standard output and standard error.
    pub fn wants(&self, code: i32, args: &[&str]) -> (String, String) {
        let output = self.cias(args, &[]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "cias {args:?}:\n{stdout}{stderr}");
        (stdout, stderr)
    }

    /// Every file and link below the node with its content or target, but what differs from run to run.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        collect(self.tree.path(), self.tree.path(), &mut found);
        let journal = Path::new("var/lib/cias/journal.json");
        if let Some(mut state) = found.get(journal).and_then(|text| serde_json::from_str(text).ok()) {
            forget_cuts(&mut state);
            found.insert(journal.to_owned(), state.to_string());
        }
        found.retain(|path, _| {
            !["calls", "var/log/cias/firstboot.log"].iter().any(|skip| path == Path::new(skip))
        });
        found
    }
}

fn program() -> std::ffi::OsString {
    std::env::var_os("CIAS_SHIPPED").unwrap_or(env!("CARGO_BIN_EXE_cias-firstboot").into())
}

/// Takes out of a journal what it tells of runs that were cut short.
fn forget_cuts(state: &mut serde_json::Value) {
    for stage in state["stages"].as_array_mut().into_iter().flatten() {
        stage.as_object_mut().unwrap().remove("resumed");
    }
    state.as_object_mut().unwrap().remove("boot");
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_owned();
        if path.is_symlink() {
            found.insert(name, std::fs::read_link(&path).unwrap().display().to_string());
        } else if path.is_dir() {
            collect(root, &path, found);
        } else {
            found.insert(name, String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned());
        }
    }
}
