//! Stand-in: a Master in a folder (support/master.rs). How many sessions of the enrolment there may be at one point.

#[path = "support/master.rs"]
mod master;

use cias_firstboot::enrol::protocol::FromMaster;
use cias_firstboot::files;
use master::{Master, wait};

#[test]
fn only_so_many_wait_and_one_more_is_told_at_once_to_ask_again() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let mut first = master.asks(master.ask(1));
    first.is_welcome();
    let others = master.fill("enrol-waiting", 64);
    let mut last = master.asks(master.ask(2));
    assert!(matches!(last.hears(), FromMaster::Wait(_)));
    for _ in 0..2 {
        let (reason, is_final) = master.asks(master.ask(2)).is_refused();
        assert!(reason.contains("64 other sessions are before this one") && !is_final, "{reason}");
    }
    wait("the mail", || master.subjects() == ["pve-rack-a-1-2 was refused (busy)"]);
    last.dies();
    wait("its end", || master.log().contains("ended while it waited"));
    let mut next = master.asks(master.ask(2));
    assert!(matches!(next.hears(), FromMaster::Wait(_)), "its slot is free");
    drop(others);
}

#[test]
fn only_so_many_may_be_silent() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let others = master.fill("enrol-silent", 128);
    // Who has said what it wants is silent no more.
    master.asks(master.ask(1)).is_welcome();
    let _silent =
        master.ssh("join", &[], &[]).stdin(std::process::Stdio::piped()).spawn().map(Silent).unwrap();
    let take = || files::lock(&master.path("run/cias/enrol-silent/0"), String::new);
    wait("the last slot", || take().is_err());
    let mut last = None;
    wait("the end of the silence", || {
        last = take().ok();
        last.is_some()
    });
    let (reason, is_final) = master.asks(master.ask(1)).is_refused();
    assert!(reason.contains("128 other sessions are before this one") && !is_final, "{reason}");
    drop((others, last));
}

/// A connection that says nothing.
struct Silent(std::process::Child);

impl Drop for Silent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
