use super::*;
use crate::hello::Nonce;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SECOND: Duration = Duration::from_secs(1);

/// Some machines on a wire that loses nothing and takes no time.
struct Wire {
    machines: Vec<Machine>,
    nonces: Arc<AtomicU64>,
    now: Duration,
    said: Vec<(usize, Output)>,
    /// All frames, in their order.
    heard: Vec<Frame>,
}

impl Wire {
    fn new() -> Self {
        let nonces = Arc::new(AtomicU64::new(1));
        Self { machines: Vec::new(), nonces, now: Duration::ZERO, said: Vec::new(), heard: Vec::new() }
    }

    /// Switches a machine on; its place in the list is its id, too.
    fn add(&mut self, priority: u8, change: impl Fn(&mut Me)) -> usize {
        let at = self.machines.len();
        let mut me = Me {
            id: MachineId([u8::try_from(at + 1).unwrap(); 16]),
            may_found: priority > 0,
            priority,
            progress: Progress::Nothing,
            who: Who::default(),
            release: "3.2".into(),
        };
        change(&mut me);
        let nonces = self.nonces.clone();
        let draw = Box::new(move || Nonce(nonces.fetch_add(1, Ordering::SeqCst)));
        let mut machine = Machine::new(me, Timing::default(), draw, at as u64, self.now);
        machine.set_carrier(true, self.now);
        self.machines.push(machine);
        at
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = |at: &usize| self.machines[*at].due();
            let Some(next) = (0..self.machines.len()).min_by_key(due).filter(|at| due(at) <= end) else {
                break;
            };
            self.now = self.machines[next].due().max(self.now);
            let out = self.machines[next].tick(self.now);
            self.take(next, out);
        }
        self.now = end;
    }

    fn take(&mut self, from: usize, out: Vec<Output>) {
        for output in out {
            if let Output::Send(frame) = &output {
                self.heard.push(frame.clone());
                for to in (0..self.machines.len()).filter(|to| *to != from) {
                    let out = self.machines[to].receive(frame, self.now);
                    self.take(to, out);
                }
            }
            self.said.push((from, output));
        }
    }

    fn phases(&self) -> Vec<Phase> {
        self.machines.iter().map(|machine| machine.rank().phase).collect()
    }

    fn has_said(&self, at: usize, wanted: &Output) -> bool {
        self.said.iter().any(|(from, output)| *from == at && output == wanted)
    }

    fn serve(&mut self, at: usize) {
        self.machines[at].set_progress(Progress::Founded);
        let out = self.machines[at].set_member(true, self.now);
        self.take(at, out);
    }
}

#[test]
fn one_machine_founds_after_a_whole_period_with_carrier_and_not_before() {
    let mut wire = Wire::new();
    wire.add(50, |_| ());
    wire.machines[0].set_carrier(false, wire.now);
    wire.run(300 * SECOND);
    assert_eq!(wire.phases(), [Phase::Listening], "without carrier nothing is known");
    wire.machines[0].set_carrier(true, wire.now);
    wire.run(59 * SECOND);
    assert_eq!(wire.phases(), [Phase::Listening]);
    wire.run(3 * SECOND);
    assert_eq!(wire.phases(), [Phase::Claiming]);
    wire.run(11 * SECOND);
    assert_eq!(wire.phases(), [Phase::Founder]);
    assert!(wire.has_said(0, &Output::Elected));
}

#[test]
fn of_several_the_highest_priority_founds_and_of_equals_the_highest_id() {
    for (priorities, founder) in
        [(&[50, 60, 40][..], 1), (&[50, 50, 50], 2), (&[0, 1, 0], 1), (&[101, 100, 100], 0)]
    {
        let mut wire = Wire::new();
        for priority in priorities {
            wire.add(*priority, |_| ());
        }
        wire.run(90 * SECOND);
        let mut wanted = vec![Phase::Candidate; priorities.len()];
        wanted[founder] = Phase::Founder;
        assert_eq!(wire.phases(), wanted, "{priorities:?}");
    }
}

#[test]
fn a_claim_stands_against_a_better_machine_that_comes_later() {
    let mut wire = Wire::new();
    wire.add(10, |_| ());
    wire.run(64 * SECOND);
    wire.add(90, |_| ());
    wire.run(40 * SECOND);
    assert_eq!(wire.phases()[0], Phase::Founder);
    wire.run(40 * SECOND);
    assert_eq!(wire.phases(), [Phase::Founder, Phase::Candidate]);
}

#[test]
fn a_founder_that_dies_is_replaced_after_a_whole_period() {
    let mut wire = Wire::new();
    wire.add(10, |_| ());
    wire.add(90, |_| ());
    wire.run(90 * SECOND);
    assert_eq!(wire.phases(), [Phase::Candidate, Phase::Founder]);
    wire.machines.pop();
    wire.run(80 * SECOND);
    assert_eq!(wire.phases(), [Phase::Candidate], "it may only be slow");
    wire.run(60 * SECOND);
    assert_eq!(wire.phases(), [Phase::Founder]);
}

#[test]
fn a_founder_that_has_settled_is_waited_for_while_it_reboots() {
    let mut wire = Wire::new();
    wire.add(60, |_| ());
    wire.add(50, |_| ());
    wire.run(75 * SECOND);
    wire.machines[0].set_progress(Progress::Settled);
    wire.run(10 * SECOND);
    wire.machines.remove(0);
    wire.run(280 * SECOND);
    assert_eq!(wire.phases(), [Phase::Candidate], "a server may take minutes to boot");
    wire.run(120 * SECOND);
    assert_eq!(wire.phases(), [Phase::Founder], "it is replaced in the end");
}

#[test]
fn recorded_frames_delay_an_election_and_do_not_decide_it() {
    let mut wire = Wire::new();
    wire.add(90, |_| ());
    wire.run(100 * SECOND);
    let recorded: Vec<Frame> = wire.heard.clone();
    let mut wire = Wire { nonces: wire.nonces, now: wire.now, ..Wire::new() };
    wire.add(10, |me| me.id = MachineId([77; 16]));
    for frame in recorded.iter().cycle().take(3 * 75) {
        let out = wire.machines[0].receive(frame, wire.now);
        wire.take(0, out);
        wire.run(SECOND / 3);
    }
    wire.run(20 * SECOND);
    assert_eq!(wire.phases(), [Phase::Founder]);
}

#[test]
fn an_unproved_machine_holds_the_claim_until_it_had_its_time_to_answer() {
    let mut wire = Wire::new();
    wire.add(90, |_| ());
    wire.run(2 * SECOND);
    let recorded = wire.heard[0].clone();
    let mut wire = Wire { nonces: wire.nonces, ..Wire::new() };
    wire.add(10, |me| me.id = MachineId([77; 16]));
    wire.run(58 * SECOND);
    let out = wire.machines[0].receive(&recorded, wire.now);
    wire.take(0, out);
    wire.run(10 * SECOND);
    assert_eq!(wire.phases(), [Phase::Candidate], "nobody and not heard yet are different");
    let asks = wire.heard.iter().rev().find_map(|frame| match &frame.body {
        Body::Hello(hello) => Some(hello.asks.clone()),
        _ => None,
    });
    assert_eq!(asks, Some(vec![MachineId([1; 16])]));
    wire.run(30 * SECOND);
    assert_eq!(wire.phases(), [Phase::Founder]);
}

#[test]
fn a_masters_offer_is_taken_once_and_only_if_it_answers() {
    let mut wire = Wire::new();
    wire.add(50, |_| ());
    wire.serve(0);
    wire.add(90, |me| me.who.serial = Some("S".into()));
    wire.run(20 * SECOND);
    let asking = wire.said.iter().rev().find_map(|(_, output)| match output {
        Output::Asked(asking) => Some(asking.clone()),
        _ => None,
    });
    let asking = asking.unwrap();
    assert_eq!(asking.request.who.serial.as_deref(), Some("S"));
    let offer = Offer {
        to: asking.from,
        echo: asking.nonce,
        address: [10, 254, 1, 1].into(),
        name: "n".into(),
        master: [10, 254, 0, 254].into(),
        host_key: "k".into(),
        time: 0,
    };
    let now = wire.now;
    let stale = wire.machines[0].offer(Offer { echo: Nonce(0), ..offer.clone() }, now);
    assert!(wire.machines[1].receive(&stale, now).is_empty());
    assert_eq!(wire.machines[1].counters().stale, 1);
    let other = wire.machines[0].offer(Offer { to: MachineId([9; 16]), ..offer.clone() }, now);
    assert!(wire.machines[1].receive(&other, now).is_empty());
    let frame = wire.machines[0].offer(offer.clone(), now);
    let out = wire.machines[1].receive(&frame, now);
    assert_eq!(out, [Output::Phase(Phase::Offered), Output::Offered(offer)]);
    assert!(wire.machines[1].receive(&frame, now).is_empty(), "it is taken once");
}

#[test]
fn a_flood_of_recorded_frames_does_not_keep_a_server_from_its_place() {
    let mut wire = Wire::new();
    wire.add(60, |_| ());
    wire.run(75 * SECOND);
    wire.serve(0);
    wire.heard.clear();
    wire.run(20 * SECOND);
    let old = std::mem::take(&mut wire.heard);
    wire.run(10 * SECOND);
    let new = wire.add(50, |_| ());
    for round in 0..300 {
        let out = wire.machines[new].receive(&old[round % old.len()], wire.now);
        wire.take(new, out);
        wire.run(SECOND / 20);
    }
    let asked = wire.said.iter().any(|(from, output)| *from == 0 && matches!(output, Output::Asked(_)));
    assert!(asked, "its requests must repeat a number that the Master drew a moment ago");
}

#[test]
fn a_recorded_request_gets_no_place() {
    let mut wire = Wire::new();
    wire.add(50, |_| ());
    wire.serve(0);
    wire.add(90, |_| ());
    wire.run(20 * SECOND);
    let is_request = |frame: &&Frame| matches!(frame.body, Body::Request(_));
    let request = wire.heard.iter().find(is_request).unwrap().clone();
    wire.machines.pop();
    wire.run(6 * SECOND);
    assert!(wire.machines[0].receive(&request, wire.now).is_empty());
    assert_eq!(wire.machines[0].counters().stale, 1);
}

#[test]
fn when_two_founders_meet_who_has_nothing_to_lose_yields_and_else_the_other_stops() {
    use Progress::{Founded, Nothing, Settled};
    for (first, second, wanted) in [
        // (progress and whether it serves) of two, and where they end; the second has the higher id.
        ((Nothing, false), (Nothing, false), [Phase::Candidate, Phase::Founder]),
        ((Settled, false), (Nothing, false), [Phase::Founder, Phase::Candidate]),
        ((Founded, false), (Settled, false), [Phase::Founder, Phase::Stopped]),
        ((Founded, false), (Founded, false), [Phase::Stopped, Phase::Founder]),
        ((Founded, true), (Founded, false), [Phase::Serving, Phase::Stopped]),
        ((Founded, true), (Founded, true), [Phase::Serving, Phase::Serving]),
    ] {
        let (mut a, mut b) = (Wire::new(), Wire::new());
        a.add(50, |_| ());
        b.add(50, |me| me.id = MachineId([2; 16]));
        let mut wire = Wire::new();
        for (mut alone, (progress, serves)) in [(a, first), (b, second)] {
            alone.nonces = Arc::new(AtomicU64::new(1_000_000 * (wire.machines.len() as u64 + 1)));
            alone.run(100 * SECOND);
            assert_eq!(alone.phases(), [Phase::Founder]);
            alone.machines[0].set_progress(progress);
            if serves {
                alone.serve(0);
            }
            wire.machines.append(&mut alone.machines);
        }
        wire.now = 100 * SECOND;
        wire.run(20 * SECOND);
        assert_eq!(wire.phases(), wanted, "{first:?} {second:?}");
        for (at, other) in [(0, 2), (1, 1)] {
            let other = MachineId([other; 16]);
            let times = wire.said.iter().filter(|said| **said == (at, Output::Rival(other))).count();
            let steps_back =
                wire.has_said(at, &Output::Stopped(other)) || wire.has_said(at, &Output::Yielded(other));
            // Who goes on need not know of one that lost nothing.
            let knows = times == 1 || steps_back || wanted.contains(&Phase::Candidate);
            assert!(times <= 1 && knows, "{first:?} {second:?}: {at} told {times} times");
        }
    }
}

#[test]
fn who_yields_neither_asks_nor_claims_before_what_it_began_has_ended() {
    let mut wire = Wire::new();
    wire.add(50, |_| ());
    wire.run(100 * SECOND);
    wire.add(90, |_| ());
    wire.serve(1);
    wire.run(20 * SECOND);
    assert!(!wire.heard.iter().any(|frame| matches!(frame.body, Body::Request(_))));
    wire.machines.truncate(1);
    for (in_doubt, phase) in [(true, Phase::Candidate), (false, Phase::Founder)] {
        wire.machines[0].set_in_doubt(in_doubt);
        wire.run(400 * SECOND);
        assert_eq!(wire.phases(), [phase]);
    }
}

#[test]
fn a_founder_that_comes_back_leaves_a_serving_master_alone() {
    let mut wire = Wire::new();
    wire.add(50, |_| ());
    wire.serve(0);
    wire.add(90, |me| me.progress = Progress::Founded);
    wire.run(100 * SECOND);
    assert_eq!(wire.phases(), [Phase::Serving, Phase::Stopped]);
    assert!(!wire.heard.iter().any(|frame| matches!(frame.body, Body::Request(_))), "it has a place");
}

#[test]
fn where_nobody_may_found_they_know_it() {
    let mut wire = Wire::new();
    wire.add(0, |_| ());
    wire.add(0, |_| ());
    wire.run(70 * SECOND);
    assert!(wire.machines.iter().all(|machine| machine.is_hopeless(wire.now)));
    assert_eq!(wire.machines[0].heard(), 1);
    wire.add(1, |_| ());
    wire.run(10 * SECOND);
    assert!(!wire.machines[0].is_hopeless(wire.now));
}

#[test]
fn a_member_keeps_others_from_founding() {
    let mut wire = Wire::new();
    wire.add(1, |_| ());
    let out = wire.machines[0].set_member(false, wire.now);
    wire.take(0, out);
    wire.add(100, |_| ());
    wire.run(300 * SECOND);
    assert_eq!(wire.phases(), [Phase::Member, Phase::Candidate]);
}

#[test]
fn own_frames_that_come_back_are_not_a_twin_and_a_machine_of_the_same_name_is() {
    let mut wire = Wire::new();
    wire.add(50, |_| ());
    wire.run(60 * SECOND);
    for old in wire.heard.clone() {
        let now = wire.now;
        assert!(wire.machines[0].receive(&old, now).is_empty());
    }
    assert_eq!(wire.machines[0].counters().twins, 0);
    wire.add(50, |me| me.id = MachineId([1; 16]));
    wire.run(10 * SECOND);
    assert!(wire.has_said(0, &Output::Twin) && wire.has_said(1, &Output::Twin));
    assert_eq!(wire.said.iter().filter(|(_, output)| *output == Output::Twin).count(), 2, "told once");
}

#[path = "place_tests.rs"]
mod place;
