//! Drives `cias agent` beside a Master on its wire, which is the state machine itself: a server takes its place, and so does a founder that has
//! begun nothing; one that has begun stops.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/node.rs"]
mod node;
#[path = "support/server.rs"]
mod server;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/wire.rs"]
mod wire;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use cias_firstboot::hello::frame::{Codec, Offer};
use cias_firstboot::hello::machine::{Machine, Me};
use cias_firstboot::hello::output::Output;
use cias_firstboot::hello::rank::Progress;
use cias_firstboot::hello::timing::Timing;
use cias_firstboot::hello::{MachineId, Nonce};
use cias_firstboot::site::Who;
use nix::sys::signal::Signal;
use server::Server;
use wire::{HURRY, KEY, Tap, Wire, wait};

/// A Master on the wire that gives one place, until `done` holds.
fn serve(tap: &Tap, address: Ipv4Addr, done: impl Fn() -> bool) {
    let codec = Codec::new(KEY).unwrap();
    let me = Me {
        id: MachineId([7; 16]),
        may_found: true,
        priority: 50,
        progress: Progress::Founded,
        who: Who::default(),
        release: "3.2".into(),
    };
    let mut count = 0;
    let draw = Box::new(move || {
        count += 1;
        Nonce(count)
    });
    let clock = Instant::now();
    let mut master = Machine::new(me, Timing::default().hurried(HURRY), draw, 1, Duration::ZERO);
    master.set_carrier(true, Duration::ZERO);
    master.set_member(true, Duration::ZERO);
    wait("a node that takes its place", || {
        let mut out = master.tick(clock.elapsed());
        if let Some(frame) = tap.hear().and_then(|bytes| codec.decode(&bytes).ok()) {
            out.extend(master.receive(&frame, clock.elapsed()));
        }
        for output in out {
            match output {
                Output::Send(frame) => tap.send(&codec.encode(&frame).unwrap()),
                Output::Asked(asking) => {
                    assert_eq!(asking.request.who.serial.as_deref(), Some("LAB-1"));
                    let offer = Offer {
                        to: asking.from,
                        echo: asking.nonce,
                        address,
                        name: "pve-rack-a-1-7".into(),
                        master: [10, 254, 0, 254].into(),
                        host_key: "ecdsa-sha2-nistp256 AAAA".into(),
                        time: 0,
                    };
                    let frame = master.offer(offer, clock.elapsed());
                    tap.send(&codec.encode(&frame).unwrap());
                }
                _ => {}
            }
        }
        done().then_some(())
    });
}

#[test]
fn a_server_takes_the_place_that_a_master_gives_and_keeps_it() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let tap = Tap::new(&mut wire);
    let mut server = Server::new(&mut wire, 1, "");
    serve(&tap, [10, 254, 1, 7].into(), || server.published()["phase"] == "offered");
    // Its place is settled, and the Master of this test lets nobody into a cluster.
    server.waits_for("a try to join", |published| {
        published["run"].as_str().is_some_and(|run| {
            run.contains("is tried again in 30 s: step ")
                && run.contains(": join the cluster: the Master at 10.254.0.254")
                && run.contains("Connection refused")
        })
    });
    assert_eq!(server.node.read("etc/hostname"), "pve-rack-a-1-7\n");
    assert!(server.node.read("etc/hosts").contains("10.254.0.254 cias-pve-master\n"));
    let (plan, _) = server.node.wants(0, &["plan"]);
    assert!(plan.starts_with("node: pve-rack-a-1-7.example.com, 10.254.1.7\n"), "{plan}");
    server.kill(Signal::SIGKILL);
    server.start();
    let pid = server.agent.unwrap().as_raw();
    let again = server
        .waits_for("the same place", |published| published["pid"] == pid && published["phase"] == "offered");
    assert_eq!(again["role"], "node");
}

#[test]
fn a_founder_that_has_begun_nothing_yields_to_a_master_and_one_that_has_begun_stops() {
    if !wire::allowed() {
        return;
    }
    for begins in [false, true] {
        let mut wire = Wire::new();
        let tap = Tap::new(&mut wire);
        let server = Server::new(&mut wire, 1, "");
        if begins {
            // It has its name and address, and no cluster.
            server.node.answers("pvecm", Some("exec /bin/sleep 600"));
        } else {
            // It does not come to the first step.
            server.node.finds_another("exec /bin/sleep 600");
        }
        server.waits_for("its own election", |published| {
            let said = server.node.read("var/log/cias/agent.log");
            published["role"] == "founder" && said.contains("runs `cias run`")
        });
        let memory = |key: &str| {
            let text = server.node.read("var/lib/cias/agent.json");
            serde_json::from_str::<serde_json::Value>(&text).unwrap()[key].clone()
        };
        if begins {
            wait("its place", || (memory("progress") == "settled").then_some(()));
        }
        let wanted = if begins { "stopped" } else { "offered" };
        serve(&tap, [10, 254, 1, 7].into(), || server.published()["phase"] == wanted);
        let said = server.node.read("var/log/cias/agent.log");
        if begins {
            // The phase is published before it is said and remembered, which a slow disk takes a while for.
            let log = || server.node.read("var/log/cias/agent.log");
            let stopped = "STOPPED: this machine has begun to found a cluster";
            wait("its end", || log().contains(stopped).then_some(()));
            wait("its word", || server.node.wants(0, &["status"]).0.contains("STOPPED").then_some(()));
            continue;
        }
        assert!(said.contains("nothing was begun here"), "{said}");
        assert_eq!((memory("elected"), memory("progress")), (false.into(), "nothing".into()));
    }
}
