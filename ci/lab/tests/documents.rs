//! What the documents tell a reader to type is run: each document in a folder of its own, its blocks in their order.
//!
//! Stand-ins: the vendor's image is the builder's look-alike, the node is a folder, and a person at a terminal answers what
//! `init` asks. A block after `<!-- not run: REASON -->` is not run; those are counted and listed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/drift.rs"]
mod drift;
#[path = "../../../builder/tests/common/mod.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod look_alike;
#[path = "support/shell.rs"]
mod shell;
#[path = "../../../firstboot/tests/support/standins.rs"]
mod standins;
#[path = "../../../firstboot/tests/support/tree.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod tree;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use tree::Tree;

/// What blocks may call; anything else needs the marker, because this runs as root.
const ALLOWED: [&str; 12] = [
    "cargo",
    "cat",
    "cd",
    "cias",
    "cias-builder",
    "cp",
    "echo",
    "ls",
    "mkdir",
    "openssl",
    "sha256sum",
    "target/release/cias-builder",
];

/// What `init` asks, and what the person types then.
const ANSWERS: [(&str, &str); 4] = [
    ("Root's password for all nodes: ", "correct horse\n"),
    ("Once more: ", "correct horse\n"),
    ("mail address: ", "admin@example.com\n"),
    ("(yes/no) ", "yes\n"),
];

/// How long a block may take, in seconds; the longest builds the release.
const LIMIT: &str = "600";

/// The node's site file ends so: the machine of the folder is the founder.
const PIN: &str = "[role]\nfounder = { serial = \"LAB-0001\" }\n";

fn commands(text: &str) -> usize {
    shell::calls_of(text).len()
}

#[test]
fn every_block_is_one_that_can_be_run_or_says_why_not() {
    let mut run = 0;
    for block in blocks::of_all_documents().into_iter().flat_map(|(_, blocks)| blocks) {
        for words in shell::calls_of(&block.text) {
            let program = words[0].as_str();
            let place = &block.place;
            if block.not_run.is_none() {
                run += 1;
                assert!(
                    ALLOWED.contains(&program),
                    "{place}: {program}: mark the block as not run, or allow it"
                );
                let left = words.iter().find(|word| word.contains("/tmp/"));
                assert_eq!(
                    left, None,
                    "{place}: a second run on this machine would find what the first left there"
                );
            }
        }
    }
    assert!(run > 10, "only {run} commands were seen: the search is broken");
}

#[test]
fn blocks_and_markers_are_seen() {
    let text = "# A\n\n<!-- not run: formats a disk -->\n```sh\nmkfs /dev/x\n```\n```sh\nls\ncat a\n```\n```text\nls\n```\n";
    let found = blocks::of("a.md", text);
    let seen: Vec<_> =
        found.iter().map(|block| (&*block.place, &*block.text, block.not_run.as_deref())).collect();
    assert_eq!(seen, [("a.md:4", "mkfs /dev/x\n", Some("formats a disk")), ("a.md:7", "ls\ncat a\n", None)]);
    for wrong in ["```bash\nls\n```\n", "<!-- not run: a -->\n\n```sh\nls\n```\n", "```sh\n"] {
        assert!(std::panic::catch_unwind(|| blocks::of("a.md", wrong)).is_err(), "{wrong}");
    }
}

#[test]
#[ignore = "builds the release; ci/test runs it after ci/build"]
fn the_documented_commands_do_what_they_are_documented_for() {
    let folder = tempfile::tempdir().unwrap();
    let iso = look_alike::live_root(folder.path());
    let (mut run, mut marked) = (0, Vec::new());
    for (_, blocks) in blocks::of_all_documents() {
        let place = Place::new(&iso);
        for block in blocks {
            let number = commands(&block.text);
            if let Some(reason) = &block.not_run {
                marked.push(format!("{} ({number} commands): {reason}", block.place));
            } else {
                place.run(&block);
                run += number;
            }
        }
    }
    println!("{run} documented commands were run; marked as not run: {}", marked.len());
    for line in marked {
        println!("  {line}");
    }
}

/// Where a reader works: a folder that looks like a clone with an image in it.
struct Place {
    folder: tempfile::TempDir,
    node: Tree,
}

impl Place {
    fn new(iso: &Path) -> Self {
        let machine = drift::root().join("firstboot/tests/fixtures/machines/fresh-node.txt");
        let node = Tree::from_text(&fs::read_to_string(machine).unwrap());
        let site = include_str!("../../../firstboot/tests/support/site.toml");
        look_alike::put(node.path(), "etc/cias/site.toml", 0o600, [site, PIN].concat().as_bytes());
        fs::create_dir_all(node.path().join("root")).unwrap();
        let place = Self { folder: tempfile::tempdir().unwrap(), node };
        let (here, bin) = (place.folder.path(), place.folder.path().join("bin"));
        fs::create_dir_all(bin.join("node")).unwrap();
        standins::write(&bin.join("node"));
        fs::copy(iso, here.join("proxmox-ve_3.2.iso")).unwrap();
        symlink(built(), here.join("target")).unwrap();
        symlink(built().join("release/cias-builder"), bin.join("cias-builder")).unwrap();
        let shown = |path: &Path| path.canonicalize().unwrap().display().to_string();
        // The project is built where it is.
        place.script("cargo", &format!("cd {} && exec {} \"$@\"", shown(&drift::root()), env!("CARGO")));
        let program = built().join("x86_64-unknown-linux-musl/release/cias-firstboot");
        place.script(
            "cias",
            &format!(
                "ROOT={root} PATH={} exec {} --root {root} \"$@\"",
                shown(&bin.join("node")),
                program.display(),
                root = shown(place.node.path()),
            ),
        );
        place
    }

    fn script(&self, name: &str, line: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a block at a terminal of its own.
    fn run(&self, block: &blocks::Block) {
        let here = self.folder.path();
        let path = here.join("block.sh");
        fs::write(&path, &block.text).unwrap();
        let search = format!("{}:{}", here.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut child = Command::new("timeout")
            .args([LIMIT, "script", "--quiet", "--return", "--command"])
            .arg(format!("bash -euo pipefail {}", path.display()))
            .arg("/dev/null")
            .current_dir(here)
            .env("PATH", search)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = converse(child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let status = child.wait().unwrap();
        assert!(status.success(), "{}: {status}\n{}\n{said}", block.place, block.text);
    }
}

/// Answers each question as it comes, until the block is done; returns all that was on the screen.
fn converse(mut screen: ChildStdout, mut keyboard: ChildStdin) -> String {
    let (mut said, mut answered, mut chunk) = (String::new(), 0, [0; 4096]);
    loop {
        let length = screen.read(&mut chunk).unwrap();
        if length == 0 {
            return said;
        }
        said += &String::from_utf8_lossy(&chunk[..length]);
        if let Some((_, answer)) = ANSWERS.iter().find(|(question, _)| said[answered..].ends_with(question)) {
            answered = said.len();
            keyboard.write_all(answer.as_bytes()).unwrap();
        }
    }
}

/// Where cargo builds.
fn built() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_old-target")).ancestors().nth(2).unwrap().to_path_buf()
}
