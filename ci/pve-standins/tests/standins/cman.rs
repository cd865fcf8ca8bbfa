//! The stand-in of cman with a fake corosync, through its own programs (pve-3.2-tools.md 3 and 3.1).

use std::process::{Child, Command, Stdio};

use crate::support::{PROGRAM, conf, place, wait};

struct Node {
    id: u32,
    folder: tempfile::TempDir,
    place: String,
    child: Option<Child>,
}

impl Node {
    fn new(id: u32, conf: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), [7; 128]).unwrap();
        std::fs::write(folder.path().join("conf"), conf).unwrap();
        Self { id, folder, place: place(), child: None }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn daemon(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["cmand", "-f", "--name", &format!("pve{}", self.id), "--conf", &self.at("conf")]);
        command.args(["--key", &self.at("key"), "--socket", &self.at("socket"), "--fake", &self.at("fake")]);
        command.args(["--listen", &self.place]);
        command
    }

    fn start(&mut self) {
        self.child = Some(self.daemon().stdout(Stdio::null()).spawn().unwrap());
        wait("cman", || self.tool(&["status"]).0 == Some(0));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What the fake corosync of this node shows.
    fn sees(&self, nodes: &[&Self]) {
        let reach = |node: &&Self| {
            let cman = &node.place;
            (node.id.to_string(), serde_json::json!({ "cman": cman, "pmxcfs": "127.0.0.1:1" }))
        };
        let members: serde_json::Map<_, _> = nodes.iter().map(reach).collect();
        std::fs::write(self.at("fake.new"), serde_json::Value::Object(members).to_string()).unwrap();
        std::fs::rename(self.at("fake.new"), self.at("fake")).unwrap();
    }

    fn tool(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(PROGRAM);
        let output =
            command.args(["cman_tool", "--socket", &self.at("socket")]).args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn line(&self, key: &str) -> String {
        let status = self.tool(&["status"]).1;
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Nodes that have all joined.
fn cluster(count: u32) -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..=count).map(|id| Node::new(id, &conf(count))).collect();
    meet(&nodes.iter().collect::<Vec<_>>());
    nodes.iter_mut().for_each(Node::start);
    for node in &nodes {
        wait("all to join", || node.line("Nodes") == count.to_string());
    }
    nodes
}

fn meet(nodes: &[&Node]) {
    for node in nodes {
        node.sees(nodes);
    }
}

#[test]
fn not_running() {
    let node = Node::new(1, &conf(1));
    let not = "cman_tool: Cannot open connection to cman, is it running ?\n";
    for words in [&["status"][..], &["nodes"], &["expected", "-e", "1"]] {
        assert_eq!(node.tool(words), (Some(1), String::new(), not.to_owned()), "{words:?}");
    }
    let (code, _, said) = node.tool(&["wait", "-q", "-t", "1"]);
    assert_eq!((code, said.contains("Timed-out waiting for cluster")), (Some(2), true));
}

#[test]
fn what_status_and_nodes_print() {
    let nodes = cluster(2);
    let (code, status, _) = nodes[1].tool(&["status"]);
    let keys: Vec<&str> = status.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    let wanted = [
        "Version",
        "Config Version",
        "Cluster Name",
        "Cluster Id",
        "Cluster Member",
        "Cluster Generation",
        "Membership state",
        "Nodes",
        "Expected votes",
        "Total votes",
        "Node votes",
        "Quorum",
        "Active subsystems",
        "Flags",
        "Ports Bound",
        "Node name",
        "Node ID",
        "Multicast addresses",
        "Node addresses",
    ];
    assert_eq!((code, keys), (Some(0), wanted.to_vec()));
    assert_eq!((nodes[1].line("Cluster Id"), nodes[1].line("Version")), ("36193".into(), "6.2.0".into()));
    assert_eq!(nodes[1].line("Multicast addresses"), "239.192.141.238 ");
    assert!(status.contains("\nQuorum: 2  \n"), "two blanks when quorate: {status}");
    nodes[1].sees(&[&nodes[1]]);
    wait("the loss", || nodes[1].line("Quorum") == "2 Activity blocked");
    let listed = nodes[1].tool(&["nodes"]).1;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines[0], "Node  Sts   Inc   Joined               Name");
    assert!(lines[1].starts_with("   1   X  ") && lines[1].ends_with("  pve1"), "{listed}");
    assert!(lines[2].starts_with("   2   M  ") && lines[2].ends_with("  pve2"), "{listed}");
}

/// One of two dies: `expected 2` is refused, `expected 1` helps, a return takes it away again.
#[test]
fn expected_votes() {
    let nodes = cluster(3);
    let [one, two, three] = &nodes[..] else { panic!("three nodes") };
    one.sees(&[one]);
    two.sees(&[two, three]);
    three.sees(&[two, three]);
    wait("the split", || one.line("Quorum") == "2 Activity blocked");
    assert_eq!(two.tool(&["wait", "-q", "-t", "5"]).0, Some(0), "the majority goes on");
    let refused =
        (Some(1), String::new(), "cman_tool: can't set expected votes: Invalid argument\n".to_owned());
    assert_eq!(one.tool(&["expected", "-e", "2"]), refused);
    assert_eq!(one.tool(&["expected", "-e", "1"]), (Some(0), String::new(), String::new()));
    assert_eq!((one.line("Quorum"), one.line("Expected votes")), ("1  ".into(), "1".into()));
    meet(&[one, two, three]);
    wait("the return", || one.line("Nodes") == "3");
    assert_eq!((one.line("Quorum"), one.line("Expected votes")), ("2  ".into(), "3".into()));
    // What is set on one is set on all.
    assert_eq!(two.tool(&["expected", "-e", "1"]).0, Some(0));
    wait("the others", || three.line("Expected votes") == "1" && one.line("Expected votes") == "1");
}

#[test]
fn expected_is_forgotten_by_a_restart() {
    let mut nodes = cluster(2);
    nodes[1].kill();
    let mut one = nodes.remove(0);
    one.sees(&[&one]);
    wait("the death", || one.line("Nodes") == "1");
    assert_eq!(one.tool(&["expected", "-e", "1"]).0, Some(0));
    assert_eq!(one.line("Quorum"), "1  ");
    one.kill();
    one.start();
    assert_eq!(one.line("Quorum"), "2 Activity blocked");
}

#[test]
fn a_newer_file_lowers_and_never_raises() {
    let nodes = cluster(3);
    let [one, two, _] = &nodes[..] else { panic!("three nodes") };
    one.sees(&[one, two]);
    two.sees(&[one, two]);
    wait("the death", || one.line("Nodes") == "2");
    let newer = |count: u32, version: u32| {
        conf(count).replace(&format!("config_version=\"{count}\""), &format!("config_version=\"{version}\""))
    };
    for node in [one, two] {
        std::fs::write(node.at("conf"), newer(1, 9)).unwrap();
        wait("the new file", || node.line("Config Version") == "9");
        assert_eq!(node.line("Expected votes"), "1");
        std::fs::write(node.at("conf"), newer(8, 10)).unwrap();
        wait("the next file", || node.line("Config Version") == "10");
        assert_eq!(node.line("Expected votes"), "1");
        std::fs::write(node.at("conf"), newer(2, 3)).unwrap();
    }
    assert_eq!(one.tool(&["version", "-r", "-S"]).0, Some(0));
    assert_eq!(one.line("Config Version"), "10", "an older file is ignored");
}

#[test]
fn leave_remove_lowers_and_a_plain_leave_does_not() {
    for (words, quorum) in [(&["leave", "remove"][..], "1  "), (&["leave"], "2 Activity blocked")] {
        let nodes = cluster(2);
        assert_eq!(nodes[1].tool(words).0, Some(0));
        wait("the end of cman", || nodes[1].tool(&["status"]).0 == Some(1));
        nodes[0].sees(&[&nodes[0]]);
        wait("the loss", || nodes[0].line("Nodes") == "1");
        assert_eq!(nodes[0].line("Quorum"), quorum, "{words:?}");
    }
}

#[test]
fn it_does_not_start_with_a_wrong_file_and_ends_with_corosync() {
    let mut node = Node::new(1, &conf(3).replace("<cman ", "<cman two_node=\"1\" expected_votes=\"1\" "));
    node.sees(&[&node]);
    let failed = node.daemon().output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains("two_node set but there are more than 2 nodes"), "{said}");
    std::fs::write(node.at("conf"), conf(1)).unwrap();
    node.start();
    std::fs::remove_file(node.at("fake")).unwrap();
    wait("its end", || node.tool(&["status"]).0 == Some(1));
}

/// Without the cluster's key a node is seen by corosync and still is no member.
#[test]
fn a_wrong_key_is_no_member() {
    let (mut one, mut two) = (Node::new(1, &conf(2)), Node::new(2, &conf(2)));
    std::fs::write(two.at("key"), [8; 128]).unwrap();
    meet(&[&one, &two]);
    one.start();
    two.start();
    assert_eq!(one.tool(&["wait", "-q", "-t", "2"]).0, Some(2));
    assert_eq!((one.line("Nodes"), two.line("Nodes")), ("1".into(), "1".into()));
}
