//! One run: nodes, the wire and what must hold at every moment.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use super::node::Node;
use super::plan::Plan;
use super::wire::{Agenda, Event, is_in};
use crate::hello::MachineId;
use crate::hello::frame::{Body, Frame};
use crate::hello::ledger::Ledger;
use crate::hello::output::Output;
use crate::hello::rank::Phase;

/// How long after the last thing of the plan all must have settled: a founder is missed, elected and serves within five
/// minutes, and old frames may not draw that out for long.
const PATIENCE: Duration = Duration::from_mins(15);

/// The same where nothing fails.
const QUIET: Duration = Duration::from_mins(7);

/// How long after a cut two founders may still not have met.
const MEETING: Duration = Duration::from_mins(3);

/// The most old frames that somebody remembers.
const MOST_RECORDED: usize = 500;

/// From when on a frame is old: no nonce is good for so long.
const OLD: Duration = Duration::from_secs(10);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Number of nodes.
    pub nodes: usize,
    /// Nothing failed in it.
    pub quiet: bool,
    /// All nodes were switched on within a second.
    pub together: bool,
    /// From the last boot until all had settled.
    pub settled: Option<Duration>,
    /// Frames sent.
    pub frames: u64,
    /// What did not hold.
    pub broken: Option<String>,
    /// What happened, if that was asked for.
    pub events: Vec<String>,
}

/// A cluster: its members share the ledger.
#[derive(Default)]
pub(super) struct Cluster {
    pub ledger: Ledger,
    /// What the founder's restart leaves of it.
    pub master: Option<usize>,
}

pub(super) struct World<'a> {
    pub plan: &'a Plan,
    pub rng: fastrand::Rng,
    pub now: Duration,
    pub nodes: Vec<Node>,
    by_id: BTreeMap<MachineId, usize>,
    pub agenda: Agenda,
    pub clusters: Vec<Cluster>,
    /// The address of each machine, by the cluster: an offer that was taken.
    pub given: BTreeMap<(usize, Ipv4Addr), usize>,
    /// What somebody recorded: of leaders, and of the others.
    recorded: [Vec<(Duration, Rc<Frame>)>; 2],
    frames: u64,
    broken: Option<String>,
    events: Option<Vec<String>>,
}

/// Does one run, and writes down what happens in it if `traced`.
pub(super) fn run(plan: &Plan, traced: bool) -> Outcome {
    let mut world = World::new(plan, traced);
    let settled = world.go();
    let first = plan.boots.iter().max().copied().unwrap_or_default();
    Outcome {
        seed: plan.seed,
        nodes: plan.boots.len(),
        quiet: plan.is_quiet(),
        together: plan.is_together(),
        settled: settled.map(|at| at.saturating_sub(first)),
        frames: world.frames,
        broken: world.broken,
        events: world.events.unwrap_or_default(),
    }
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, traced: bool) -> Self {
        let nodes: Vec<Node> = plan
            .priorities
            .iter()
            .enumerate()
            .map(|(number, priority)| Node::new(number, *priority))
            .collect();
        let by_id = nodes.iter().map(|node| (node.id(), node.number)).collect();
        let mut agenda = Agenda::default();
        for (node, at) in plan.boots.iter().enumerate() {
            agenda.add(*at, Event::Boot { node, reinstalled: false });
        }
        for (index, crash) in plan.crashes.iter().enumerate() {
            agenda.add(crash.at, Event::Crash(index));
        }
        // After what comes to pass in that very moment.
        agenda.add(plan.calm_after() + Duration::from_millis(1), Event::Calm);
        if let Some(pause) = plan.replay {
            agenda.add(pause, Event::Replay);
        }
        Self {
            plan,
            rng: fastrand::Rng::with_seed(plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            now: Duration::ZERO,
            nodes,
            by_id,
            agenda,
            clusters: Vec::new(),
            given: BTreeMap::new(),
            recorded: [Vec::new(), Vec::new()],
            frames: 0,
            broken: None,
            events: traced.then(Vec::new),
        }
    }

    /// Until all have settled; when that was.
    fn go(&mut self) -> Option<Duration> {
        let end = self.plan.calm_after() + if self.plan.is_quiet() { QUIET } else { PATIENCE };
        while let Some((at, event)) = self.agenda.next() {
            self.now = at;
            if at > end {
                self.fail(&format!("not all have settled after {}", clock(end)));
            }
            let checks = !matches!(event, Event::Portion { .. } | Event::Again { .. } | Event::Replay);
            self.happen(event);
            if self.broken.is_some() {
                return None;
            }
            if checks && at >= self.plan.calm_after() && self.nodes.iter().all(|node| self.has_settled(node))
            {
                return Some(at);
            }
        }
        self.fail("nothing happens any more");
        None
    }

    fn has_settled(&self, node: &Node) -> bool {
        let Some(machine) = &node.machine else { return true };
        match machine.rank().phase {
            Phase::Serving | Phase::Offered | Phase::Member => true,
            Phase::Stopped => !self.plan.is_quiet(),
            _ => {
                machine.is_hopeless(self.now) && self.plan.priorities.iter().all(|priority| *priority == 0)
                    || self.is_orphan(node)
            }
        }
    }

    /// Whoever could found is gone for good, or all that is left of a cluster is nodes that wait for it: then a person must
    /// help, and no machine may decide it.
    fn is_orphan(&self, node: &Node) -> bool {
        let live = || self.nodes.iter().filter(|other| other.machine.is_some());
        let has_traces = live().any(|other| matches!(other.phase(), Some(Phase::Offered | Phase::Member)));
        let nobody_may = live().all(|other| other.priority == 0);
        let no_leader = !live().any(Node::is_founder);
        let waits = matches!(node.phase(), Some(Phase::Candidate));
        !self.plan.is_quiet() && waits && no_leader && (has_traces || nobody_may)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Boot { node, reinstalled } => self.boot(node, reinstalled),
            Event::Crash(index) => self.crash(index),
            Event::Tick { node, boot } => self.tick(node, boot),
            Event::Step { node, boot } => self.step(node, boot),
            Event::Takeover { cluster } => self.take_over(cluster),
            Event::Portion { frame, sender, portion } => self.arrive(&frame, sender, portion),
            Event::Again { frame, node, sender } => self.deliver(&frame, node, sender),
            Event::Replay => self.replay(),
            Event::Calm => {}
        }
    }

    fn tick(&mut self, at: usize, boot: u32) {
        let (now, node) = (self.now, &mut self.nodes[at]);
        if node.boot != boot || node.ticks != Some(now) {
            return;
        }
        node.ticks = None;
        let out = node.machine.as_mut().map(|machine| machine.tick(now));
        self.carry_out(at, out.unwrap_or_default());
        self.wake(at);
    }

    /// Puts the machine's next tick on the agenda, unless an earlier one is there.
    pub(super) fn wake(&mut self, at: usize) {
        let (now, node) = (self.now, &mut self.nodes[at]);
        let Some(due) = node.machine.as_ref().map(|machine| machine.due().max(now)) else { return };
        if node.ticks.is_none_or(|ticks| due < ticks) {
            node.ticks = Some(due);
            self.agenda.add(due, Event::Tick { node: at, boot: node.boot });
        }
    }

    /// Somebody who can't sign sends what was heard once; most of the time what a leader said, which is worth most.
    fn replay(&mut self) {
        let kind = usize::from(self.rng.u8(0..4) == 0);
        let is_old = |at: Duration| self.now.saturating_sub(at) > OLD;
        let old = self.recorded[kind].iter().filter(|(at, _)| is_old(*at)).map(|(_, frame)| frame.clone());
        let old: Vec<Rc<Frame>> = old.collect();
        if let Some(frame) = self.rng.choice(old) {
            self.agenda.send(&frame, None, self.now, self.plan.delay, &mut self.rng);
        }
        if let Some(pause) = self.plan.replay {
            self.agenda.add(self.now + pause, Event::Replay);
        }
    }

    fn arrive(&mut self, frame: &Rc<Frame>, sender: Option<usize>, portion: usize) {
        for at in 0..self.nodes.len() {
            if sender == Some(at) || !is_in(at, portion, frame) || self.nodes[at].machine.is_none() {
                continue;
            }
            if self.rng.f64() < self.plan.loss {
                continue;
            }
            if self.rng.f64() < self.plan.twice {
                let late = self.now + self.plan.delay.mul_f64(self.rng.f64());
                self.agenda.add(late, Event::Again { frame: frame.clone(), node: at, sender });
            }
            self.deliver(frame, at, sender);
        }
    }

    fn deliver(&mut self, frame: &Frame, at: usize, sender: Option<usize>) {
        if let (Some(cut), Some(from)) = (self.plan.cut, sender)
            && (cut.from..cut.to).contains(&self.now)
            && (from < cut.below) != (at < cut.below)
        {
            return;
        }
        let now = self.now;
        let Some(machine) = &mut self.nodes[at].machine else { return };
        let due = machine.due();
        let out = machine.receive(frame, now);
        let sooner = machine.due() < due;
        if !out.is_empty() {
            self.carry_out(at, out);
        }
        if sooner {
            self.wake(at);
        }
    }

    pub(super) fn carry_out(&mut self, at: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send(frame) => self.send(at, frame),
                Output::Phase(phase) => {
                    self.tell(at, &format!("is {} now", phase.name()));
                    self.check_founders();
                }
                Output::Elected => self.begin_founding(at),
                Output::Asked(asking) => self.answer(at, &asking),
                Output::Offered(offer) => self.take_place(at, offer),
                Output::Yielded(other) => {
                    self.tell_of(at, "is to yield to", other);
                    self.end_founding(at);
                }
                Output::Stopped(other) => self.tell_of(at, "stops for", other),
                Output::Rival(other) => self.tell_of(at, "has a rival:", other),
                Output::Retired(reason) => self.fail(&format!("node {at} lost its place: {reason}")),
                Output::Refused(reason, _) => self.tell(at, &format!("is refused: {reason}")),
                Output::Confirmed => self.tell(at, "has its place confirmed"),
                Output::Twin => self.fail(&format!("node {at} met itself")),
            }
        }
    }

    pub(super) fn send(&mut self, at: usize, frame: Frame) {
        self.frames += 1;
        let frame = Rc::new(frame);
        if self.plan.replay.is_some() {
            let leads = matches!(&frame.body, Body::Hello(hello) if hello.rank.is_founder());
            let place = self.rng.usize(0..MOST_RECORDED);
            let recorded = &mut self.recorded[usize::from(!leads)];
            match recorded.get_mut(place) {
                Some(old) => *old = (self.now, frame.clone()),
                None => recorded.push((self.now, frame.clone())),
            }
        }
        self.agenda.send(&frame, Some(at), self.now, self.plan.delay, &mut self.rng);
        let leads = matches!(&frame.body, Body::Hello(hello) if hello.rank.is_founder());
        if leads && self.plan.replay.is_some() && self.plan.shadows {
            self.shadow(&frame);
        }
    }

    /// An old frame of the same sender comes to everybody right behind a new one.
    fn shadow(&mut self, new: &Frame) {
        let is_old = |at: Duration| self.now.saturating_sub(at) > OLD;
        let old = self.recorded[0].iter().filter(|(at, frame)| is_old(*at) && frame.from == new.from);
        let old = self.rng.choice(old.map(|(_, frame)| frame.clone()).collect::<Vec<_>>());
        if let Some(old) = old {
            let behind = self.now + self.plan.delay + Duration::from_millis(1);
            self.agenda.send(&old, None, behind, Duration::ZERO, &mut self.rng);
        }
    }

    fn check_founders(&mut self) {
        let founders: Vec<usize> =
            self.nodes.iter().filter(|node| node.is_founder()).map(|node| node.number).collect();
        let may_be_two = self.plan.cut.is_some_and(|cut| self.now >= cut.from && self.now < cut.to + MEETING);
        let all_serve = founders.iter().all(|at| self.nodes[*at].phase() == Some(Phase::Serving));
        let were_apart = self.plan.cut.is_some_and(|cut| self.now >= cut.from);
        if founders.len() > 1 && !may_be_two && !(were_apart && all_serve) {
            self.fail(&format!("nodes {founders:?} found at the same time"));
        }
    }

    fn tell_of(&mut self, at: usize, what: &str, other: MachineId) {
        let name = self.by_id.get(&other).map_or("nobody".to_owned(), |other| format!("node {other}"));
        self.tell(at, &format!("{what} {name}"));
    }

    pub(super) fn tell(&mut self, at: usize, what: &str) {
        if let Some(events) = &mut self.events {
            events.push(format!("{} node {at} {what}", clock(self.now)));
        }
    }

    pub(super) fn fail(&mut self, what: &str) {
        if let Some(events) = &mut self.events {
            events.push(format!("{} {what}", clock(self.now)));
        }
        self.broken.get_or_insert_with(|| what.to_owned());
    }
}

/// Minutes and seconds since the run began.
fn clock(at: Duration) -> String {
    format!("{:>3}:{:02}.{:03}", at.as_secs() / 60, at.as_secs() % 60, at.subsec_millis())
}
