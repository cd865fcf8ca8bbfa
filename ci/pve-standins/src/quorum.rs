//! A stand-in for the quorum arithmetic of cman 3.2 (pve-3.2-tools.md 3), and nothing else: no clock, no network.
//!
//! Real corosync in the lab runs votequorum, whose formula differs. The stand-in therefore takes only the list of members
//! from corosync and does the sums itself, here.

use std::collections::BTreeMap;

/// What one member brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// Its votes.
    pub votes: u32,
    /// What it believes to be the number of votes of the whole cluster.
    pub expected: u32,
}

/// What `<cman>` and the list of nodes say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `expected_votes`, else the sum of all votes.
    pub expected: u32,
    /// `two_node="1"`.
    pub two_node: bool,
}

/// The quorum that `expected` votes need while `present` are there.
pub const fn needed(expected: u32, present: u32) -> u32 {
    let (by_expected, by_present) = (u32::midpoint(expected, 2), u32::midpoint(present, 2));
    if by_expected > by_present { by_expected } else { by_present }
}

/// One node's view of the votes.
#[derive(Clone, Debug)]
pub struct Quorum {
    me: u32,
    members: BTreeMap<u32, Ballot>,
    needed: u32,
    two_node: bool,
}

impl Quorum {
    /// A node that has just started and sees itself alone.
    pub fn start(me: u32, votes: u32, settings: Settings) -> Self {
        let members = BTreeMap::from([(me, Ballot { votes, expected: settings.expected })]);
        let mut new = Self { me, members, needed: 0, two_node: settings.two_node };
        new.calculate(true, None);
        new
    }

    /// Another node has joined: everybody takes over the highest expectation.
    pub fn join(&mut self, id: u32, ballot: Ballot) {
        self.members.insert(id, ballot);
        let highest = self.expected();
        self.expect_all(highest);
        self.calculate(false, None);
    }

    /// A node is gone, be it dead or shut down: nothing is lowered.
    pub fn die(&mut self, id: u32) {
        self.members.remove(&id);
        self.calculate(false, None);
    }

    /// A node left with `leave remove`: the others lower the quorum to those that remain.
    pub fn leave_removed(&mut self, id: u32) {
        self.members.remove(&id);
        self.expect_all(self.present());
        self.calculate(true, None);
    }

    /// `cman_tool expected -e`; false where cman answers EINVAL.
    pub fn set_expected(&mut self, expected: u32) -> bool {
        if expected == 0 || needed(expected, self.present()) > self.present() {
            return false;
        }
        self.expect_all(expected);
        self.calculate(true, Some(expected));
        true
    }

    /// The configuration was read again: its sum lowers the expectation and never raises it.
    pub fn reload(&mut self, settings: Settings, votes: &BTreeMap<u32, u32>) {
        self.two_node = settings.two_node;
        for (id, ballot) in &mut self.members {
            ballot.votes = votes.get(id).copied().unwrap_or(ballot.votes);
        }
        self.expect_all(self.expected().min(settings.expected));
        self.calculate(true, None);
    }

    /// Votes of the members.
    pub fn present(&self) -> u32 {
        self.members.values().map(|ballot| ballot.votes).sum()
    }

    /// The highest expectation of a member.
    pub fn expected(&self) -> u32 {
        self.members.values().map(|ballot| ballot.expected).max().unwrap_or(0)
    }

    /// The votes that are needed.
    pub const fn quorum(&self) -> u32 {
        self.needed
    }

    /// Whether the cluster may write.
    pub fn quorate(&self) -> bool {
        self.present() >= self.needed
    }

    /// Whether the mode for two nodes is on.
    pub const fn two_node(&self) -> bool {
        self.two_node
    }

    /// What this node tells one that joins.
    pub fn own(&self) -> Ballot {
        self.members.get(&self.me).copied().unwrap_or(Ballot { votes: 1, expected: self.expected() })
    }

    /// The numbers of the members.
    pub fn members(&self) -> impl Iterator<Item = u32> + '_ {
        self.members.keys().copied()
    }

    fn expect_all(&mut self, expected: u32) {
        for ballot in self.members.values_mut() {
            ballot.expected = expected;
        }
    }

    fn calculate(&mut self, may_fall: bool, forced: Option<u32>) {
        let wanted = needed(forced.unwrap_or_else(|| self.expected()), self.present());
        self.needed = if may_fall { wanted } else { self.needed.max(wanted) };
        if self.two_node && self.members.len() <= 2 {
            self.needed = 1;
        }
    }
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
mod tests;
