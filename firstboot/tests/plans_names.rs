//! The names of the original plan, as links to the built program.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use cias_firstboot::folders::names::COMMANDS;

/// Runs the program by this name, with a folder in place of `/`.
fn run(folder: &Path, name: &str, words: &[&str]) -> Output {
    let link = folder.join(name);
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_cias-firstboot"), &link).unwrap();
    }
    Command::new(link).args(["--root", folder.to_str().unwrap()]).args(words).output().unwrap()
}

#[test]
fn each_name_is_a_link_that_works() {
    assert_eq!(COMMANDS.len(), 4);
    for (name, command) in COMMANDS {
        let folder = tempfile::tempdir().unwrap();
        let help = run(folder.path(), name, &["--help"]);
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(help.status.success() && text.contains(&format!("Usage: cias {command}")), "{name}: {text}");
        // Without a site file none of them does anything, and each says so as its sub-command does.
        let did = run(folder.path(), name, &[]);
        let said = String::from_utf8(did.stderr).unwrap();
        assert_eq!(did.status.code(), Some(3), "{name}: {said}");
        assert!(said.contains("site.toml"), "{name}: {said}");
    }
}
