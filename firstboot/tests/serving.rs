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
use wire::{Wire, wait};

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

/// Stand-in for the mail system of a server; a mail takes it so many seconds.
fn takes_mails(server: &Server, seconds: u8) {
    let script = format!("/bin/cat >> $ROOT/mails; /bin/sleep {seconds}; echo x >> $ROOT/sent");
    server.node.answers("sendmail", Some(&script));
}

#[test]
fn a_founder_with_a_quorate_cluster_serves_places_from_the_ledger_and_without_quorum_refuses() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let founder = Server::new(&mut wire, 1, "");
    takes_mails(&founder, 0);
    founder.waits_until_settled();
    std::fs::create_dir_all(founder.node.path("etc/ssh")).unwrap();
    std::fs::write(founder.node.path("etc/ssh/ssh_host_rsa_key.pub"), "ssh-rsa AAAA root@x\n").unwrap();
    found_cluster(&founder, 1);
    founder.waits_for_phase("serving");
    let memory: Value = serde_json::from_str(&founder.node.read("var/lib/cias/agent.json")).unwrap();
    assert_eq!(memory["progress"], "founded");
    assert!(founder.node.read("etc/pve/priv/cias/ledger/0").contains("\"10.254.0.1\""));
    wait("the founding's mail", || (!founder.node.read("sent").is_empty()).then_some(()));
    let mails = founder.node.read("mails");
    assert!(mails.contains("\nSubject: [DLLL-CIAS] the cluster DLLL-CIAS was founded\n"), "{mails}");
    assert!(mails.contains("\nNode      pve-rack-a-0-1.example.com (founder)\n"), "{mails}");
    for file in ["sent", "mails"] {
        std::fs::remove_file(founder.node.path(file)).unwrap();
    }
    takes_mails(&founder, 19);
    found_cluster(&founder, 0);
    let mut node = Server::new(&mut wire, 2, "");
    node.waits_for("a refusal", |published| {
        published["refused"]
            .as_str()
            .is_some_and(|reason| reason.contains("has no quorum") && reason.contains("; tried again in "))
    });
    wait("its banner", || node.node.read("etc/issue").contains("; tried again in ").then_some(()));
    assert!(node.node.read("stderr").contains("; tried again in 15 s"), "{}", node.node.read("stderr"));
    assert_eq!(founder.published()["phase"], "serving");
    // Each stands in the log, and the same one is mailed once.
    let log = || founder.node.read("var/log/cias/agent.log");
    wait("some refusals", || (log().matches("no place: the Master gives").count() >= 3).then_some(()));
    assert_eq!(founder.node.read("sent"), "", "a mail that takes its time holds nobody up");
    let mails = founder.node.read("mails");
    assert_eq!(mails.matches("\nSubject: ").count(), 1, "{mails}");
    assert!(mails.contains("\nSubject: [DLLL-CIAS] a server was refused a place\n"), "{mails}");
    assert!(mails.contains("has no quorum") && mails.contains("52:54:00:00:01:02, "), "{mails}");
    found_cluster(&founder, 1);
    // The enrolment's ssh is one that reaches nobody.
    node.waits_for("the join's wait", |published| {
        published["run"].as_str().is_some_and(|run| run.contains("waits and is tried again"))
            && published["refused"].is_null()
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

#[test]
fn a_serving_founder_goes_on_with_what_failed_while_it_booted() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut founder = Server::new(&mut wire, 1, "");
    founder.waits_until_settled();
    std::fs::create_dir_all(founder.node.path("etc/ssh")).unwrap();
    std::fs::write(founder.node.path("etc/ssh/ssh_host_rsa_key.pub"), "ssh-rsa AAAA root@x\n").unwrap();
    found_cluster(&founder, 1);
    founder.waits_for_phase("serving");
    founder.kill(Signal::SIGKILL);
    // As the run of a boot leaves it that was too early.
    let journal = founder.node.path("var/lib/cias/journal.json");
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&journal).unwrap()).unwrap();
    let last = json["stages"].as_array_mut().unwrap().last_mut().unwrap();
    last["progress"] = "failed".into();
    last["reason"] = "step 2 of 2: it was too early".into();
    std::fs::write(&journal, json.to_string()).unwrap();
    std::fs::remove_file(founder.node.path("run/cias/agent.json")).unwrap();
    founder.start();
    founder.waits_until_settled();
}

#[test]
fn two_founders_that_meet_say_so_on_the_console_and_by_mail_and_the_lower_one_stops() {
    if !wire::allowed() {
        return;
    }
    let (mut wire, mut other) = (Wire::new(), Wire::new());
    let master = Server::new(&mut wire, 1, "");
    let lower = Server::new(&mut other, 2, "");
    takes_mails(&master, 0);
    takes_mails(&lower, 0);
    // It has formatted disks, and comes no further.
    lower.node.answers("pvecm", Some("echo 'no cluster today' >&2; exit 1"));
    let master_id = master.waits_for_phase("serving")["id"].as_str().unwrap().to_owned();
    wait("a founder that has begun", || {
        let memory: Value =
            serde_json::from_str(&lower.node.read("var/lib/cias/agent.json")).unwrap_or_default();
        (memory["progress"] == "settled").then_some(())
    });
    let found = lower.waits_for_phase("founder");
    let lower_id = found["id"].as_str().unwrap().to_owned();
    for (server, founded) in [(&master, true), (&lower, false)] {
        let mails = server.node.read("mails");
        let early = ["another founder", "has stopped"].iter().any(|word| mails.contains(word));
        assert!(!early && (founded || !mails.contains("was founded")), "{mails}");
    }
    wire.meets(&mut other);
    lower.waits_for_phase("stopped");
    let rival = |id: &str| format!("another founder or Master is there: {id}");
    let stopped =
        format!("this machine has begun to found a cluster and {master_id} leads one already; which of them");
    for (server, subject, sentence) in [
        (&master, "another founder or Master is there", rival(&lower_id)),
        (&lower, "another founder or Master is there", rival(&master_id)),
        (&lower, "this machine has stopped", stopped),
    ] {
        wire::wait_telling(
            || format!("{subject}: {}{}", server.node.read("mails"), server.node.read("stderr")),
            || {
                let mails = server.node.read("mails");
                let told = mails.split("From: CIAS ").any(|mail| {
                    mail.contains(&format!("\nSubject: [DLLL-CIAS] {subject}\n")) && mail.contains(&sentence)
                });
                (told && server.node.read("stderr").contains(&sentence)).then_some(())
            },
        );
    }
    assert!(!master.node.read("mails").contains("has stopped") && master.published()["phase"] == "serving");
}
