//! Asking a Master for a place, or whether it still stands, and what its answers mean.

use std::time::Duration;

use super::{MANY, Machine};
use crate::hello::Nonce;
use crate::hello::frame::{Frame, Offer, Refusal, Request};
use crate::hello::output::{Asking, Output};
use crate::hello::rank::{Phase, Progress};

impl Machine {
    pub(super) fn hear_request(
        &mut self,
        frame: &Frame,
        request: &Request,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        if self.phase != Phase::Serving {
            return;
        }
        // It hears from us only as long as we repeat its numbers.
        self.echoes.heard(frame.from, frame.nonce, MANY);
        if self.asked.proves(&[request.echo], now, self.timing.fresh) {
            out.push(Output::Asked(Asking {
                from: frame.from,
                nonce: frame.nonce,
                request: request.clone(),
            }));
        } else {
            self.counters.stale += 1;
        }
    }

    pub(super) fn hear_offer(&mut self, offer: &Offer, now: Duration, out: &mut Vec<Output>) {
        if !self.is_answer(offer.echo, now) {
            return;
        }
        if self.wants_a_place() {
            self.holds = Some(offer.address);
            self.enter(Phase::Offered, out);
            out.push(Output::Offered(offer.clone()));
        } else if self.refused.is_some() {
            out.push(Output::Confirmed);
        }
        self.refused = None;
        self.confirm = now + self.timing.confirmed;
    }

    pub(super) fn hear_refusal(&mut self, refusal: &Refusal, now: Duration, out: &mut Vec<Output>) {
        if !self.is_answer(refusal.echo, now) {
            return;
        }
        if self.has_a_place() && refusal.is_final {
            self.enter(Phase::Stopped, out);
            out.push(Output::Retired(refusal.reason.clone()));
        } else if self.wants_a_place() {
            let last = self.refused.map_or(self.timing.refused / 2, |(_, pause)| pause);
            let pause = (last * 2).min(self.timing.refused_most);
            self.refused = Some((now + pause, pause));
            out.push(Output::Refused(refusal.reason.clone(), pause));
        } else {
            let pause = self.timing.confirmed;
            self.confirm = now + pause;
            if self.has_a_place() {
                self.refused = Some((self.confirm, pause));
                out.push(Output::Refused(refusal.reason.clone(), pause));
            }
        }
    }

    /// Is it an answer to what was asked a moment ago?
    fn is_answer(&mut self, echo: Nonce, now: Duration) -> bool {
        let is_answer = self.asked.proves(&[echo], now, self.timing.fresh);
        self.counters.stale += u64::from(!is_answer);
        is_answer
    }

    /// Has it anything to ask a Master, and may it now?
    pub(super) fn may_ask(&self, now: Duration) -> bool {
        let wants = self.wants_a_place() && self.refused.is_none_or(|(until, _)| now >= until);
        let doubts = self.has_a_place() && now >= self.confirm;
        (wants || doubts) && self.asked_at.is_none_or(|asked| now >= asked + self.timing.asked)
    }

    fn has_a_place(&self) -> bool {
        matches!(self.phase, Phase::Offered | Phase::Member) && self.holds.is_some()
    }

    pub(super) fn wants_a_place(&self) -> bool {
        matches!(self.phase, Phase::Listening | Phase::Candidate | Phase::Claiming)
            && self.me.progress == Progress::Nothing
            && !self.in_doubt
    }
}
