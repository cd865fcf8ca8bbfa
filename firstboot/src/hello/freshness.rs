//! Proofs that a frame is of now: own numbers that are good for a moment, and those of others to be repeated.

use std::collections::VecDeque;
use std::time::Duration;

use super::{MachineId, Nonce};

/// The own nonces of the last moment.
#[derive(Debug, Default)]
pub struct Asked(VecDeque<(Duration, Nonce)>);

impl Asked {
    /// Remembers a nonce that is sent now.
    pub fn sent(&mut self, nonce: Nonce, now: Duration, good_for: Duration) {
        self.expire(now, good_for);
        self.0.push_back((now, nonce));
    }

    /// Is one of `echoes` an own nonce of the last moment?
    pub fn proves(&mut self, echoes: &[Nonce], now: Duration, good_for: Duration) -> bool {
        self.expire(now, good_for);
        self.0.iter().any(|(_, nonce)| echoes.contains(nonce))
    }

    /// Is it an own one? Then the frame is ours and came back.
    pub fn is_own(&self, nonce: Nonce) -> bool {
        self.0.iter().any(|(_, own)| *own == nonce)
    }

    fn expire(&mut self, now: Duration, good_for: Duration) {
        while self.0.front().is_some_and(|(sent, _)| now.saturating_sub(*sent) > good_for) {
            self.0.pop_front();
        }
    }
}

/// Nonces of others that are to be repeated, the latest of each machine.
#[derive(Debug, Default)]
pub struct ToEcho {
    queue: VecDeque<(MachineId, Nonce)>,
}

impl ToEcho {
    /// Notes what a machine just sent. Of more than `most` the oldest are dropped; whoever is dropped asks again.
    pub fn heard(&mut self, from: MachineId, nonce: Nonce, most: usize) {
        if let Some(known) = self.queue.iter_mut().find(|(id, _)| *id == from) {
            known.1 = nonce;
            return;
        }
        let surplus = (self.queue.len() + 1).saturating_sub(most);
        self.queue.drain(..surplus);
        self.queue.push_back((from, nonce));
    }

    /// Takes up to `most` out, those that wait longest first.
    pub fn take(&mut self, most: usize) -> Vec<Nonce> {
        let count = self.queue.len().min(most);
        self.queue.drain(..count).map(|(_, nonce)| nonce).collect()
    }

    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nonces_of_the_last_moment_prove_anything() {
        let (mut asked, good) = (Asked::default(), Duration::from_secs(5));
        asked.sent(Nonce(7), Duration::from_secs(10), good);
        assert!(asked.proves(&[Nonce(1), Nonce(7)], Duration::from_secs(15), good));
        assert!(!asked.proves(&[Nonce(1)], Duration::from_secs(15), good));
        assert!(!asked.proves(&[Nonce(7)], Duration::from_secs(16), good), "too late");
        assert!(!asked.is_own(Nonce(7)));
    }

    #[test]
    fn of_each_machine_the_latest_nonce_is_repeated_once() {
        let mut echoes = ToEcho::default();
        for (from, nonce) in [(1, 1), (2, 2), (1, 3), (3, 4)] {
            echoes.heard(MachineId([from; 16]), Nonce(nonce), 3);
        }
        assert_eq!(echoes.take(2), [Nonce(3), Nonce(2)]);
        echoes.heard(MachineId([4; 16]), Nonce(5), 1);
        assert_eq!(echoes.take(9), [Nonce(5)], "the oldest is dropped");
        assert!(echoes.is_empty());
    }
}
