//! Stand-in: a Master in a folder (support/master.rs). What takes too long at the enrolment, whose 12 minutes are seven seconds here.

#[path = "support/master.rs"]
mod master;

use cias_firstboot::enrol::protocol::FromMaster;
use master::{Master, wait};

/// The most that the program takes.
const HURRY: u32 = 100;

/// The file with the nodes' keys, before any node came.
const BEFORE: &str = "ssh-rsa AAAA admin\n";

#[test]
fn a_node_that_says_nothing_more_is_taken_back_and_the_next_has_its_turn() {
    if !master::allowed() {
        return;
    }
    let master = Master::in_a_hurry("open", "", HURRY);
    let mut silent = master.asks(master.ask(1));
    silent.is_welcome();
    assert!(master.read("etc/pve/priv/authorized_keys").contains("pve-rack-a-1-1"));
    wait("the way back", || master.read("etc/pve/priv/authorized_keys") == BEFORE);
    assert!(master.log().contains("12 minutes went by"), "{}", master.log());
    let mut next = master.asks(master.ask(2));
    next.is_welcome();
    drop(silent);
}

#[test]
fn a_node_that_waits_for_its_turn_for_too_long_is_told_to_ask_again() {
    if !master::allowed() {
        return;
    }
    let master = Master::in_a_hurry("open", "", HURRY);
    // One that joins, for longer than any may: as a process that hangs.
    let turn = cias_firstboot::files::lock(&master.path("run/cias/join.lock"), String::new).unwrap();
    let mut waiting = master.asks(master.ask(1));
    let last = loop {
        match waiting.hears() {
            FromMaster::Wait(_) => {}
            other => break other,
        }
    };
    let FromMaster::Refused(refused) = last else { panic!("{last:?}") };
    assert!(refused.reason.contains("for too long now: ask again") && !refused.is_final, "{refused:?}");
    assert_eq!(master.read("etc/pve/priv/authorized_keys"), BEFORE);
    drop(turn);
    master.asks(master.ask(1)).is_welcome();
}
