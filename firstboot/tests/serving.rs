//! Stand-in: a plain folder in place of the cluster's file system. Drives `cias agent` as a Master that serves and as the node that it serves.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/node.rs"]
mod node;
#[path = "support/server.rs"]
mod server;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/wire.rs"]
mod wire;

use nix::sys::signal::Signal;
use serde_json::Value;
use server::Server;
use wire::Wire;

/// Stand-in for a mounted, quorate file system of the cluster: a plain folder with the two things that tell so.
fn found_cluster(server: &Server, quorate: u8) {
    let name = server.node.read("etc/hostname");
    let name = name.trim();
    let pve = server.node.path("etc/pve");
    std::fs::create_dir_all(&pve).unwrap();
    if !pve.join("local").is_symlink() {
        std::os::unix::fs::symlink(format!("nodes/{name}"), pve.join("local")).unwrap();
    }
    let members = format!(
        r#"{{"nodename": "{name}", "cluster": {{"name": "DLLL-CIAS", "quorate": {quorate}}}, "nodelist": {{"{name}": {{"id": 1, "online": 1}}}}}}"#
    );
    std::fs::write(pve.join("new"), members).unwrap();
    std::fs::rename(pve.join("new"), pve.join(".members")).unwrap();
}

#[test]
fn a_founder_with_a_quorate_cluster_serves_places_from_the_ledger_and_without_quorum_refuses() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let founder = Server::new(&mut wire, 1, "");
    founder.waits_until_settled();
    std::fs::create_dir_all(founder.node.path("etc/ssh")).unwrap();
    std::fs::write(founder.node.path("etc/ssh/ssh_host_rsa_key.pub"), "ssh-rsa AAAA root@x\n").unwrap();
    found_cluster(&founder, 1);
    founder.waits_for_phase("serving");
    let memory: Value = serde_json::from_str(&founder.node.read("var/lib/cias/agent.json")).unwrap();
    assert_eq!(memory["progress"], "founded");
    assert!(founder.node.read("etc/pve/priv/cias/ledger/0").contains("\"10.254.0.1\""));
    found_cluster(&founder, 0);
    let mut node = Server::new(&mut wire, 2, "");
    node.waits_for("a refusal", |published| {
        published["refused"].as_str().is_some_and(|reason| reason.contains("has no quorum"))
    });
    assert_eq!(founder.published()["phase"], "serving");
    found_cluster(&founder, 1);
    // The enrolment's ssh is one that reaches nobody.
    node.waits_for("the join's wait", |published| {
        published["run"].as_str().is_some_and(|run| run.contains("waits and is tried again"))
    });
    let memory: Value = serde_json::from_str(&node.node.read("var/lib/cias/agent.json")).unwrap();
    let offer = &memory["offer"];
    assert_eq!((&offer["address"], &offer["master"]), (&"10.254.1.1".into(), &"10.254.0.1".into()));
    assert_eq!(offer["host_key"], "ssh-rsa AAAA");
    assert!(founder.node.read("etc/pve/priv/cias/ledger/1").contains("\"10.254.1.1\""));
    found_cluster(&node, 1);
    node.waits_for_phase("member");

    // Taken out of the cluster for good, it finds out when it comes back, and stays so over restarts.
    let row = founder.node.path("etc/pve/priv/cias/ledger/1");
    let text = std::fs::read_to_string(&row).unwrap().replace("\"offered\"", "\"retired\"");
    std::fs::write(&row, text).unwrap();
    for _ in 0..2 {
        let before = node.published()["pid"].clone();
        node.kill(Signal::SIGKILL);
        std::fs::remove_file(node.node.path("calls")).unwrap();
        node.start();
        node.waits_for("its end", |published| {
            published["pid"] != before
                && published["phase"] == "stopped"
                && published["run"].as_str().is_some_and(|run| run.contains("was removed from the cluster"))
        });
        assert!(
            node.node.read("calls").contains("invoke-rc.d pve-cluster stop"),
            "{}",
            node.node.read("calls")
        );
    }
    assert!(node.node.wants(5, &["run"]).1.contains("install this server anew"));
    assert!(node.node.wants(0, &["status"]).0.contains("install this server anew"));
}
