//! Drives `cias agent` where two were elected that did not hear each other: two wires, which are joined afterwards.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/node.rs"]
mod node;
#[path = "support/server.rs"]
mod server;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/wire.rs"]
mod wire;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use server::Server;
use wire::{Wire, wait};

/// Of the node: where the held command has its parent's process id, which is that of `cias run`, and its own.
const HELD: &str = "held";

/// A stand-in that does not end by itself when its first word is `word`.
fn holds(word: &str) -> String {
    format!("test \"$1\" = {word} || exit 0\necho $PPID $$ > $ROOT/{HELD}\nexec /bin/sleep 100")
}

fn memory(server: &Server) -> Value {
    serde_json::from_str(&server.node.read("var/lib/cias/agent.json")).unwrap_or_default()
}

/// The process ids of the held command's parent and of itself, once it is held.
fn held(server: &Server) -> [Pid; 2] {
    wait("the held command", || {
        let text = server.node.read(HELD);
        let ids: Vec<i32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (text.ends_with('\n') && ids.len() == 2).then(|| [Pid::from_raw(ids[0]), Pid::from_raw(ids[1])])
    })
}

/// A founder of priority 10 alone on a wire, whose `cias run` is held in the command `name` if its first word is `word`.
fn held_founder(wire: &mut Wire, name: &str, word: &str) -> Server {
    let server = Server::new(wire, 1, "[role]\npriority = 10\n");
    server.node.answers(name, Some(&holds(word)));
    server.waits_for_phase("founder");
    held(&server);
    server
}

/// A Master on a wire of its own.
fn master(wire: &mut Wire) -> Server {
    let server = Server::new(wire, 2, "[role]\npriority = 60\n");
    server.waits_until_settled();
    server.waits_for_phase("serving");
    std::fs::create_dir_all(server.node.path("etc/ssh")).unwrap();
    std::fs::write(server.node.path("etc/ssh/ssh_host_rsa_key.pub"), "ssh-rsa AAAA root@x\n").unwrap();
    server
}

#[test]
fn a_founder_that_has_begun_nothing_yields_and_takes_a_place_from_the_other() {
    if !wire::allowed() {
        return;
    }
    let (mut here, mut there) = (Wire::new(), Wire::new());
    let other = master(&mut there);
    let server = held_founder(&mut here, "udevadm", "settle");
    let [run, _] = held(&server);
    let before = memory(&server);
    assert_eq!((&before["elected"], &before["progress"]), (&true.into(), &"nothing".into()));
    server.node.answers("udevadm", None);
    here.meets(&mut there);
    takes_place(&server);
    let log = server.node.read("var/log/cias/agent.log");
    let id = other.published()["id"].as_str().unwrap().to_owned();
    assert!(log.contains(&format!("yields to {id}; nothing was begun here")), "{log}");
    assert!(kill(run, None).is_err(), "what ran for the founding has ended");
    let after = memory(&server);
    assert_eq!((&after["elected"], &after["progress"]), (&false.into(), &"nothing".into()));
    wait("the place's name", || (server.node.read("etc/hostname") == "pve-rack-a-1-1\n").then_some(()));
}

#[test]
fn a_founder_whose_identity_was_begun_stops() {
    if !wire::allowed() {
        return;
    }
    let (mut here, mut there) = (Wire::new(), Wire::new());
    let _other = master(&mut there);
    let server = held_founder(&mut here, "hostname", "-F");
    wait("what is remembered", || (memory(&server)["progress"] == "settled").then_some(()));
    here.meets(&mut there);
    stops(&server);
}

/// It has a place of the other one. Its state is shown a moment before what it was given.
fn takes_place(server: &Server) {
    let given = server
        .waits_for("a place", |published| published["phase"] == "offered" && published["role"] == "node");
    assert_eq!(given["stopped"], Value::Null);
}

/// It stops, and remembers why.
fn stops(server: &Server) {
    let stopped = server.waits_for("its end", |published| published["stopped"].is_string());
    assert_eq!(stopped["phase"], "stopped");
    let reason = stopped["stopped"].as_str().unwrap();
    assert!(reason.contains("this machine has begun to found a cluster"), "{reason}");
    let kept = memory(server)["stopped"]["reason"].as_str().unwrap().to_owned();
    assert!(kept.contains("install this server anew"), "{kept}");
}

#[test]
fn a_run_that_takes_the_identity_while_the_other_is_heard_is_waited_for() {
    if !wire::allowed() {
        return;
    }
    let (mut here, mut there) = (Wire::new(), Wire::new());
    let _other = master(&mut there);
    let mut server = held_founder(&mut here, "udevadm", "settle");
    server.kill(Signal::SIGKILL);
    for pid in held(&server) {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    // Of somebody else, who does not wait for the agent; the election is of this boot, and counts.
    std::fs::remove_file(server.node.path(HELD)).unwrap();
    let run = server.begin(&["run", "--stage", "identity"]);
    let [_, sleep] = held(&server);
    server.start();
    server.waits_for("its doubt", |published| {
        published["run"].as_str().is_some_and(|run| run.starts_with("it cannot tell yet"))
    });
    here.meets(&mut there);
    let found = server.waits_for("the other one", |published| published["leader"].is_object());
    assert_ne!(found["phase"], "offered");
    assert_eq!(memory(&server)["progress"], "nothing");
    kill(sleep, Signal::SIGKILL).unwrap();
    stops(&server);
    server.space.reap(run);
}

#[test]
fn a_founder_that_died_before_it_began_yields_to_the_one_elected_in_its_place() {
    if !wire::allowed() {
        return;
    }
    let (mut here, mut there) = (Wire::new(), Wire::new());
    let mut server = held_founder(&mut here, "udevadm", "settle");
    // The power goes.
    let all = held(&server);
    server.kill(Signal::SIGKILL);
    for pid in all {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    server.node.answers("udevadm", None);
    let boot = server.node.path("proc/sys/kernel/random/boot_id");
    std::fs::create_dir_all(boot.parent().unwrap()).unwrap();
    std::fs::write(boot, "another-boot\n").unwrap();
    assert_eq!(memory(&server)["elected"], true);
    // As init does at a boot, before anybody could be heard.
    server.node.wants(6, &["run", "--stage", "identity"]);
    assert_eq!(server.node.read("etc/hostname"), "proxmox\n");
    let _other = master(&mut there);
    here.meets(&mut there);
    server.start();
    takes_place(&server);
    assert_eq!(memory(&server)["elected"], false);
}
