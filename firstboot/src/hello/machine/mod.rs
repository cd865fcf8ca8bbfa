//! The state machine of discovery and election. No socket, no clock, no file: frames and the time come in, outputs come out.
//!
//! ```text
//!              nobody better for `listen`          unopposed for `claim`
//!  Listening ────────────────────────► Claiming ────────────────────────► Founder ──► Serving
//!      │  ▲                              │                                   │
//!      ▼  │ nobody better for `listen`   ▼ somebody better                  ▼ another one goes before us
//!  Candidate ◄───────────────────────────┘                     Candidate (nothing lost) or Stopped
//!      │ a Master's offer
//!      ▼
//!   Offered ──► Member ──► (the guard decides) Serving
//! ```
//!
//! "Nobody is there" and "not heard yet" are different: whoever was heard but did not prove to be there now keeps others from
//! going on until it had its time to answer.

mod place;
mod speak;

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::hello::frame::{Body, Frame, Hello, Offer, Refusal, VERSION};
use crate::hello::freshness::{Asked, ToEcho};
use crate::hello::output::{Counters, Output};
use crate::hello::peers::{Peer, Peers};
use crate::hello::rank::{Phase, Progress, Rank};
use crate::hello::timing::{Timing, between};
use crate::hello::{Draw, MachineId};
use crate::site::Who;

/// The most nonces that wait to be repeated by a machine that somebody else is before.
const FEW: usize = 16;

/// The most that wait at a machine that many listen to.
const MANY: usize = 2048;

/// What the machine knows of itself.
#[derive(Clone, Debug)]
pub struct Me {
    /// What it is known by.
    pub id: MachineId,
    /// May it found at all?
    pub may_found: bool,
    /// 0 to 100, or 101 if it is pinned.
    pub priority: u8,
    /// How far it once got as a founder.
    pub progress: Progress,
    /// NICs and serial number.
    pub who: Who,
    /// Version of Proxmox VE.
    pub release: String,
}

/// One machine's part in discovery and election.
pub struct Machine {
    me: Me,
    timing: Timing,
    draw: Draw,
    jitter: fastrand::Rng,
    phase: Phase,
    carrier: bool,
    /// Since when it listens, with carrier.
    since: Duration,
    /// Since when nobody better is there.
    alone: Option<Duration>,
    /// Somebody better was there when conclusions were last drawn.
    follows: bool,
    claimed: Duration,
    /// Until when a founder that has settled is waited for.
    awaited: Duration,
    peers: Peers,
    asked: Asked,
    echoes: ToEcho,
    next: Duration,
    /// The address that it has.
    holds: Option<Ipv4Addr>,
    /// When it last asked a Master.
    asked_at: Option<Duration>,
    /// When it is to ask whether its place still stands.
    confirm: Duration,
    refused: Option<(Duration, Duration)>,
    rivals: Vec<MachineId>,
    /// What it may have begun as founder has not come to its end.
    in_doubt: bool,
    counters: Counters,
}

impl Machine {
    /// A machine that starts to listen now, without carrier. `seed` spreads frames in time; it is no secret.
    pub fn new(me: Me, timing: Timing, draw: Draw, seed: u64, now: Duration) -> Self {
        let mut jitter = fastrand::Rng::with_seed(seed);
        let next = now + between(&mut jitter, Duration::ZERO, timing.fast * 2);
        Self {
            me,
            timing,
            draw,
            jitter,
            phase: Phase::Listening,
            carrier: false,
            since: now,
            alone: None,
            follows: false,
            claimed: now,
            awaited: now,
            peers: Peers::default(),
            asked: Asked::default(),
            echoes: ToEcho::default(),
            next,
            holds: None,
            asked_at: None,
            confirm: now,
            refused: None,
            rivals: Vec::new(),
            in_doubt: false,
            counters: Counters::default(),
        }
    }

    /// What it is now.
    pub fn rank(&self) -> Rank {
        let me = &self.me;
        Rank {
            phase: self.phase,
            progress: me.progress,
            may_found: me.may_found,
            priority: me.priority,
            id: me.id,
        }
    }

    /// When [`Machine::tick`] is due.
    pub fn due(&self) -> Duration {
        self.next
    }

    /// What was not believed.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// About how many other machines of the site were heard.
    pub fn heard(&self) -> usize {
        self.peers.count()
    }

    /// The Master or founder that is there now, if any.
    pub fn leader(&self, now: Duration) -> Option<Rank> {
        self.best(now).map(|peer| peer.rank).filter(Rank::is_founder)
    }

    /// It has listened long enough, it may not found, and nobody is there who may.
    pub fn is_hopeless(&self, now: Duration) -> bool {
        let rank = self.rank();
        self.phase == Phase::Candidate
            && !rank.may_found
            && self.best(now).is_none()
            && self.peers.unproved(&rank, now, &self.timing).next().is_none()
    }

    /// The link is there or gone. Without it nothing can be concluded from silence.
    pub fn set_carrier(&mut self, carrier: bool, now: Duration) {
        if carrier != self.carrier {
            (self.carrier, self.since, self.alone) = (carrier, now, None);
        }
    }

    /// How far the founding got; it is on the disk already.
    pub fn set_progress(&mut self, progress: Progress) {
        self.me.progress = progress;
    }

    /// Does something that it began as founder, and is not to go on with, still run? Until that has ended and its progress is known, it
    /// neither claims nor asks for a place.
    pub fn set_in_doubt(&mut self, in_doubt: bool) {
        self.in_doubt = in_doubt;
    }

    /// The node's own cluster says what it is: a Master, or a member of one.
    pub fn set_member(&mut self, serves: bool, now: Duration) -> Vec<Output> {
        let mut out = Vec::new();
        self.enter(if serves { Phase::Serving } else { Phase::Member }, &mut out);
        self.next = now;
        out
    }

    /// It has this address, as a node, from before a restart.
    pub fn set_offered(&mut self, holds: Ipv4Addr) {
        self.phase = Phase::Offered;
        self.holds = Some(holds);
    }

    /// It had stopped before a restart, and goes on doing nothing.
    pub fn set_stopped(&mut self) {
        self.phase = Phase::Stopped;
    }

    /// Sends what is due, and draws conclusions from silence.
    pub fn tick(&mut self, now: Duration) -> Vec<Output> {
        let mut out = Vec::new();
        self.conclude(now, &mut out);
        if now >= self.next {
            let frame = self.speak(now);
            out.push(Output::Send(frame));
            let pause = self.pause(now);
            self.next = now + between(&mut self.jitter, pause * 3 / 4, pause * 5 / 4);
        }
        out
    }

    /// Takes in a frame whose signature was verified.
    pub fn receive(&mut self, frame: &Frame, now: Duration) -> Vec<Output> {
        let mut out = Vec::new();
        if frame.from == self.me.id {
            self.hear_self(frame, now, &mut out);
            return out;
        }
        match &frame.body {
            Body::Hello(hello) => self.hear(frame, hello, now, &mut out),
            Body::Request(request) => self.hear_request(frame, request, now, &mut out),
            Body::Offer(offer) if offer.to == self.me.id => self.hear_offer(offer, now, &mut out),
            Body::Refusal(refusal) if refusal.to == self.me.id => self.hear_refusal(refusal, now, &mut out),
            Body::Offer(_) | Body::Refusal(_) | Body::Versions(_) => {}
        }
        out
    }

    /// The frame that gives a place.
    pub fn offer(&mut self, offer: Offer, now: Duration) -> Frame {
        self.frame(Body::Offer(offer), now)
    }

    /// The frame that gives none.
    pub fn refuse(&mut self, refusal: Refusal, now: Duration) -> Frame {
        self.frame(Body::Refusal(refusal), now)
    }

    /// Under our own name: a frame of ours that came back, an old one, or another machine. That one hears us, too, and
    /// repeats our numbers.
    fn hear_self(&mut self, frame: &Frame, now: Duration, out: &mut Vec<Output>) {
        if self.asked.is_own(frame.nonce) {
            self.counters.own += 1;
            return;
        }
        let Body::Hello(hello) = &frame.body else {
            self.counters.stale += 1;
            return;
        };
        self.echoes.heard(frame.from, frame.nonce, MANY);
        if self.asked.proves(&hello.echoes, now, self.timing.fresh) {
            self.counters.twins += 1;
            if self.counters.twins == 1 {
                out.push(Output::Twin);
            }
        } else {
            self.counters.stale += 1;
        }
    }

    /// The frame that tells a neighbour of another version what is spoken here.
    pub fn versions(&mut self, now: Duration) -> Frame {
        self.frame(Body::Versions(VERSION), now)
    }

    fn hear(&mut self, frame: &Frame, hello: &Hello, now: Duration, out: &mut Vec<Output>) {
        let (mine, theirs) = (self.rank(), hello.rank);
        let is_proof = self.asked.proves(&hello.echoes, now, self.timing.fresh);
        let counts = theirs.is_before(&mine) || theirs.is_founder();
        self.peers.heard(theirs, frame.nonce, is_proof, counts, now);
        // Only who steps back for us needs a proof of us, and another founder, even if we stopped for it.
        let meets = theirs.is_founder() && (mine.is_founder() || mine.phase == Phase::Stopped);
        if mine.is_before(&theirs) || meets {
            let most = if self.follows { FEW } else { MANY };
            self.echoes.heard(frame.from, frame.nonce, most);
            if hello.asks.contains(&self.me.id) {
                let soon = now + between(&mut self.jitter, self.timing.answer, self.timing.answer * 2);
                self.next = self.next.min(soon);
            }
        }
        if is_proof && theirs.is_founder() {
            // One that has nothing to lose was elected in its place.
            let pause =
                if theirs.progress > Progress::Nothing { self.timing.returns } else { Duration::ZERO };
            self.awaited = now + pause;
        }
        if is_proof && counts {
            self.conclude(now, out);
        }
        if is_proof && theirs.phase == Phase::Stopped && mine.is_founder() {
            self.tell_rival(theirs.id, out);
        }
        if is_proof && theirs.phase == Phase::Serving && self.may_ask(now) {
            // At once, or what it repeats is too old; and spread a little, because many hear the same frame.
            let most = self.timing.fresh / 5;
            self.next = self.next.min(now + between(&mut self.jitter, Duration::ZERO, most));
        }
    }

    fn best(&self, now: Duration) -> Option<&Peer> {
        self.peers.best(&self.rank(), now, &self.timing)
    }

    fn master(&self, now: Duration) -> Option<&Peer> {
        self.best(now).filter(|peer| peer.rank.phase == Phase::Serving)
    }

    fn conclude(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.peers.expire(now, &self.timing);
        let mine = self.rank();
        self.tell_rivals(now, out);
        let best = self.best(now).map(|peer| peer.rank);
        self.follows = best.is_some();
        if let Some(best) = best {
            self.alone = None;
            if self.me.progress > Progress::Nothing && best.is_founder() && self.phase != Phase::Member {
                self.stop_for(best.id, out);
            } else if self.phase == Phase::Founder {
                self.in_doubt = true;
                self.enter(Phase::Candidate, out);
                out.push(Output::Yielded(best.id));
            } else if self.phase == Phase::Claiming {
                self.enter(Phase::Candidate, out);
            }
        }
        if !matches!(self.phase, Phase::Listening | Phase::Candidate | Phase::Claiming)
            || !self.carrier
            || self.in_doubt
        {
            return;
        }
        let has_listened = now.saturating_sub(self.since) >= self.timing.listen;
        if best.is_some() || self.peers.unproved(&mine, now, &self.timing).next().is_some() {
            if self.phase == Phase::Listening && has_listened {
                self.enter(Phase::Candidate, out);
            }
            return;
        }
        if now < self.awaited && mine.progress == Progress::Nothing {
            return;
        }
        let alone = now.saturating_sub(*self.alone.get_or_insert(now));
        match self.phase {
            Phase::Claiming if now.saturating_sub(self.claimed) >= self.timing.claim => {
                self.enter(Phase::Founder, out);
                out.push(Output::Elected);
            }
            Phase::Listening | Phase::Candidate if has_listened && alone >= self.timing.listen => {
                if mine.may_found {
                    self.claimed = now;
                    self.enter(Phase::Claiming, out);
                } else {
                    self.enter(Phase::Candidate, out);
                }
            }
            _ => {}
        }
    }

    fn stop_for(&mut self, other: MachineId, out: &mut Vec<Output>) {
        if !matches!(self.phase, Phase::Stopped | Phase::Offered) {
            self.enter(Phase::Stopped, out);
            out.push(Output::Stopped(other));
        }
    }

    fn tell_rivals(&mut self, now: Duration, out: &mut Vec<Output>) {
        if !self.rank().is_founder() {
            return;
        }
        let there = self.peers.alive(now, &self.timing).filter(|peer| peer.rank.is_founder());
        for id in there.map(|peer| peer.rank.id).collect::<Vec<_>>() {
            self.tell_rival(id, out);
        }
    }

    fn tell_rival(&mut self, id: MachineId, out: &mut Vec<Output>) {
        if !self.rivals.contains(&id) {
            self.rivals.push(id);
            out.push(Output::Rival(id));
        }
    }

    fn enter(&mut self, phase: Phase, out: &mut Vec<Output>) {
        if phase != self.phase {
            self.phase = phase;
            out.push(Output::Phase(phase));
        }
    }
}

#[cfg(test)]
mod tests;
