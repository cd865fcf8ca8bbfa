//! Another machine on the wire has this node's address, as where two sites with the same addresses share a wire.

#[path = "support/node.rs"]
mod node;
#[path = "support/server.rs"]
mod server;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/wire.rs"]
mod wire;

use nix::sys::signal::Signal;
use server::Server;
use wire::{Space, Wire};

const PIN: &str = "[role]\nfounder = { serial = \"LAB-1\" }\n";

/// A machine with the founder's address.
fn holder(wire: &mut Wire) -> Space {
    let mut space = Space::new();
    wire.plug(space.id(), "eth0");
    space.run("ip link set eth0 address 52:54:00:00:02:01 up && ip address add 10.254.0.1/8 dev eth0");
    space
}

/// A pinned founder that has settled, with the bridge up.
fn pinned(wire: &mut Wire) -> Server {
    let mut server = Server::new(wire, 1, PIN);
    server.kill(Signal::SIGKILL);
    wire.plug(server.space.id(), "vmbr0");
    server.space.run("ip link set vmbr0 up");
    server
}

#[test]
fn an_elected_founder_does_not_take_an_address_that_is_answered() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let _other = holder(&mut wire);
    let server = Server::new(&mut wire, 1, "");
    let found = server.waits_for("the refusal", |published| published["run"].is_string());
    let run = found["run"].as_str().unwrap();
    assert!(
        run.contains("10.254.0.1 is this node's address and the machine with the network port 52:54:00:00:02:01 answers"),
        "{run}"
    );
    let calls = server.node.read("calls");
    assert!(!calls.contains("ifup") && !calls.contains("invoke-rc.d"), "{calls}");
}

#[test]
fn a_founder_whose_address_is_answered_takes_it_down_and_stops() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let other = holder(&mut wire);
    let mut server = pinned(&mut wire);
    assert_eq!(server.cias(&["run"]), 5);
    let said = server.node.read("stderr");
    assert!(said.contains("answers for it") && said.contains("`ifup vmbr0` brings it up again"), "{said}");
    let calls = server.node.read("calls");
    assert!(calls.contains("ifdown vmbr0") && !calls.contains("mkfs"), "{calls}");
    assert!(server.node.wants(0, &["status"]).0.contains("answers for it"));
    drop(other);
    assert_eq!(server.cias(&["run"]), 0, "{}", server.node.read("stderr"));
}

#[test]
fn a_founder_that_was_done_is_only_warned() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut server = pinned(&mut wire);
    assert_eq!(server.cias(&["run"]), 0, "{}", server.node.read("stderr"));
    let _other = holder(&mut wire);
    assert_eq!(server.cias(&["run"]), 0);
    assert!(server.node.wants(0, &["status"]).0.contains("answers for it"));
    assert!(!server.node.read("calls").contains("ifdown"));
}
