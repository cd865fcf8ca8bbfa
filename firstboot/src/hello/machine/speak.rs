//! What the machine says, and how often.

use std::time::Duration;

use super::Machine;
use crate::hello::Nonce;
use crate::hello::frame::{Body, Frame, Hello, MOST_ASKED, MOST_ECHOES, Request};
use crate::hello::rank::Phase;

impl Machine {
    /// The next frame: a request where a Master is there to answer it, else a greeting.
    pub(super) fn speak(&mut self, now: Duration) -> Frame {
        if let (true, Some(echo)) = (self.may_ask(now), self.number_of_master(now)) {
            self.asked_at = Some(now);
            let (who, release) = (self.me.who.clone(), self.me.release.clone());
            return self.frame(Body::Request(Request { echo, who, release, holds: self.holds }), now);
        }
        let rank = self.rank();
        let asks = match self.best(now) {
            // It must not be forgotten while it is there.
            Some(best) => vec![best.rank.id],
            None => self.peers.ask(&rank, MOST_ASKED, now, &self.timing),
        };
        let echoes = self.echoes.take(MOST_ECHOES);
        self.frame(Body::Hello(Hello { rank, echoes, asks }), now)
    }

    /// The number that the Master drew a moment ago. Older ones it would not know any more; the greeting that goes out instead
    /// has it prove itself again.
    fn number_of_master(&self, now: Duration) -> Option<Nonce> {
        let master = self.master(now)?;
        let is_new = master.proved.is_some_and(|proved| now.saturating_sub(proved) <= self.timing.fresh / 2);
        is_new.then_some(master.nonce)
    }

    pub(super) fn frame(&mut self, body: Body, now: Duration) -> Frame {
        let nonce = (self.draw)();
        self.asked.sent(nonce, now, self.timing.fresh);
        Frame { from: self.me.id, nonce, body }
    }

    pub(super) fn slow(&self) -> Duration {
        let (least, each) = match self.phase {
            Phase::Offered | Phase::Member | Phase::Stopped => {
                (self.timing.settled, self.timing.settled_per_peer)
            }
            _ => (self.timing.slow, self.timing.slow_per_peer),
        };
        least.max(each.saturating_mul(u32::try_from(self.peers.count()).unwrap_or(u32::MAX)))
    }

    pub(super) fn pause(&self, now: Duration) -> Duration {
        if !self.echoes.is_empty() {
            return self.timing.answer;
        }
        let rank = self.rank();
        let leads = matches!(self.phase, Phase::Claiming | Phase::Founder | Phase::Serving);
        let seeks = matches!(self.phase, Phase::Listening | Phase::Candidate) && self.best(now).is_none();
        let doubts = || self.peers.unproved(&rank, now, &self.timing).next().is_some();
        if leads || seeks && (rank.may_found || doubts()) { self.timing.fast } else { self.slow() }
    }
}
