//! `cias support`: every secret of a node is planted in every file that a bundle takes, and none of them comes out.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/node.rs"]
mod node;
#[path = "support/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use node::Node;

const MORE: &str = "[role]\nfounder = { mac = \"52:54:00:00:00:02\" }\n[notify]\nwebhook = \"https://hooks.example.com/services/T0KEN0/B1/xYzZy\"\n";
const SITE_KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const HASH: &str =
    "$6$Na1.y$Qb7kTz0WcV4e1RfUuXh3sD9mLpG6yJ2nA8oBvE5iKxHtZwCqYrSjMlP0dFgNhIaO7u3T6R9W2Q5E8Y1U4I7O0/";
const CORO: &[u8] = b"\x00\x01binary\xffcorosync-authkey-of-the-cluster\xfe\n\x07tail-of-the-authkey";
const TAKEN: [&str; 18] = [
    "var/lib/cias/journal.json",
    "run/cias/agent.json",
    "etc/network/interfaces",
    "etc/hosts",
    "etc/fstab",
    "proc/mounts",
    "proc/net/bonding/bond0",
    "etc/pve/.members",
    "etc/pve/.vmlist",
    "etc/pve/cluster.conf",
    "etc/pve/priv/cias/ledger/0",
    "var/log/cias/firstboot.log",
    "var/log/cias/agent.log",
    "var/log/cias/install.log.1",
    "var/log/syslog",
    "var/log/cluster/corosync.log",
    "var/lib/dpkg/status",
    "proc/sys/kernel/osrelease",
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What must be in no bundle: the secrets, or telling parts of them, in the forms that they might take in a log.
fn secrets(pem: &str) -> Vec<String> {
    let site_key: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&SITE_KEY[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let mut all = vec![
        SITE_KEY.to_owned(),
        SITE_KEY.to_ascii_uppercase(),
        STANDARD.encode(site_key),
        HASH.to_owned(),
        HASH.replace('$', "\\$"),
        "pw4VRRPx".to_owned(),
        "services/T0KEN0/B1/xYzZy".to_owned(),
        "\\/services\\/T0KEN0\\/B1".to_owned(),
    ];
    all.extend(pem.lines().filter(|line| !line.starts_with("-----")).map(ToOwned::to_owned));
    for plain in [SITE_KEY, HASH, "pw4VRRPx", "/services/T0KEN0/B1/xYzZy"] {
        all.extend([STANDARD.encode(plain), hex(plain.as_bytes())]);
    }
    all.extend([STANDARD.encode(CORO), hex(CORO), "corosync-authkey-of-the-cluster".to_owned()]);
    all
}

/// A private key that the site does not know.
const FOREIGN: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAforeignforeignforeign\nshort==\n-----END RSA PRIVATE KEY-----";

fn planted(pem: &str) -> String {
    let mut text = "the first line\n".to_owned();
    for secret in secrets(pem) {
        writeln!(text, "12:00:01 node cias[1]: op(7) {secret}, and more\n{secret}\nx{secret}").unwrap();
    }
    let prefixed = FOREIGN.replace('\n', "\n12:00 node: ");
    writeln!(text, "{FOREIGN}\n{prefixed}\nPEM in JSON: {:?}", FOREIGN.to_owned() + "\n").unwrap();
    text + "auth_pass pw4VRRPx\n<fencedevice passwd=\"fenceme\"/>\nthe last line\n"
}

fn entries(bundle: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(bundle).unwrap()));
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().mode().unwrap(), 0o600);
        let path = entry.path().unwrap().to_str().unwrap().split_once('/').unwrap().1.to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        found.insert(path, bytes);
    }
    found
}

/// A node whose site has secrets of its own, and the site's private key.
fn with_secrets() -> (Node, String) {
    let node = Node::new("fresh-node", MORE);
    let site = node.path("etc/cias/site.toml");
    let text = std::fs::read_to_string(&site).unwrap();
    let pem = text.split("\"\"\"").nth(1).unwrap().to_owned();
    let text = text.replace(&"5a".repeat(32), SITE_KEY).replace("abcd1234", "pw4VRRPx");
    let hash = text.lines().find_map(|line| line.strip_prefix("root_password_hash = ")).unwrap().to_owned();
    std::fs::write(&site, text.replace(&hash, &format!("{HASH:?}"))).unwrap();
    for folder in ["root", "proc/sys/kernel"] {
        std::fs::create_dir_all(node.path(folder)).unwrap();
    }
    put(&node, "var/lib/pve-cluster/corosync.authkey", CORO);
    (node, pem)
}

fn put(node: &Node, path: &str, bytes: impl AsRef<[u8]>) {
    let path = node.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn assert_clean(bundle: &Path, pem: &str) {
    for (name, bytes) in entries(bundle) {
        let text = String::from_utf8_lossy(&bytes);
        for secret in secrets(pem).iter().map(String::as_str).chain(["foreignforeign", "short==", "fenceme"])
        {
            assert!(!text.contains(secret), "{name} tells {secret}:\n{text}");
        }
    }
}

#[test]
fn no_secret_comes_out_wherever_it_was_planted() {
    let (node, pem) = with_secrets();
    for path in TAKEN {
        put(&node, path, planted(&pem));
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(planted(&pem).as_bytes()).unwrap();
    put(&node, "var/log/cias/firstboot.log.2.gz", packed.finish().unwrap());
    // The cut lies in a private key.
    let end = format!("\nthe end of the syslog{}\n", "\nx".repeat((1 << 20) / 2 - 60));
    put(&node, "var/log/syslog", format!("{}{FOREIGN}{end}", planted(&pem).repeat(20)));

    let (stdout, stderr) = node.wants(0, &["support", "--json"]);
    let written: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(written["manifest"][0]["reason"], serde_json::Value::Null, "{stdout}");
    let bundle = Path::new(written["path"].as_str().unwrap());
    let metadata = bundle.metadata().unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(written["size"], metadata.len());
    let found = entries(bundle);
    for path in TAKEN.iter().take(16) {
        let text = found.get(&format!("files/{path}")).unwrap_or_else(|| panic!("{path}: {stdout}"));
        assert!(text.ends_with(b"the last line\n") || *path == "var/log/syslog", "{path}");
    }
    let unpacked = String::from_utf8(found["files/var/log/cias/firstboot.log.2"].clone()).unwrap();
    assert!(unpacked.starts_with("the first line\n") && unpacked.contains("[redacted], and more\n"));
    assert!(String::from_utf8_lossy(&found["site.json"]).contains("hooks.example.com"));
    assert!(found["files/var/log/syslog"].len() <= 1 << 20);
    assert_clean(bundle, &pem);
    for secret in secrets(&pem) {
        assert!(!stdout.contains(&secret) && !stderr.contains(&secret), "{stdout}{stderr}");
    }
    assert_eq!(node.path("root").read_dir().unwrap().count(), 1, "something was left beside the bundle");
}

#[test]
fn a_site_file_that_cannot_be_loaded_still_keeps_its_secrets() {
    let (node, pem) = with_secrets();
    let site = node.path("etc/cias/site.toml");
    let text = std::fs::read_to_string(&site).unwrap();
    std::fs::write(&site, text.replace("[install]", "[install")).unwrap();
    for path in TAKEN {
        put(&node, path, planted(&pem));
    }
    let bundle = node.path("b.tar.gz");
    let (stdout, _) = node.wants(0, &["support", "--out", bundle.to_str().unwrap()]);
    assert_eq!(stdout, format!("{}\n", bundle.display()));
    assert_clean(&bundle, &pem);
    assert!(!entries(&bundle).contains_key("site.json"));
}

#[test]
fn what_is_missing_is_listed_and_no_error() {
    let node = Node::new("fresh-node", MORE);
    std::fs::remove_file(node.path("etc/cias/site.toml")).unwrap();
    std::fs::create_dir_all(node.path("var/log/cias")).unwrap();
    nix::unistd::mkfifo(&node.path("var/log/cias/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let bundle = node.path("b.tar.gz");
    let out = ["support", "--out", bundle.to_str().unwrap()];
    let (_, stderr) = node.wants(0, &out);
    assert!(stderr.contains("cias: support: /etc/hosts\n"), "{stderr}");
    let found = entries(&bundle);
    let manifest: serde_json::Value = serde_json::from_slice(&found["manifest.json"]).unwrap();
    let reason = |name: &str| {
        let item = manifest.as_array().unwrap().iter().find(|item| item["name"] == name);
        item.unwrap_or_else(|| panic!("{name}: {manifest:#}"))["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(reason("site.json").contains("/etc/cias/site.toml is missing"));
    assert!(reason("/etc/pve/.members").contains("No such file"));
    assert_eq!(reason("/var/log/cias/pipe"), "no plain file");
    assert_eq!(reason("files/etc/hosts"), "");
    node.wants(5, &out);
}

#[test]
fn a_cluster_file_system_that_hangs_is_left_out_and_listed() {
    let node = Node::new("fresh-node", MORE);
    std::fs::create_dir_all(node.path("etc/pve")).unwrap();
    // Whoever reads it waits for ever.
    nix::unistd::mkfifo(&node.path("etc/pve/.members"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let bundle = node.path("b.tar.gz");
    node.wants(0, &["support", "--out", bundle.to_str().unwrap()]);
    let manifest = String::from_utf8(entries(&bundle)["manifest.json"].clone()).unwrap();
    assert!(manifest.contains("/etc/pve does not answer and is left out"), "{manifest}");
}
