//! The leader's half of the stand-in: it settles on one database, and orders the changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::message::{Change, Id, Letter, Reply, Request, Whole};
use super::view::View;
use super::{Group, REACH, REMEMBERED, now};
use crate::db::{Mark, Op, Stamp};
use crate::wire::{self, PATIENCE};

/// What came of sending something to a member.
enum Sent {
    Fine,
    /// No process listens there, so it is no member of the group.
    Nobody,
    /// Unknown: try again until it leaves the view.
    Unsure,
}

impl Group {
    pub(super) fn ask(&self, to: SocketAddr, body: Request, patience: Duration) -> io::Result<Reply> {
        let secret = self.secret.as_ref().ok_or_else(|| io::Error::other("standalone"))?;
        let from = self.lock().view.me;
        wire::call(to, secret, &Letter { from, body }, patience)
    }

    /// Makes a change as the leader: its error number, or none if it must be asked again.
    pub(super) fn lead(&self, id: Id, op: &Op, writer: u32) -> Option<i32> {
        let _one = self.leading.lock().unwrap_or_else(PoisonError::into_inner);
        let (deadline, stamp) = (Instant::now() + REACH, Stamp { writer, time: now() });
        while Instant::now() < deadline {
            let (view, online, whole, op) = {
                let state = self.lock();
                if !state.view.leads() || !state.view.quorate || !state.settled {
                    return None;
                }
                if state.recent.contains(&id) {
                    return Some(0);
                }
                let Some(op) = self.due(&state, op) else { return Some(0) };
                (state.view.clone(), state.online.clone(), state.whole(), op)
            };
            let mut trial = whole.tree.clone();
            if let Err(errno) = trial.apply(&op, stamp) {
                return Some(errno as i32);
            }
            let change = Change { id, op, stamp, base: whole.tree.mark(), after: trial.mark() };
            let mut sure = true;
            for member in online.iter().filter(|member| **member != view.me) {
                match self.pass_on(view.members[member], &change, &whole) {
                    Sent::Fine => {}
                    Sent::Nobody => self.offline(*member),
                    Sent::Unsure => sure = false,
                }
            }
            let mut state = self.lock();
            // Only what all those made that are there now is done.
            if sure && state.view == view {
                let done = self.commit(&mut state, trial);
                state.remember(id);
                return Some(done.err().map_or(0, |errno| errno as i32));
            }
            drop(self.changed.wait_timeout(state, Duration::from_millis(100)));
        }
        None
    }

    fn pass_on(&self, to: SocketAddr, change: &Change, base: &Whole) -> Sent {
        let apply = || self.ask(to, Request::Apply(Box::new(change.clone())), PATIENCE);
        let mut reply = apply();
        if matches!(reply, Ok(Reply::Behind)) {
            reply = self.ask(to, Request::Replace(Box::new(base.clone())), PATIENCE).and_then(|_| apply());
        }
        judged(&reply)
    }

    fn offline(&self, member: u32) {
        let mut state = self.lock();
        if state.online.remove(&member) {
            state.generation += 1;
        }
    }

    /// Settles whenever it is needed; a follower asks its leader for it.
    pub(super) fn keep_settled(&self) {
        loop {
            let (view, settled) = {
                let state = self.lock();
                (state.view.clone(), state.settled)
            };
            let mut pause = Duration::from_secs(1);
            if !settled && view.leads() {
                if self.settle().is_some() {
                    continue;
                }
                pause = Duration::from_millis(100);
            } else if let Some(leader) = view.leader().filter(|_| !settled) {
                // An answer is not awaited: the leader settles in its own time.
                let _ = self.ask(view.members[&leader], Request::Join, PATIENCE);
                pause = Duration::from_millis(300);
            }
            self.wait(pause);
        }
    }

    /// Brings all members to the database that wins; none if somebody could not be asked.
    fn settle(&self) -> Option<()> {
        let _one = self.leading.lock().unwrap_or_else(PoisonError::into_inner);
        let (view, mark): (View, Mark) = {
            let state = self.lock();
            (state.view.clone(), state.tree.mark())
        };
        let others = view.members.iter().filter(|(id, _)| **id != view.me);
        let mut marks = BTreeMap::from([(view.me, mark)]);
        for (id, address) in others {
            let reply = self.ask(*address, Request::State, PATIENCE);
            match (judged(&reply), reply) {
                (Sent::Fine, Ok(Reply::State(mark))) => _ = marks.insert(*id, mark),
                (Sent::Nobody, _) => {}
                _ => return None,
            }
        }
        let (winner, best) = marks.iter().max_by_key(|(_, mark)| *mark)?;
        if *best != marks[&view.me] {
            let Ok(Reply::Whole(whole)) = self.ask(view.members[winner], Request::Fetch, PATIENCE) else {
                return None;
            };
            let mut state = self.lock();
            if state.view.members != view.members {
                return None;
            }
            self.replace(&mut state, *whole).ok()?;
        }
        let whole = self.lock().whole();
        let online: BTreeSet<u32> = marks.keys().copied().collect();
        for (id, mark) in marks.iter().filter(|(id, _)| **id != view.me) {
            let address = view.members[id];
            if *mark != whole.tree.mark() {
                self.fine(address, Request::Replace(Box::new(whole.clone())))?;
            }
            self.fine(address, Request::Settled(online.clone()))?;
        }
        let mut state = self.lock();
        if state.view.members != view.members {
            return None;
        }
        (state.settled, state.online) = (true, online);
        state.generation += 1;
        drop(state);
        self.changed.notify_all();
        Some(())
    }

    fn fine(&self, to: SocketAddr, body: Request) -> Option<()> {
        matches!(self.ask(to, body, PATIENCE), Ok(Reply::Fine)).then_some(())
    }
}

impl super::State {
    pub(super) fn whole(&self) -> Whole {
        Whole { tree: self.tree.clone(), recent: self.recent.clone() }
    }

    pub(super) fn remember(&mut self, id: Id) {
        self.recent.push_back(id);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }
}

fn judged(reply: &io::Result<Reply>) -> Sent {
    match reply {
        Ok(Reply::Fine | Reply::State(_)) => Sent::Fine,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Sent::Nobody,
        _ => Sent::Unsure,
    }
}
