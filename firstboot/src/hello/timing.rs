//! How long the machine waits for what. All of it may be drawn out by loss; the figures leave room for 30 % of it.

use std::time::Duration;

/// The waits of discovery and election.
#[derive(Clone, Debug)]
pub struct Timing {
    /// How long nobody better must have been heard, with carrier, before "nobody is there" is concluded. A switch port with
    /// classic spanning tree passes nothing for its first 30 s, one with two delays to learn for up to 50 s.
    pub listen: Duration,
    /// How long a claim must stand unopposed.
    pub claim: Duration,
    /// How long a peer counts as there after it proved so.
    pub alive: Duration,
    /// How long a peer that is asked for a proof has to give one.
    pub proof: Duration,
    /// After which silence a peer that never proved itself is forgotten.
    pub forget: Duration,
    /// How long an own nonce is good as a proof.
    pub fresh: Duration,
    /// Between two frames of whoever must be heard or needs an answer.
    pub fast: Duration,
    /// Between two frames of the others, at least.
    pub slow: Duration,
    /// What each known peer adds to `slow`, so that a thousand machines send no more than some hundred frames a second.
    pub slow_per_peer: Duration,
    /// Between two frames of a node that has its place, at least.
    pub settled: Duration,
    /// What each known peer adds to that: a thousand nodes together send some twenty frames a second for ever.
    pub settled_per_peer: Duration,
    /// The least pause before an answer to whoever asks for a proof.
    pub answer: Duration,
    /// Between two requests of one machine, at least.
    pub asked: Duration,
    /// Between two questions whether a place still stands.
    pub confirmed: Duration,
    /// Pause after a refusal; it doubles with each, up to `refused_most`.
    pub refused: Duration,
    /// The longest pause after a refusal.
    pub refused_most: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            listen: Duration::from_mins(1),
            claim: Duration::from_secs(10),
            alive: Duration::from_secs(20),
            proof: Duration::from_secs(15),
            forget: Duration::from_secs(30),
            fresh: Duration::from_secs(5),
            fast: Duration::from_millis(500),
            slow: Duration::from_secs(2),
            slow_per_peer: Duration::from_millis(4),
            settled: Duration::from_secs(5),
            settled_per_peer: Duration::from_millis(50),
            answer: Duration::from_millis(100),
            asked: Duration::from_secs(3),
            confirmed: Duration::from_mins(10),
            refused: Duration::from_secs(15),
            refused_most: Duration::from_mins(10),
        }
    }
}

impl Timing {
    /// All waits divided by `by`, for tests.
    #[must_use]
    pub fn hurried(self, by: u32) -> Self {
        Self {
            listen: self.listen / by,
            claim: self.claim / by,
            alive: self.alive / by,
            proof: self.proof / by,
            forget: self.forget / by,
            fresh: self.fresh / by,
            fast: self.fast / by,
            slow: self.slow / by,
            slow_per_peer: self.slow_per_peer / by,
            settled: self.settled / by,
            settled_per_peer: self.settled_per_peer / by,
            answer: self.answer / by,
            asked: self.asked / by,
            confirmed: self.confirmed / by,
            refused: self.refused / by,
            refused_most: self.refused_most / by,
        }
    }
}

/// Somewhere from `least` to `most`.
pub(super) fn between(jitter: &mut fastrand::Rng, least: Duration, most: Duration) -> Duration {
    let spread = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
    least + Duration::from_micros(jitter.u64(0..=spread))
}
