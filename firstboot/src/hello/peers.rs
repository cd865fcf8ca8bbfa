//! The peers that count: those before us, and founders. The others are only counted.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::rank::Rank;
use super::timing::Timing;
use super::{MachineId, Nonce};

/// The most peers that are kept; of more, the lowest are let go.
const MOST: usize = 64;

/// The most that are remembered as silent; the oldest is forgotten first, which only costs another question.
const MOST_SILENT: usize = 256;

/// The most machines that are counted.
const MOST_COUNTED: usize = 4096;

/// One peer.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub rank: Rank,
    /// What it drew last.
    pub nonce: Nonce,
    /// When a signed frame came last, which may have been a recorded one.
    pub heard: Duration,
    /// When it last proved to be there.
    pub proved: Option<Duration>,
    /// Since when it is asked for a proof.
    asked: Option<Duration>,
}

impl Peer {
    pub fn is_alive(&self, now: Duration, timing: &Timing) -> bool {
        self.proved.is_some_and(|proved| now.saturating_sub(proved) <= timing.alive)
    }
}

#[derive(Debug, Default)]
pub(super) struct Peers {
    known: Vec<Peer>,
    silent: VecDeque<MachineId>,
    counted: HashSet<MachineId>,
}

impl Peers {
    /// How many machines were heard at all.
    pub fn count(&self) -> usize {
        self.counted.len()
    }

    /// Notes a signed frame of a machine. `is_proof`: it echoes a nonce of ours. `counts`: it may be before us.
    pub fn heard(&mut self, rank: Rank, nonce: Nonce, is_proof: bool, counts: bool, now: Duration) {
        if self.counted.len() < MOST_COUNTED {
            self.counted.insert(rank.id);
        }
        let known = self.known.iter().position(|peer| peer.rank.id == rank.id);
        if !counts {
            // A recorded frame must not make us forget who proved to be before us.
            if let (Some(at), true) = (known, is_proof) {
                self.known.swap_remove(at);
            }
            return;
        }
        if is_proof {
            self.silent.retain(|id| *id != rank.id);
        } else if self.silent.contains(&rank.id) {
            return;
        }
        let proved = is_proof.then_some(now);
        if let Some(at) = known {
            let peer = &mut self.known[at];
            if is_proof {
                *peer = Peer { rank, nonce, heard: now, proved, asked: None };
            } else {
                (peer.heard, peer.nonce) = (now, nonce);
                // What it proved to be is not taken back by a frame that may be a recorded one.
                peer.rank = if peer.proved.is_none() { rank } else { peer.rank };
            }
            return;
        }
        self.known.push(Peer { rank, nonce, heard: now, proved, asked: None });
        if self.known.len() > MOST {
            let lowest = (0..self.known.len()).min_by_key(|at| self.known[*at].rank.key());
            lowest.map(|lowest| self.known.swap_remove(lowest));
        }
    }

    /// Lets go whoever is gone: those that never proved themselves after a silence, and those that did not answer.
    pub fn expire(&mut self, now: Duration, timing: &Timing) {
        let silent = &mut self.silent;
        self.known.retain_mut(|peer| {
            if peer.is_alive(now, timing) {
                return true;
            }
            if let Some(proved) = peer.proved.take() {
                // What it said last is as good as a recorded frame from now on.
                peer.heard = peer.heard.max(proved);
            }
            if peer.asked.is_some_and(|asked| now.saturating_sub(asked) > timing.proof) {
                silent.push_back(peer.rank.id);
                if silent.len() > MOST_SILENT {
                    silent.pop_front();
                }
                return false;
            }
            now.saturating_sub(peer.heard) <= timing.forget
        });
    }

    /// The highest of the peers that are there and before `mine`.
    pub fn best(&self, mine: &Rank, now: Duration, timing: &Timing) -> Option<&Peer> {
        self.known
            .iter()
            .filter(|peer| peer.is_alive(now, timing) && peer.rank.is_before(mine))
            .max_by_key(|peer| peer.rank.key())
    }

    /// All that are there.
    pub fn alive<'a>(&'a self, now: Duration, timing: &'a Timing) -> impl Iterator<Item = &'a Peer> {
        self.known.iter().filter(move |peer| peer.is_alive(now, timing))
    }

    /// Those before `mine` that have yet to prove that they are there.
    pub fn unproved(&self, mine: &Rank, now: Duration, timing: &Timing) -> impl Iterator<Item = &Peer> {
        self.known.iter().filter(move |peer| !peer.is_alive(now, timing) && peer.rank.is_before(mine))
    }

    /// The highest `most` of them, which are asked from now on.
    pub fn ask(&mut self, mine: &Rank, most: usize, now: Duration, timing: &Timing) -> Vec<MachineId> {
        let mut open: Vec<&mut Peer> = self
            .known
            .iter_mut()
            .filter(|peer| !peer.is_alive(now, timing) && peer.rank.is_before(mine))
            .collect();
        open.sort_by_key(|peer| std::cmp::Reverse(peer.rank.key()));
        let asked = open.into_iter().take(most).map(|peer| {
            peer.asked.get_or_insert(now);
            peer.rank.id
        });
        asked.collect()
    }
}
