//! Tests of the stand-in's arithmetic against the tables of pve-3.2-tools.md 3.

use super::*;

const PLAIN: fn(u32) -> Settings = |expected| Settings { expected, two_node: false };

/// A cluster of `count` nodes, all present, as node 1 sees it.
fn cluster(count: u32) -> Quorum {
    let mut quorum = Quorum::start(1, 1, PLAIN(count));
    for id in 2..=count {
        quorum.join(id, Ballot { votes: 1, expected: count });
    }
    quorum
}

#[test]
fn the_table_of_needed_votes() {
    for (nodes, wanted) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (8, 5)] {
        assert_eq!(cluster(nodes).quorum(), wanted, "{nodes} nodes");
        assert_eq!(needed(nodes, 1), wanted, "{nodes} nodes of which one is there");
    }
}

/// Dead nodes lower nothing; the row says how many must be there.
#[test]
fn a_death_lowers_nothing() {
    for (nodes, deaths, quorate) in
        [(2, 1, false), (3, 1, true), (3, 2, false), (4, 1, true), (4, 2, false), (5, 2, true), (5, 3, false)]
    {
        let mut quorum = cluster(nodes);
        let (before, expected) = (quorum.quorum(), quorum.expected());
        for id in 0..deaths {
            quorum.die(nodes - id);
        }
        assert_eq!(quorum.quorate(), quorate, "{nodes} nodes, {deaths} dead");
        assert_eq!((quorum.quorum(), quorum.expected()), (before, expected), "{nodes} nodes, {deaths} dead");
    }
}

#[test]
fn expected_one_is_always_accepted_and_gives_half_of_those_present() {
    for (present, wanted) in [(1, 1), (2, 2), (3, 2), (4, 3)] {
        let mut quorum = cluster(8);
        for id in present + 1..=8 {
            quorum.die(id);
        }
        assert!(quorum.set_expected(1), "{present} present");
        assert_eq!(quorum.quorum(), wanted, "{present} present");
        assert!(quorum.quorate(), "{present} present");
    }
}

#[test]
fn expected_is_refused_when_it_would_exceed_those_present() {
    let mut quorum = cluster(2);
    quorum.die(2);
    for (expected, accepted) in [(2, false), (3, false), (0, false), (1, true)] {
        assert_eq!(quorum.set_expected(expected), accepted, "expected {expected}");
    }
    assert!(cluster(3).set_expected(4), "needs 3 of 3");
    assert!(!cluster(3).set_expected(6), "needs 4 of 3");
}

/// Five nodes, four dead, `expected 1`, one returns: five are expected again.
#[test]
fn a_join_raises_it_again() {
    let mut quorum = cluster(5);
    (2..=5).for_each(|id| quorum.die(id));
    assert!(!quorum.quorate() && quorum.set_expected(1) && quorum.quorate());
    quorum.join(2, Ballot { votes: 1, expected: 5 });
    assert_eq!((quorum.expected(), quorum.present(), quorum.quorum()), (5, 2, 3));
    assert!(!quorum.quorate());
}

#[test]
fn delnode_makes_the_survivors_quorum_permanent() {
    let mut quorum = cluster(3);
    quorum.die(3);
    quorum.die(2);
    assert!(quorum.set_expected(1));
    quorum.reload(PLAIN(1), &BTreeMap::from([(1, 1)]));
    assert_eq!((quorum.expected(), quorum.quorum()), (1, 1));
    let again = Quorum::start(1, 1, PLAIN(1));
    assert!(again.quorate(), "also after a restart");
}

#[test]
fn an_added_node_counts_only_once_it_joins() {
    let mut quorum = cluster(1);
    quorum.reload(PLAIN(2), &BTreeMap::from([(1, 1), (2, 1)]));
    assert_eq!((quorum.expected(), quorum.quorate()), (1, true));
    quorum.join(2, Ballot { votes: 1, expected: 2 });
    assert_eq!((quorum.quorum(), quorum.quorate()), (2, true));
    quorum.die(2);
    assert!(!quorum.quorate());
    assert!(!Quorum::start(1, 1, PLAIN(2)).quorate(), "a restart expects both");
}

#[test]
fn two_node_lets_each_half_write() {
    let mut quorum = Quorum::start(1, 1, Settings { expected: 1, two_node: true });
    assert!(quorum.quorate());
    quorum.join(2, Ballot { votes: 1, expected: 1 });
    assert_eq!(quorum.quorum(), 1);
    quorum.die(2);
    assert!(quorum.quorate());
}

#[test]
fn unequal_votes() {
    let main = Quorum::start(1, 2, PLAIN(3));
    assert!(main.quorate(), "2 of 3");
    assert!(!Quorum::start(2, 1, PLAIN(3)).quorate(), "1 of 3");
}

#[test]
fn leave_remove_lowers_and_a_plain_stop_does_not() {
    let mut quorum = cluster(2);
    quorum.leave_removed(2);
    assert!(quorum.quorate());
    let mut quorum = cluster(2);
    quorum.die(2);
    assert!(!quorum.quorate());
}
