//! Site files that are no text or no files, and names and values that would drive a terminal.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use cias_firstboot::outcome::Class;
use cias_firstboot::site;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

const HEAD: &str = "schema = 1\n[site]\ndomain = \"example.com\"\nmail = \"admin@example.com\"\n";
const TAIL: &str = "[install]\naccept_eula = true\n";

fn put(path: &Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// A folder with a second file, and a first one that names `name` in its place.
fn with_second(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("secrets.toml"), include_str!("site/secrets.toml"));
    put(&folder.path().join("site.toml"), format!("{HEAD}secrets_file = {name}\n{TAIL}"));
    folder
}

/// What is said about the site in `folder`, without the folder's name.
fn said(folder: &Path, file: &str) -> String {
    let text = match site::examine(&folder.join(file)) {
        Err(error) => {
            assert_eq!(Class::of(&error), Class::BadInput, "{error:#}");
            format!("error: {error:#}")
        }
        Ok(Err(findings)) => findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Ok(Ok(_)) => "good".to_owned(),
    };
    text.replace(&format!("{}/", folder.display()), "")
}

/// Makes what is no site file at `path`.
fn strange(kind: &str, path: &Path) {
    let _ = fs::remove_file(path);
    match kind {
        "folder" => fs::create_dir(path).unwrap(),
        "fifo" => mkfifo(path, Mode::S_IRWXU).unwrap(),
        "zeroes" => symlink("/dev/zero", path).unwrap(),
        "socket" => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        "endless" => {
            // Sparse: nothing but its length is large.
            put(path, "");
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
        }
        _ => put(path, "# too much\n".repeat(30_000)),
    }
}

const STRANGE: [(&str, &str); 6] = [
    ("folder", "a folder"),
    ("fifo", "a pipe"),
    ("zeroes", "a device"),
    ("socket", "a socket"),
    ("endless", "a file of 1099511627776 bytes"),
    ("large", "a file of 330000 bytes"),
];

#[test]
fn what_is_no_plain_small_file_is_refused_unread() {
    for (kind, found) in STRANGE {
        let folder = tempfile::tempdir().unwrap();
        strange(kind, &folder.path().join("site.toml"));
        let wanted = "wanted a plain file of at most 262144 bytes: name a site file, or make one with `cias-builder init`";
        assert_eq!(
            said(folder.path(), "site.toml"),
            format!("error: site.toml: found {found}, {wanted}"),
            "{kind}"
        );

        let folder = with_second("\"secrets.toml\"");
        strange(kind, &folder.path().join("secrets.toml"));
        let wanted =
            "wanted the file with the secrets, beside this one: a plain file of at most 262144 bytes";
        let line =
            format!("site.toml:5:16: site.secrets_file: found \"secrets.toml\", which is {found}, {wanted}");
        assert_eq!(said(folder.path(), "site.toml"), line, "{kind}");
    }
}

#[test]
fn a_second_file_lies_in_the_same_folder() {
    let wanted = "wanted the name of another file in this folder, without a folder before it (a link of that name may lead elsewhere)";
    for name in [
        "/dev/zero",
        "sub/secrets.toml",
        "./secrets.toml",
        "../secrets.toml",
        "..",
        ".",
        "",
        "site.toml",
        "a\\u0000b",
    ] {
        let folder = with_second(&format!("\"{name}\""));
        let shown = name.replace("\\u0000", "\\0");
        let line = format!("site.toml:5:16: site.secrets_file: found \"{shown}\", {wanted}");
        assert_eq!(said(folder.path(), "site.toml"), line);
    }
    let folder = with_second("\"link.toml\"");
    fs::create_dir(folder.path().join("vault")).unwrap();
    fs::rename(folder.path().join("secrets.toml"), folder.path().join("vault/secrets.toml")).unwrap();
    symlink("vault/secrets.toml", folder.path().join("link.toml")).unwrap();
    assert_eq!(said(folder.path(), "site.toml"), "good");
}

#[test]
fn a_second_file_that_is_no_text_is_named_once() {
    let utf8 = "wanted text in UTF-8: save the file again in that encoding";
    for (bytes, line) in [
        (&b"[site]\nroot_password_hash = \"\xff\"\n"[..], format!("secrets.toml:2:23: (file): found a byte that is no UTF-8, {utf8}")),
        (b"[site]\n\0", format!("secrets.toml:2:1: (file): found a NUL byte, {utf8}")),
        (b"\xff\xfe[\0s\0i\0", format!("secrets.toml:1:1: (file): found text in UTF-16, {utf8}")),
        (b" \n", "secrets.toml:1:1: (file): found an empty file, wanted site.root_password_hash and [site.secrets]".into()),
    ] {
        let folder = with_second("\"secrets.toml\"");
        put(&folder.path().join("secrets.toml"), bytes);
        assert_eq!(said(folder.path(), "site.toml"), line);
    }
}

#[test]
fn marks_of_another_system_do_no_harm_in_a_second_file() {
    let folder = with_second("\"secrets.toml\"");
    let text = include_str!("site/secrets.toml").replace('\n', "\r\n");
    put(&folder.path().join("secrets.toml"), format!("\u{feff}{text}"));
    assert_eq!(said(folder.path(), "site.toml"), "good");
}

#[test]
fn nothing_in_a_finding_drives_a_terminal() {
    // In values, keys, headers, the name of the second file, and the file's own name.
    let evil = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\n\u{8}";
    let toml = "\\u001b]0;x\\u0007\\u009b2J\\u202e\\n\\b";
    let texts = [
        format!(
            "[site]\nrack = \"{toml}\"\n\"{toml}\" = 1\nssh_keys = [\"{toml}\"]\nsecrets_file = \"{toml}\""
        ),
        format!("[site.\"{toml}\"]\nx = 1"),
        format!("[\"{toml}\"]\nx = 1"),
        format!("[disks]\nmatch = [\"{toml}\", '\u{202e}']\nwipe = \"\"\"\n{toml}\"\"\""),
        format!("[[nodes.machine]]\nserial = \"{toml}\"\n[[nodes.machine]]\nserial = \"{toml}\""),
        format!("[site]\nrack = \"{evil}\"\n# {evil}"),
        format!("[site]\n{evil} = 1"),
        format!("schema = {evil}"),
        format!("[{evil}]"),
    ];
    let driving = |c: &char| c.is_control() || *c == '\u{202e}';
    let folder = tempfile::tempdir().unwrap();
    for name in ["site.toml", &format!("{evil}.toml")] {
        let path = folder.path().join(name);
        for (at, text) in texts.iter().enumerate() {
            put(&path, text);
            fs::set_permissions(&path, Permissions::from_mode(if at == 0 { 0o644 } else { 0o600 })).unwrap();
            let findings = site::examine(&path).unwrap().unwrap_err();
            let json = serde_json::to_string(&findings).unwrap();
            let lines: Vec<String> = findings.iter().map(ToString::to_string).chain([json]).collect();
            let found = lines.iter().find(|line| line.chars().any(|c| driving(&c)));
            assert_eq!(found, None, "{text:?}");
            // In the error each finding has a line of its own; in the first text there is something to escape.
            let error = format!("{:#}", site::load(&path).unwrap_err());
            assert_eq!(error.lines().count(), 1 + findings.len(), "{error}");
            assert_eq!(error.replace('\n', "").chars().find(driving), None, "{error:?}");
            assert!(at > 0 || error.contains("\\u{1b}]0;x"), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let error = format!("{:#}", site::load(&path).unwrap_err());
        assert_eq!(error.chars().find(driving), None, "{error:?}");
    }
}
