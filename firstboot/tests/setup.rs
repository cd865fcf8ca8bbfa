//! `cias setup`: a server that was installed by hand becomes a node, or stays as it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/by_hand.rs"]
mod by_hand;
#[path = "support/node.rs"]
mod node;
#[path = "support/tree.rs"]
mod tree;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use by_hand::{CREATE, by_hand};
use nix::pty::openpty;
use node::Node;

const PIN: &str = "[role]\nfounder = { serial = \"LAB-0001\" }\n";

/// Moves the site file where nobody looks, and returns where it is.
fn elsewhere(node: &Node) -> String {
    let path = node.path("home-site.toml");
    std::fs::rename(node.path("etc/cias/site.toml"), &path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The line of the private key's body; each of the site's two private keys has it.
fn key_lines(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("BggqhkjOPQMBBw")).count()
}

fn assert_is_a_node(node: &Node) {
    assert_eq!(node.read("etc/hostname"), "pve-rack-a-0-1\n");
    assert!(
        node.read("etc/hosts")
            .contains("10.254.0.1 pve-rack-a-0-1.example.com pve-rack-a-0-1 pvelocalhost\n")
    );
    assert!(node.read("etc/network/interfaces").contains("slaves eth0\n"));
    assert_eq!(
        node.read("var/lib/pve-cluster/config.db"),
        "datacenter.cfg\nkeyboard: de\nuser.cfg\nuser:root@pam:1:0::::\n"
    );
    assert_eq!(node.read("var/lib/pve-cluster/config.db.before-cias"), "the old database\n");
    assert_eq!(node.read("root/.ssh/authorized_keys"), "ssh-rsa AAAAold root@byhand\n");
    assert!(!node.path("root/.ssh/authorized_keys").is_symlink());
    assert!(node.path("etc/rc2.d/S20pve-cluster").is_symlink());
    assert!(!node.path("var/lib/cias/held").exists());
}

#[test]
fn a_server_becomes_the_founder_in_the_order_that_its_database_needs() {
    let node = by_hand(PIN);
    let site = elsewhere(&node);
    let (plan, stderr) = node.wants(0, &["setup", "--site", &site, "--yes"]);
    assert!(plan.starts_with("founder: pve-rack-a-0-1.example.com, 10.254.0.1\nsetup\n"), "{plan}");
    for part in [
        "- keep /etc/pve/user.cfg\n",
        "- rename /var/lib/pve-cluster/config.db to",
        "\nidentity\n",
        "\nprovision\n",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    assert_is_a_node(&node);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &node.path("etc/cias/site.toml").metadata().unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let calls = node.read("calls");
    let place = |line: &str| {
        calls.lines().position(|call| call.starts_with(line)).unwrap_or_else(|| panic!("{line}: {calls}"))
    };
    let order = [
        "update-rc.d pve-cluster disable",
        "invoke-rc.d pveproxy stop",
        "invoke-rc.d pve-cluster stop",
        "create_pmxcfs_db",
        "hostname -F",
        "update-rc.d pve-cluster enable",
        "ifdown vmbr0",
        "ifup bond0",
        "invoke-rc.d pve-cluster start",
    ];
    assert!(order.map(place).is_sorted(), "{calls}");
    let status: serde_json::Value = serde_json::from_str(&node.wants(0, &["status", "--json"]).0).unwrap();
    assert_eq!((&status["state"], &status["role"]), (&"done".into(), &"founder".into()), "{stderr}");
    // It is one now, and a second call says so.
    let (_, stderr) = node.wants(5, &["setup", "--yes"]);
    assert!(stderr.contains("already pve-rack-a-0-1.example.com"), "{stderr}");
}

#[test]
fn the_given_file_loses_the_join_key_and_nothing_else_once_the_node_has_joined() {
    let node = by_hand(PIN);
    let site = elsewhere(&node);
    let before = std::fs::read_to_string(&site).unwrap();
    // The name of a link is what a person may give.
    let link = node.path("link.toml");
    std::os::unix::fs::symlink(&site, &link).unwrap();
    let (plan, stderr) = node.wants(0, &["setup", "--site", link.to_str().unwrap(), "--yes"]);
    assert!(plan.contains(&format!("- remove the join key from {site} once this node has joined")), "{plan}");
    assert!(stderr.contains(&format!("setup: the join key was removed from {site}")), "{stderr}");
    let after = std::fs::read_to_string(&site).unwrap();
    assert_eq!((key_lines(&before), key_lines(&after)), (2, 1), "{after}");
    assert!(after.starts_with("# A site for tests") && after.contains("enrol_host_key = "), "{after}");
    assert!(after.ends_with(PIN), "{after}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&site).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(key_lines(&node.read("etc/cias/site.toml")), 1);
    assert!(!node.path("var/lib/cias/given-site.json").exists());
}

#[test]
fn keep_file_leaves_it_and_says_so() {
    let node = by_hand(PIN);
    let site = elsewhere(&node);
    let before = std::fs::read_to_string(&site).unwrap();
    let (plan, stderr) = node.wants(0, &["setup", "--site", &site, "--yes", "--keep-file"]);
    assert!(plan.contains(&format!("- {site} keeps the site's join key")), "{plan}");
    assert!(stderr.contains(&format!("setup: {site} holds the site's join key")), "{stderr}");
    assert_eq!(std::fs::read_to_string(&site).unwrap(), before);
}

#[test]
fn a_second_file_with_the_secrets_loses_the_key_also_when_another_run_ends_the_join() {
    let node = by_hand("");
    let site = elsewhere(&node);
    let text = std::fs::read_to_string(&site).unwrap();
    let (head, rest) = text.split_once("root_password_hash").unwrap();
    let (secrets, tail) = rest.split_once("[install]").unwrap();
    std::fs::write(&site, format!("{head}secrets_file = \"hidden.toml\"\n[install]{tail}")).unwrap();
    let second = node.path("hidden.toml");
    std::fs::write(&second, format!("[site]\nroot_password_hash{secrets}")).unwrap();
    std::fs::set_permissions(&second, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (plan, stderr) = node.wants(6, &["setup", "--site", &site, "--yes"]);
    assert!(plan.contains("/hidden.toml once this node has joined"), "{plan}");
    assert_eq!(plan.matches("once this node has joined").count(), 1, "{plan}");
    assert!(stderr.contains("/hidden.toml holds the site's join key until this node has joined"), "{stderr}");
    assert_eq!(key_lines(&node.read("hidden.toml")), 2);
    // What the agent does once it is decided.
    node.site(PIN);
    node.wants(0, &["run"]);
    assert_eq!(key_lines(&node.read("hidden.toml")), 1);
}

#[test]
fn a_file_on_another_file_system_is_left_alone() {
    use std::os::unix::fs::MetadataExt;
    let node = by_hand(PIN);
    let site = elsewhere(&node);
    let Ok(stick) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: no /dev/shm");
        return;
    };
    let device = |path: &std::path::Path| std::fs::metadata(path).unwrap().dev();
    if device(stick.path()) == device(&node.path("")) {
        eprintln!("skipped: /dev/shm is on the tests' file system");
        return;
    }
    let there = stick.path().join("site.toml");
    std::fs::copy(&site, &there).unwrap();
    let (plan, stderr) = node.wants(0, &["setup", "--site", there.to_str().unwrap(), "--yes"]);
    assert!(plan.contains("is on another file system and keeps the site's join key"), "{plan}");
    assert!(stderr.contains("so remove it from this node"), "{stderr}");
    assert_eq!(key_lines(&std::fs::read_to_string(there).unwrap()), 2);
}

#[test]
fn every_obstacle_is_listed_and_nothing_is_changed() {
    let node = by_hand(PIN);
    std::fs::write(
        node.path("etc/pve/.vmlist"),
        "{\"ids\": {\"100\": {\"node\": \"n\", \"type\": \"qemu\", \"version\": 1}}}",
    )
    .unwrap();
    std::fs::write(node.path("var/lib/pve-cluster/corosync.authkey"), "x").unwrap();
    std::fs::write(node.path("sys/class/net/eth0/carrier"), "0").unwrap();
    std::fs::remove_file(node.path("var/lib/dpkg/status")).unwrap();
    let before = node.snapshot();
    let (stdout, stderr) = node.wants(5, &["setup", "--yes"]);
    for part in [
        "for 4 reason(s)",
        "no installed pve-manager",
        "corosync.authkey: found it",
        "found 100, wanted none",
        "no link on eth0",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert_eq!((stdout.as_str(), node.snapshot()), ("", before));
}

#[test]
fn without_a_terminal_or_a_site_file_nothing_begins() {
    let node = by_hand(PIN);
    let before = node.snapshot();
    let (plan, stderr) = node.wants(5, &["setup"]);
    assert!(plan.contains("step 1 of 5") && stderr.contains("give --yes"), "{plan}{stderr}");
    assert_eq!(node.snapshot(), before);
    std::fs::remove_file(node.path("etc/cias/site.toml")).unwrap();
    let (_, stderr) = node.wants(3, &["setup", "--yes"]);
    assert!(stderr.contains("cias-builder init"), "{stderr}");
}

#[test]
fn a_server_that_nobody_pinned_waits_without_a_name_and_with_its_services_held_back() {
    let node = by_hand("");
    let (_, stderr) = node.wants(6, &["setup", "--yes"]);
    assert!(stderr.contains("pins no founder"), "{stderr}");
    assert_eq!(node.read("etc/hostname"), "byhand\n");
    assert!(node.read("etc/network/interfaces").contains("iface vmbr0 inet manual\n"));
    assert!(node.path("etc/rc2.d/K20pve-cluster").is_symlink());
    let calls = node.read("calls");
    assert!(calls.contains("ifup bond0\nifup vmbr0\n") && !calls.contains("start"), "{calls}");
    // What the agent does once it is decided.
    node.site(PIN);
    node.wants(0, &["run"]);
    assert_is_a_node(&node);
}

#[test]
fn nothing_renames_a_running_proxmox_unasked() {
    let node = by_hand(PIN);
    let (_, stderr) = node.wants(5, &["run"]);
    assert!(stderr.contains("installed here by hand") && stderr.contains("`cias setup`"), "{stderr}");
    assert_eq!(node.read("etc/hostname"), "byhand\n");
}

#[test]
fn a_gateway_that_is_silent_is_a_warning() {
    let node = by_hand(PIN);
    node.answers("ping", Some("exit 1"));
    let (_, stderr) = node.wants(0, &["setup", "--yes"]);
    assert!(stderr.contains("warning: the gateway 10.0.0.254 does not answer"), "{stderr}");
}

#[test]
fn a_failure_in_the_middle_is_gone_on_with_by_the_next_boot_and_by_the_next_call() {
    for next in [&["run"][..], &["setup"]] {
        let node = by_hand(PIN);
        let site = elsewhere(&node);
        node.answers("create_pmxcfs_db", Some("echo broken >&2; exit 1"));
        let (_, stderr) = node.wants(1, &["setup", "--site", &site, "--yes"]);
        assert!(stderr.contains("make a fresh database"), "{stderr}");
        assert_eq!(node.read("etc/hostname"), "byhand\n");
        node.answers("create_pmxcfs_db", Some(CREATE));
        let (_, stderr) = node.wants(0, next);
        assert!(stderr.contains("setup: resumed at step 5 of 5 after a failure"), "{stderr}");
        assert_is_a_node(&node);
    }
}

/// A terminal with `cias setup` on it.
struct Session {
    keys: File,
    child: Child,
    shown: String,
}

impl Session {
    fn begin(node: &Node, args: &[&str]) -> Self {
        let pty = openpty(None, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = node.command(args, &[]);
        command.stdin(end()).stdout(end()).stderr(end());
        // Ctrl-C reaches the foreground processes of the terminal that leads the session.
        let script = command.get_program().to_owned();
        let mut setsid = std::process::Command::new("/usr/bin/setsid");
        setsid.arg("--ctty").arg("--wait").arg(script).args(command.get_args()).env_clear();
        setsid.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = setsid.stdin(end()).stdout(end()).stderr(end()).process_group(0).spawn().unwrap();
        drop(setsid);
        Self { keys: File::from(pty.master), child, shown: String::new() }
    }

    /// Waits until `text` is shown, then types.
    fn answer(&mut self, text: &str, keys: &str) {
        while !self.shown.contains(text) {
            let mut bytes = [0; 4096];
            let count = self.keys.read(&mut bytes).unwrap_or_else(|error| panic!("{error}: {}", self.shown));
            self.shown += &String::from_utf8_lossy(&bytes[..count]);
        }
        self.shown.clear();
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads to the end; the exit code and what was shown.
    fn end(mut self) -> (Option<i32>, String) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = self.keys.read(&mut bytes) {
            self.shown += &String::from_utf8_lossy(&bytes[..count]);
        }
        (self.child.wait().unwrap().code(), self.shown)
    }
}

const ENTER: &str = "Press Enter to do all this";

#[test]
fn at_a_terminal_what_is_missing_is_asked_for_and_enter_begins() {
    let node = by_hand(PIN);
    let site = elsewhere(&node);
    let text = std::fs::read_to_string(&site).unwrap();
    std::fs::write(
        &site,
        text.replace("mail = \"admin@example.com\"\n", "").replace("accept_eula = true\n", ""),
    )
    .unwrap();
    let mut session = Session::begin(&node, &["setup", "--site", &site]);
    session.answer("The administrator's mail address: ", "nobody\n");
    session.answer("The administrator's mail address: ", "me@example.org\n");
    session.answer("(yes): ", "yes\n");
    session.answer(ENTER, "\n");
    let (code, shown) = session.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(node.read("etc/cias/site.toml").contains("mail = \"me@example.org\"\n"));
    assert_is_a_node(&node);
}

#[test]
fn another_answer_or_ctrl_c_leaves_everything_as_it_is() {
    for (keys, code) in [("no\n", 1), ("\u{4}", 1), ("\u{3}", 130)] {
        let node = by_hand(PIN);
        let before = node.snapshot();
        let mut session = Session::begin(&node, &["setup"]);
        session.answer(ENTER, keys);
        let (found, shown) = session.end();
        assert_eq!(found, Some(code), "{shown}");
        assert_eq!(node.snapshot(), before);
    }
}
