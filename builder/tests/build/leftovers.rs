//! Nothing is left behind, however a build ends.

use std::fs;
use std::process::Command;

use crate::bench::{Bench, refused};
use crate::common;

/// xorriso waits for us in front of its work, so that the signal comes at a known moment.
#[test]
fn ctrl_c_ends_with_130_and_leaves_nothing() {
    let bench = Bench::new();
    let tools = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\n[ \"$1\" = -version ] && exec /usr/bin/xorriso \"$@\"\n\
        echo x >\"$TOOLS/ready\"\nread -r go <\"$TOOLS/go\"\nexec /usr/bin/xorriso \"$@\"\n";
    common::put(tools.path(), "xorriso", 0o755, script.as_bytes());
    let fifos = Command::new("mkfifo").arg(tools.path().join("ready")).arg(tools.path().join("go")).status();
    assert!(fifos.unwrap().success());
    let before = bench.names();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let child = Command::new(env!("CARGO_BIN_EXE_cias-builder"))
        .args(["build", "--iso", "in.iso", "--site", "site.toml", "--firstboot", "cias-firstboot"])
        .args(["--out", "out.iso"])
        .env("PATH", path)
        .env("TOOLS", tools.path())
        .current_dir(bench.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(fs::read(tools.path().join("ready")).unwrap(), b"x\n");
    // The shell's own kill: a small Debian has no program of that name.
    let killed = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(killed.success());
    fs::write(tools.path().join("go"), "go\n").unwrap();
    refused(&bench, &child.wait_with_output().unwrap(), 130, "interrupted", &before);
}
