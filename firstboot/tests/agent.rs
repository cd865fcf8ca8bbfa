//! Drives `cias agent` on a wire of network namespaces: several machines, another site, an attacker, a kill, a pulled cable.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/node.rs"]
mod node;
#[path = "support/server.rs"]
mod server;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/wire.rs"]
mod wire;

use std::os::unix::fs::PermissionsExt;

use cias_firstboot::hello::frame::{Body, Codec, Frame, Offer};
use cias_firstboot::hello::{MachineId, Nonce};
use cias_firstboot::region::keyed_hash;
use nix::sys::signal::Signal;
use node::Node;
use serde_json::Value;
use server::Server;
use wire::{KEY, Tap, Wire, wait};

fn priority(priority: u8) -> String {
    format!("[role]\npriority = {priority}\n")
}

#[test]
fn of_three_the_one_with_the_highest_priority_founds_and_is_settled() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let servers = [10, 60, 30].map(|value| Server::new(&mut wire, value, &priority(value)));
    servers[1].waits_until_settled();
    let founder = servers[1].waits_for_phase("serving");
    assert_eq!(
        (&founder["phase"], &founder["role"], &founder["heard"]),
        (&"serving".into(), &"founder".into(), &2.into())
    );
    for other in [&servers[0], &servers[2]] {
        let found = other.waits_for("the leader", |published| published["leader"]["id"] == founder["id"]);
        assert_eq!(found["leader"]["priority"], 60);
        // It may have been given a place meanwhile, and founds nothing.
        assert!(found["role"] == "waiting" || found["role"] == "node", "{found}");
        let decided = |file: &str| {
            let text = std::fs::read_to_string(other.node.path(file)).unwrap_or_default();
            serde_json::from_str::<Value>(&text).unwrap_or_default()
        };
        assert_ne!(decided("var/lib/cias/agent.json")["elected"], true);
        assert_ne!(decided("var/lib/cias/journal.json")["role"], "founder");
    }
    let node = &servers[1].node;
    let memory: Value = serde_json::from_str(&node.read("var/lib/cias/agent.json")).unwrap();
    assert_eq!((&memory["elected"], &memory["progress"]), (&true.into(), &"founded".into()));
    let mode = |path: &str| std::fs::metadata(node.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("var/lib/cias/agent.json"), mode("run/cias/agent.json")), (0o600, 0o644));
    assert_eq!(node.read("etc/hostname"), "pve-rack-a-0-1\n");
    let calls = node.read("calls");
    let started: Vec<_> =
        calls.lines().filter(|line| line.starts_with("if") || line.starts_with("invoke")).collect();
    assert_eq!(
        started,
        ["ifdown vmbr0", "ifup vmbr0", "invoke-rc.d pve-cluster start", "invoke-rc.d pveproxy start"]
    );
    let status: Value = serde_json::from_str(&node.wants(0, &["status", "--json"]).0).unwrap();
    assert_eq!((&status["state"], &status["agent"]["running"]), (&"done".into(), &true.into()));
    assert!(node.wants(0, &["status"]).0.contains("agent: serving (founder, priority 60) on bond0, hears 2"));
    assert!(node.wants(6, &["agent", "--hurry", "2"]).1.contains("runs already"), "one at a time");
}

#[test]
fn a_pinned_founder_serves_and_nothing_else_is_done_there() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let pin = "[role]\nfounder = { serial = \"LAB-2\" }\npriority = 90\n";
    let other = Server::new(&mut wire, 1, pin);
    let mut founder = Server::new(&mut wire, 2, pin);
    founder.kill(Signal::SIGKILL);
    founder.node.wants(0, &["run"]);
    let calls = founder.node.read("calls");
    founder.start();
    let found = founder.waits_for_phase("serving");
    assert_eq!(
        (&found["priority"], &found["role"], &found["run"]),
        (&101.into(), &"founder".into(), &Value::Null)
    );
    let waiting = other.waits_for("its leader", |published| {
        published["leader"]["id"] == found["id"] && published["role"] == "node"
    });
    assert_eq!(waiting["leader"]["priority"], 101);
    let more = founder.node.read("calls").replace(&calls, "");
    let reads = ["ethtool -P ", "udevadm info "];
    assert!(more.lines().all(|line| reads.iter().any(|start| line.starts_with(start))), "{more}");
}

#[test]
fn a_killed_founder_goes_on_from_its_file() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut server = Server::new(&mut wire, 1, "");
    server.waits_until_settled();
    let first = server.waits_for_phase("serving");
    server.kill(Signal::SIGKILL);
    assert!(server.node.wants(0, &["status"]).0.contains("agent: not running; process"));
    let before = server.node.read("var/lib/cias/agent.json");
    server.start();
    let again = server.waits_for("a founder", |published| {
        published["pid"] != first["pid"] && published["phase"] == "serving"
    });
    assert_eq!(again["id"], first["id"]);
    assert_eq!(server.node.read("var/lib/cias/agent.json"), before);
    assert_eq!(server.kill(Signal::SIGTERM), 0);
    assert!(server.node.read("var/log/cias/agent.log").contains("agent: ends, because it was told to"));
}

#[test]
fn nothing_is_begun_before_it_can_be_remembered() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let server = Server::new(&mut wire, 1, "");
    server.waits_for_phase("listening");
    // In place of a disk that takes nothing.
    let taken = server.node.path("var/lib/cias/agent.json");
    std::fs::create_dir(&taken).unwrap();
    server.waits_for_phase("founder");
    wait("the complaint", || {
        server
            .node
            .read("var/log/cias/agent.log")
            .contains("nothing is begun before it can be remembered")
            .then_some(())
    });
    assert_eq!(server.published()["run"], Value::Null);
    assert_eq!(server.node.read("etc/hostname"), "proxmox\n");
    std::fs::remove_dir(&taken).unwrap();
    server.waits_until_settled();
    assert_eq!(server.node.read("etc/hostname"), "pve-rack-a-0-1\n");
}

#[test]
fn what_fails_is_told_once_and_tried_again_until_it_is_done() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let server = Server::new(&mut wire, 1, "");
    server.node.answers("sendmail", Some("/bin/cat >> $ROOT/mails"));
    server.node.answers("ifup", Some("if [ -e $ROOT/repaired ]; then exit 0; fi; echo no bond >&2; exit 1"));
    server.waits_for("the second failure", |published| {
        published["run"].as_str().is_some_and(|run| {
            run.starts_with("`cias run` failed and is tried again in 60 s: ") && run.contains("no bond")
        })
    });
    std::fs::write(server.node.path("repaired"), "").unwrap();
    server.waits_until_settled();
    let mails = server.node.read("mails");
    assert_eq!(mails.matches("\nSubject: ").count(), 1, "{mails}");
    assert!(mails.contains(": bring the node up failed\n") && mails.contains("no bond"), "{mails}");
}

#[test]
fn two_sites_on_one_wire_count_and_ignore_each_other() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let ours = Server::new(&mut wire, 1, "");
    let mut theirs = Server::new(&mut wire, 2, "");
    theirs.kill(Signal::SIGKILL);
    let site = theirs.node.read("etc/cias/site.toml").replace(KEY, &"a5".repeat(32));
    std::fs::write(theirs.node.path("etc/cias/site.toml"), site).unwrap();
    theirs.start();
    for server in [&ours, &theirs] {
        let found = server.waits_for("its own founding and the other's frames", |published| {
            published["phase"] == "founder" && published["dropped"]["foreign"].as_u64() > Some(0)
        });
        assert_eq!((&found["heard"], &found["rivals"]), (&0.into(), &Value::Array(vec![])));
    }
}

/// A frame of the site as a version that does not exist yet would send it.
fn of_version(version: u8, frame: &[u8]) -> Vec<u8> {
    let mut bytes = frame[..frame.len() - 32].to_vec();
    bytes[4] = version;
    let seal = keyed_hash(KEY, "cias hello frame", &bytes).unwrap();
    [bytes, seal.to_vec()].concat()
}

#[test]
fn an_attacker_changes_nothing_and_is_counted() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let tap = Tap::new(&mut wire);
    let server = Server::new(&mut wire, 1, "");
    let codec = Codec::new(KEY).unwrap();
    let (recorded, frame) =
        wait("a frame", || tap.hear().and_then(|bytes| Some((bytes.clone(), codec.decode(&bytes).ok()?))));
    let length = usize::from(u16::from_be_bytes([recorded[6], recorded[7]]));
    let recorded = &recorded[..length];
    let offer = Offer {
        to: frame.from,
        echo: Nonce(1),
        address: [10, 254, 1, 9].into(),
        name: "stolen".into(),
        master: [10, 254, 0, 9].into(),
        host_key: "k".into(),
        time: 0,
    };
    let offer = Frame { from: MachineId([9; 16]), nonce: Nonce(2), body: Body::Offer(offer) };
    let foreign = Codec::new(&"a5".repeat(32)).unwrap().encode(&offer).unwrap();
    let mut forged = recorded.to_vec();
    forged[50] ^= 1;
    let attacks = [
        b"no frame at all".to_vec(),
        vec![0xff; 1500],
        recorded[..length - 1].to_vec(),
        forged,
        recorded.to_vec(),
        foreign,
        of_version(2, recorded),
        codec.encode(&offer).unwrap(),
    ];
    let mut answers = 0;
    let found = wait("the election in spite of all", || {
        for attack in &attacks {
            tap.send(attack);
        }
        while let Some(bytes) = tap.hear() {
            answers += usize::from(codec.decode(&bytes).is_ok_and(|frame| frame.body == Body::Versions(1)));
        }
        let published = server.published();
        (published["phase"] == "founder").then_some(published)
    });
    for kind in ["malformed", "foreign", "forged", "version", "stale"] {
        assert!(found["dropped"][kind].as_u64() > Some(0), "{kind}: {found:#}");
    }
    assert_eq!(found["heard"], 0, "{found:#}");
    assert_eq!(
        (&found["twin"], &found["dropped"]["twins"]),
        (&false.into(), &0.into()),
        "a recording is no twin"
    );
    assert!((1..60).contains(&answers), "{answers} answers to frames of another version");
    let settled = server.waits_until_settled();
    assert_eq!(settled["role"], "founder");
    assert_eq!(server.node.read("etc/hostname"), "pve-rack-a-0-1\n");
}

#[test]
fn a_port_that_goes_away_and_comes_back_is_opened_again() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut server = Server::new(&mut wire, 1, "");
    server.waits_for("its port", |published| published["port"] == "bond0" && published["carrier"] == true);
    server.space.run("ip link set bond0 down");
    let down = server.waits_for("the port is down", |published| published["port"].is_null());
    assert!(down["silent"].as_str().unwrap().starts_with("bond0 is down"), "{down:#}");
    server.space.run("ip link del bond0");
    server.waits_for("no port", |published| {
        published["silent"].as_str().is_some_and(|reason| reason.starts_with("there is no bond0 yet"))
    });
    server.plug(&mut wire);
    server.waits_for_phase("founder");
}

#[test]
fn once_the_bridge_has_the_bond_it_is_spoken_on() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut server = Server::new(&mut wire, 1, "");
    server.waits_for("its port", |published| published["port"] == "bond0");
    server.space.run("ip link add vmbr0 type bridge forward_delay 0 && ip link set bond0 master vmbr0 && ip link set vmbr0 up");
    server.waits_for("the bridge", |published| published["port"] == "vmbr0" && published["carrier"] == true);
    let tap = Tap::new(&mut wire);
    let codec = Codec::new(KEY).unwrap();
    wait("a frame through the bridge, both ways", || {
        tap.send(b"no frame at all");
        let heard = tap.hear().is_some_and(|bytes| codec.decode(&bytes).is_ok());
        (heard && server.published()["dropped"]["malformed"].as_u64() > Some(0)).then_some(())
    });
}

#[test]
fn where_nobody_may_found_each_miss_is_named() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut server = Server::new(&mut wire, 1, "");
    server.kill(Signal::SIGKILL);
    std::fs::write(server.node.path("proc/meminfo"), "MemTotal: 2048000 kB\n").unwrap();
    server.start();
    let found = server
        .waits_for("hopelessness", |published| !published["hopeless"].as_array().is_none_or(Vec::is_empty));
    assert_eq!((&found["phase"], &found["priority"]), (&"candidate".into(), &0.into()));
    assert_eq!(found["hopeless"][0], "the memory is 1.9 GiB, wanted 7.5 GiB as the kernel counts 8 GB");
    assert!(
        server.node.read("stderr").contains("nobody here may found a cluster"),
        "{}",
        server.node.read("stderr")
    );
}

#[test]
fn without_a_site_file_it_does_not_begin() {
    let node = Node::new("fresh-node", "");
    std::fs::remove_file(node.path("etc/cias/site.toml")).unwrap();
    assert!(node.wants(3, &["agent"]).1.contains("/etc/cias/site.toml is missing"));
    assert!(!node.path("run/cias/agent.json").exists());
    node.wants(2, &["agent", "--hurry", "0"]);
}
