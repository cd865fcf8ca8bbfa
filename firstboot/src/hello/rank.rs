//! Who goes before whom.

use serde::{Deserialize, Serialize};

use super::MachineId;

/// What a machine is doing, as its frames say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// It has not listened long enough to know anything.
    Listening = 0,
    /// It has listened; somebody better is there, or it may not found.
    Candidate = 1,
    /// It says that it will found, and waits for objections.
    Claiming = 2,
    /// It founds the cluster, or has founded it and does not serve yet.
    Founder = 3,
    /// It serves as Master: it has the cluster and hands out places.
    Serving = 4,
    /// It has a place from a Master and has not joined yet.
    Offered = 5,
    /// It is a member of the cluster.
    Member = 6,
    /// It was founder, met another one, and does nothing until a person has looked.
    Stopped = 7,
}

impl Phase {
    /// All phases, in the order of their numbers on the wire.
    pub const ALL: [Self; 8] = [
        Self::Listening,
        Self::Candidate,
        Self::Claiming,
        Self::Founder,
        Self::Serving,
        Self::Offered,
        Self::Member,
        Self::Stopped,
    ];

    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::Candidate => "candidate",
            Self::Claiming => "claiming",
            Self::Founder => "founder",
            Self::Serving => "serving",
            Self::Offered => "offered",
            Self::Member => "member",
            Self::Stopped => "stopped",
        }
    }
}

/// How far a machine once got as a founder; it survives a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Progress {
    /// Nothing that would be lost.
    #[default]
    Nothing = 0,
    /// It has the founder's name and address, and may have formatted disks.
    Settled = 1,
    /// The cluster exists.
    Founded = 2,
}

impl Progress {
    /// All, in the order of their numbers on the wire.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Settled, Self::Founded];
}

/// What decides between two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rank {
    /// What it is doing.
    pub phase: Phase,
    /// How far it once got.
    pub progress: Progress,
    /// May it found at all? No, if another machine is pinned or its priority is 0.
    pub may_found: bool,
    /// 0 to 100; 101 for the machine that `role.founder` pins.
    pub priority: u8,
    /// The last word.
    pub id: MachineId,
}

impl Rank {
    /// The higher one is obeyed. A node that has a place is the trace of a cluster: it keeps others from founding.
    fn standing(&self) -> u8 {
        match (self.phase, self.progress) {
            (Phase::Stopped, _) => 0,
            (Phase::Serving, _) => 9,
            (Phase::Offered | Phase::Member, _) => 4,
            (Phase::Founder, Progress::Founded) => 8,
            (_, Progress::Founded) => 7,
            (Phase::Founder, Progress::Settled) => 6,
            (Phase::Founder, Progress::Nothing) => 5,
            (Phase::Claiming, _) => 3,
            (_, Progress::Settled) => 2,
            (Phase::Listening | Phase::Candidate, Progress::Nothing) => u8::from(self.may_found),
        }
    }

    /// Sorts machines, the one to obey last.
    pub(super) fn key(&self) -> (u8, u8, MachineId) {
        (self.standing(), self.priority, self.id)
    }

    /// Must `other` step back for this machine? Between two that serve neither must: both have a cluster.
    pub fn is_before(&self, other: &Self) -> bool {
        let both_serve = self.phase == Phase::Serving && other.phase == Phase::Serving;
        !both_serve && self.standing() > 0 && self.key() > other.key()
    }

    /// Does it have, or is it about to make, a cluster?
    pub fn is_founder(&self) -> bool {
        matches!(self.phase, Phase::Founder | Phase::Serving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(phase: Phase, progress: Progress, priority: u8, id: u8) -> Rank {
        Rank { phase, progress, may_found: priority > 0, priority, id: MachineId([id; 16]) }
    }

    #[test]
    fn what_was_reached_counts_before_priority_and_priority_before_the_id() {
        use Phase as P;
        use Progress::{Founded, Nothing, Settled};
        let order = [
            rank(P::Serving, Founded, 1, 1),
            rank(P::Founder, Founded, 1, 1),
            rank(P::Listening, Founded, 1, 1),
            rank(P::Founder, Settled, 1, 1),
            rank(P::Founder, Nothing, 1, 1),
            rank(P::Member, Nothing, 0, 1),
            rank(P::Claiming, Nothing, 1, 1),
            rank(P::Listening, Settled, 1, 1),
            rank(P::Listening, Nothing, 101, 1),
            rank(P::Candidate, Nothing, 50, 2),
            rank(P::Listening, Nothing, 50, 1),
        ];
        for (place, before) in order.iter().enumerate() {
            for after in &order[place + 1..] {
                assert!(before.is_before(after) && !after.is_before(before), "{before:?} {after:?}");
            }
            assert!(!before.is_before(before));
        }
    }

    #[test]
    fn who_may_not_found_or_has_stopped_is_never_before_anybody() {
        let weak = rank(Phase::Candidate, Progress::Nothing, 0, 9);
        assert!(!weak.is_before(&rank(Phase::Listening, Progress::Nothing, 0, 1)));
        assert!(!rank(Phase::Stopped, Progress::Founded, 100, 9).is_before(&weak));
    }

    #[test]
    fn two_that_serve_leave_each_other_alone() {
        let (a, b) =
            (rank(Phase::Serving, Progress::Founded, 9, 9), rank(Phase::Serving, Progress::Founded, 1, 1));
        assert!(!a.is_before(&b) && !b.is_before(&a));
    }
}
