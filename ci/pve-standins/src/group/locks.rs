//! A stand-in for dcdb's watch over the locks in priv/lock: since when each stands as it is. Every member keeps the times by
//! its own clock; the leader's count.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::db::{LOCKS, Tree};

/// When a lock that nobody renews may be taken away.
pub const LIFETIME: Duration = Duration::from_mins(2);

/// Locks by name.
#[derive(Default)]
pub struct Locks(BTreeMap<String, (u64, u64, Instant)>);

impl Locks {
    /// Looks at all locks; a new or renewed one starts anew.
    pub fn look(&mut self, tree: &Tree, now: Instant) {
        let folder = tree.find(LOCKS);
        let standing: Vec<(String, u64, u64)> = folder
            .into_iter()
            .flat_map(|folder| tree.list(folder))
            .filter_map(|(name, inode)| Some((name.to_owned(), inode, tree.entry(inode)?.mtime)))
            .collect();
        self.0.retain(|name, _| standing.iter().any(|(found, ..)| found == name));
        for (name, inode, mtime) in standing {
            let known = self.0.entry(name).or_insert((inode, mtime, now));
            if (known.0, known.1) != (inode, mtime) {
                *known = (inode, mtime, now);
            }
        }
    }

    /// Whether a lock is older than `lifetime`.
    pub fn expired(&self, name: &str, lifetime: Duration, now: Instant) -> bool {
        self.0.get(name).is_some_and(|(.., since)| now.duration_since(*since) > lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Op, Stamp};

    #[test]
    fn a_lock_expires_when_nobody_renews_it() {
        let (mut tree, mut locks, start) = (Tree::default(), Locks::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        for (time, op) in ["priv", LOCKS, "priv/lock/x"].map(|path| Op::Mkdir(path.into())).iter().enumerate()
        {
            tree.apply(op, Stamp { writer: 1, time: time as u64 }).unwrap();
        }
        locks.look(&tree, start);
        assert!(!locks.expired("x", LIFETIME, after(120)));
        assert!(locks.expired("x", LIFETIME, after(121)));
        assert!(!locks.expired("y", LIFETIME, after(999)), "no such lock");
        tree.apply(&Op::Touch("priv/lock/x".into(), 77), Stamp { writer: 1, time: 77 }).unwrap();
        locks.look(&tree, after(100));
        assert!(!locks.expired("x", LIFETIME, after(200)), "renewed");
        assert!(locks.expired("x", LIFETIME, after(221)));
    }
}
