//! No secret of a site file is ever shown, whatever is wrong with it: each is put wrongly into each place that may hold one.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cias_firstboot::region::Payload;
use cias_firstboot::site;

/// Keys that hold a secret, or get one by mistake: a private key in a public one's place, a token in a URL.
const KEYS: [(&str, &str); 10] = [
    ("site", "root_password_hash"),
    ("site", "ssh_keys"),
    ("site.secrets", "key"),
    ("site.secrets", "join_key"),
    ("site.secrets", "join_key_public"),
    ("site.secrets", "enrol_host_key"),
    ("site.secrets", "enrol_host_key_public"),
    ("site.secrets", "vrrp_password"),
    ("site.secrets", "relay_password"),
    ("notify", "webhook"),
];

/// Keys with other texts, into which a whole secret may be pasted.
const TEXTS: [(&str, &str); 20] = [
    ("site", "cluster_name"),
    ("site", "domain"),
    ("site", "rack"),
    ("site", "mail"),
    ("site", "timezone"),
    ("site", "secrets_file"),
    ("network", "gateway"),
    ("network", "dns"),
    ("network", "lan"),
    ("network", "wan_address"),
    ("network", "bond_mode"),
    ("nodes", "rows"),
    ("nodes", "name_pattern"),
    ("role", "priority"),
    ("install", "accept_eula"),
    ("disks", "match"),
    ("moosefs", "goal"),
    ("moosefs", "networks"),
    ("backup", "guests"),
    ("notify", "relay"),
];

/// What must not be seen: a part of each secret below.
const MARK: &str = "hunter2Kq7";

/// How a secret can stand behind a key, in TOML and in what only looks like it. SECRET stands for it.
const WAYS: [&str; 19] = [
    "KEY = \"SECRET\"",
    "KEY = 'SECRET'",
    "KEY = \"\"\"\nSECRET\n\"\"\"",
    "KEY = [\"SECRET\"]",
    "KEY = [\n  'SECRET', 7,\n]",
    "KEY = [[\"SECRET\"]]",
    "KEY = { KEY = \"SECRET\" }",
    "KEY = \"\"\"\nSECRET",
    "KEY = SECRET",
    "KEY = \"SECRET",
    "KEY = SECRET\"",
    "KEY = \"SECRET\" SECRET",
    "KEY = \"\\qSECRET\"",
    "KEY \"SECRET\"",
    "KEY: SECRET",
    "KEY = \"SECRET\"\nKEY = \"SECRET\"",
    "KEY.SECRET = 1",
    "KEYS = \"SECRET\"",
    "SECRET",
];

/// Secrets by their look: a password, a key in PEM form, a hash, a token in a URL.
const SECRETS: [&str; 4] = [
    "hunter2Kq7",
    "-----BEGIN EC PRIVATE KEY----- MHcCAQEEID21hunter2Kq7l383pdl1E8HN/ZwUFBOwJ9V2nPXyJbfrIoAoGCCqGSM49==",
    "$6$rounds=10$hunter2Kq7$hunter2Kq7",
    "https://user:hunter2Kq7@alarm.example.com/hunter2Kq7\u{1}",
];

const MAIN: [(&str, &str); 4] = [
    ("", "schema = 1"),
    ("site", "domain = \"example.com\""),
    ("site", "mail = \"admin@example.com\""),
    ("install", "accept_eula = true"),
];

fn secrets() -> Vec<(String, String)> {
    let text = include_str!("site/secrets.toml").parse::<toml_edit::DocumentMut>().unwrap();
    let mut lines =
        vec![("site".to_owned(), format!("root_password_hash = {}", text["site"]["root_password_hash"]))];
    for (key, value) in text["site"]["secrets"].as_table().unwrap() {
        lines.push(("site.secrets".to_owned(), format!("{key} = {value}")));
    }
    lines
}

fn main_lines() -> Vec<(String, String)> {
    MAIN.iter().map(|(table, line)| ((*table).to_owned(), (*line).to_owned())).collect()
}

/// The lines as a file, with `text` instead of the line of `key`.
fn file(lines: &[(String, String)], table: &str, key: &str, text: &str) -> String {
    let mut lines = lines.to_vec();
    lines.retain(|(other, line)| other != table || !line.starts_with(&format!("{key} =")));
    lines.push((table.to_owned(), text.to_owned()));
    let mut all = String::new();
    for table in [
        "",
        "site",
        "site.secrets",
        "network",
        "nodes",
        "role",
        "install",
        "disks",
        "moosefs",
        "backup",
        "notify",
    ] {
        if !table.is_empty() {
            writeln!(all, "[{table}]").unwrap();
        }
        for (_, line) in lines.iter().filter(|(other, _)| other == table) {
            writeln!(all, "{line}").unwrap();
        }
    }
    all
}

fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// All that a program could print about the site file at `path`.
fn said(path: &Path) -> (bool, String) {
    match site::examine(path) {
        Err(error) => (false, format!("{error:#} {error:?}")),
        Ok(Err(findings)) => {
            let error = site::refusal(path, &findings);
            let json = serde_json::to_string(&findings).unwrap();
            (false, format!("{error:#}\n{error:?}\n{findings:?}\n{findings:#?}\n{json}"))
        }
        Ok(Ok(loaded)) => {
            let payload = Payload {
                build_id: String::new(),
                manifest_sha256: String::new(),
                site_toml: loaded.text.clone(),
            };
            let json = serde_json::to_string(&loaded.site).unwrap();
            (true, format!("{loaded:?}\n{loaded:#?}\n{payload:?}\n{json}"))
        }
    }
}

#[test]
fn a_secret_in_the_wrong_place_or_form_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (path, beside) = (folder.path().join("site.toml"), folder.path().join("secrets.toml"));
    let one = [main_lines(), secrets()].concat();
    let mut two = main_lines();
    two.push(("site".into(), "secrets_file = \"secrets.toml\"".into()));
    let mut shown = Vec::new();
    let mut tried = 0;
    let mut judge = |what: String, secret: bool| {
        let (good, said) = said(&path);
        tried += 1;
        // A password of eight letters and such may be taken; that is no finding, and still nothing is shown.
        assert!(good || said.contains("found"), "{what}: {said}");
        // A good value of a key that holds no secret is no secret.
        if said.contains(MARK) && (secret || !good) {
            shown.push(what);
        }
    };
    for way in WAYS {
        for secret in SECRETS {
            for (table, key) in KEYS {
                let text = way.replace("KEY", key).replace("SECRET", secret);
                put(&path, &file(&one, table, key, &text));
                judge(format!("{table}.{key} in one file: {text}"), true);
                put(&path, &file(&two, "site", "-", ""));
                put(&beside, &file(&secrets(), table, key, &text));
                judge(format!("{table}.{key} in the second file: {text}"), true);
            }
            // What has the look of a secret is not shown under any key; of a password nobody can tell.
            if secret != MARK && !way.starts_with("KEY.") {
                for (table, key) in TEXTS {
                    let text = way.replace("KEY", key).replace("SECRET", secret);
                    put(&path, &file(&one, table, key, &text));
                    judge(format!("{table}.{key}: {text}"), false);
                }
            }
        }
    }
    assert!(tried > 2000, "{tried}");
    assert!(shown.is_empty(), "{} of {tried} show it:\n{}", shown.len(), shown.join("\n"));
}

#[test]
fn a_good_site_shows_none_of_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    put(
        &path,
        &file(
            &[main_lines(), secrets()].concat(),
            "notify",
            "webhook",
            "webhook = \"https://h.example.com/hunter2Kq7\"",
        ),
    );
    let (good, said) = said(&path);
    assert!(good, "{said}");
    for secret in ["hunter2", "qFmFH.bQmmtX", "5a5a5a5a", "MHcCAQEE", "abcd1234"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    assert!(said.contains("https://h.example.com/..."), "{said}");
}
