//! The probe of multicast over a real wire: a node and a Master in namespaces, and a bridge between them.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/wire.rs"]
mod wire;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use cias_firstboot::cluster::probe::{Outcome, Responder, probe};
use nix::sched::{CloneFlags, unshare};
use wire::Wire;

const CLUSTER: &str = "DLLL-CIAS";
const NODE: Ipv4Addr = Ipv4Addr::new(10, 254, 1, 1);
const MASTER: Ipv4Addr = Ipv4Addr::new(10, 254, 0, 1);

/// Does `deed` in a namespace of its own with a port on the wire that has the address `own`, and another one without a cable.
fn on<T: Send + 'static>(
    wire: &mut Wire,
    own: Ipv4Addr,
    deed: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let (tell, told) = channel();
    let (plugged, wait) = channel();
    let thread = spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        tell.send(nix::unistd::gettid()).unwrap();
        wait.recv().unwrap();
        // The first route of all leads elsewhere: the probe must go by the address, not by the routes.
        let line = format!(
            "ip link add other type veth peer name end && ip link set end up && ip addr add 192.0.2.1/24 dev other && ip link set other up && ip route add 224.0.0.0/4 dev other && \
             ip link set port up && ip addr add {own}/8 dev port"
        );
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        deed()
    });
    wire.plug(told.recv().unwrap().as_raw().unsigned_abs(), "port");
    plugged.send(()).unwrap();
    thread
}

/// Answers until the sender is dropped.
fn master(wire: &mut Wire, key: &str) -> (Sender<()>, JoinHandle<()>) {
    let (end, ended) = channel::<()>();
    let (ready, is_ready) = channel();
    let key = key.to_owned();
    let thread = on(wire, MASTER, move || {
        let responder = Responder::start(&key, CLUSTER, MASTER).unwrap();
        ready.send(()).unwrap();
        let _ = ended.recv();
        drop(responder);
        // The group is free again.
        Responder::start(&key, CLUSTER, MASTER).unwrap();
    });
    is_ready.recv().unwrap();
    (end, thread)
}

/// What a node finds on a wire that `changes` has changed: port 1 is the Master's, port 2 the node's.
fn found(key_of_master: &str, changes: impl FnOnce(&mut Wire)) -> (Outcome, Duration) {
    let key = "5a".repeat(32);
    let mut wire = Wire::new();
    let (end, thread) = master(&mut wire, key_of_master);
    let (go, wait) = channel();
    let node = on(&mut wire, NODE, move || {
        wait.recv().unwrap();
        let begin = Instant::now();
        (probe(&key, CLUSTER, NODE).unwrap(), begin.elapsed())
    });
    changes(&mut wire);
    go.send(()).unwrap();
    let outcome = node.join().unwrap();
    drop(end);
    thread.join().unwrap();
    outcome
}

#[test]
fn multicast_that_passes_is_found_at_once() {
    if !wire::allowed() {
        return;
    }
    let (outcome, took) = found(&"5a".repeat(32), |_| ());
    assert!(outcome.passes(), "{outcome:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn a_wire_that_drops_it_in_either_way_and_another_sites_master_are_silent() {
    if !wire::allowed() {
        return;
    }
    let silent = |key: &'static str, port: Option<usize>| {
        spawn(move || {
            let change = |wire: &mut Wire| port.into_iter().for_each(|port| wire.drops_multicast(port));
            let (outcome, took) = found(&key.repeat(32), change);
            assert!(!outcome.passes() && outcome.answered == 0, "{key} {port:?}: {outcome:?}");
            assert!(outcome.asked >= 20, "{outcome:?}");
            assert!(took < Duration::from_secs(20), "{took:?}");
        })
    };
    for thread in [silent("5a", Some(1)), silent("5a", Some(2)), silent("5b", None)] {
        thread.join().unwrap();
    }
}
