//! The peers that count: those before us, and founders. The others are only counted.

use std::collections::VecDeque;
use std::time::Duration;

use super::rank::Rank;
use super::timing::Timing;
use super::{MachineId, Nonce};

/// The most peers that are kept; of more, the lowest are let go. The others come in when those are gone.
const MOST: usize = 16;

/// The most that are remembered as silent; the oldest is forgotten first, which only costs another question.
const MOST_SILENT: usize = 256;

/// Bits of the count of machines: enough to tell thousands apart to a few in a hundred.
const BITS: usize = 8192;

/// One peer.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub rank: Rank,
    /// What it drew when it last proved to be there: a later one may be a recorded frame's.
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

/// How many different machines were heard, about. A table of thousands of names costs more than it is worth: the number
/// only spaces frames out, and people are told it.
#[derive(Debug)]
struct Count {
    bits: Box<[u64; BITS / 64]>,
    set: usize,
}

impl Count {
    fn add(&mut self, id: MachineId) {
        // The id is a hash already.
        let bit = usize::from(u16::from_be_bytes([id.0[0], id.0[1]])) % BITS;
        let (word, mask) = (&mut self.bits[bit / 64], 1 << (bit % 64));
        self.set += usize::from(*word & mask == 0);
        *word |= mask;
    }

    /// Linear counting: of `n` names that fall on `BITS` places, so many places stay empty.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most BITS * ln(BITS)")]
    fn estimate(&self) -> usize {
        let (all, empty) = (BITS as f64, (BITS - self.set).max(1) as f64);
        (all * (all / empty).ln()).round() as usize
    }
}

impl Default for Count {
    fn default() -> Self {
        Self { bits: Box::new([0; BITS / 64]), set: 0 }
    }
}

#[derive(Debug, Default)]
pub(super) struct Peers {
    known: Vec<Peer>,
    silent: VecDeque<MachineId>,
    counted: Count,
    /// The estimate, which costs a logarithm.
    count: usize,
}

impl Peers {
    /// About how many machines were heard at all.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Notes a signed frame of a machine. `is_proof`: it echoes a nonce of ours. `counts`: it may be before us.
    pub fn heard(&mut self, rank: Rank, nonce: Nonce, is_proof: bool, counts: bool, now: Duration) {
        let before = self.counted.set;
        self.counted.add(rank.id);
        if self.counted.set != before {
            self.count = self.counted.estimate();
        }
        if !counts {
            // A recorded frame must not make us forget who proved to be before us.
            if is_proof {
                self.known.retain(|peer| peer.rank.id != rank.id);
            }
            return;
        }
        let known = self.known.iter().position(|peer| peer.rank.id == rank.id);
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
                peer.heard = now;
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

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn machines_are_counted_about_and_each_once() {
        let id = |number: u32| {
            let digest = Sha256::digest(number.to_be_bytes());
            MachineId(digest[..16].try_into().unwrap())
        };
        for (machines, least, most) in [(0, 0, 0), (1, 1, 1), (3, 3, 3), (32, 31, 33), (1270, 1200, 1340)] {
            let mut count = Count::default();
            for number in (0..machines).chain(0..machines) {
                count.add(id(number));
            }
            assert!((least..=most).contains(&count.estimate()), "{machines}: {}", count.estimate());
        }
    }
}
