//! What a member of the stand-in's group answers. Only members of its own view are heard, and only their leader may change
//! anything: so a node that was cut off cannot reach those that no longer see it.

use std::net::TcpListener;
use std::sync::Arc;

use super::message::{Change, Letter, Reply, Request};
use super::{Group, State};
use crate::wire;

impl Group {
    pub(super) fn listen(self: &Arc<Self>, listener: TcpListener) {
        let Some(secret) = self.secret.clone() else { return };
        let group = Arc::clone(self);
        wire::serve(listener, secret, move |_, letter: Letter| group.answer(letter));
    }

    fn answer(&self, letter: Letter) -> Reply {
        let Letter { from, body } = letter;
        let mut state = self.lock();
        if !state.view.members.contains_key(&from) {
            return Reply::Refused;
        }
        let (leads, from_leader) = (state.view.leads(), state.view.leader() == Some(from));
        match body {
            Request::Submit(id, op) if leads => {
                drop(state);
                self.lead(id, &op, from).map_or(Reply::Retry, Reply::Done)
            }
            Request::Join if leads => {
                state.settled = false;
                drop(state);
                self.changed.notify_all();
                Reply::Fine
            }
            Request::State if from_leader => Reply::State(state.tree.mark()),
            Request::Fetch if from_leader => Reply::Whole(Box::new(state.whole())),
            Request::Replace(whole) if from_leader => {
                self.replace(&mut state, *whole).map_or(Reply::Retry, |()| Reply::Fine)
            }
            Request::Apply(change) if from_leader => self.follow(&mut state, &change),
            Request::Settled(online) if from_leader => {
                (state.settled, state.online) = (true, online);
                state.generation += 1;
                drop(state);
                self.changed.notify_all();
                Reply::Fine
            }
            Request::Submit(..) | Request::Join => Reply::Retry,
            _ => Reply::Refused,
        }
    }

    fn follow(&self, state: &mut State, change: &Change) -> Reply {
        let mark = state.tree.mark();
        // The leader repeats a change when another member did not answer.
        if mark == change.after {
            return Reply::Fine;
        }
        if mark != change.base {
            return Reply::Behind;
        }
        let mut tree = state.tree.clone();
        let made = tree.apply(&change.op, change.stamp);
        if made.is_err() || tree.mark() != change.after {
            return Reply::Behind;
        }
        match self.commit(state, tree) {
            Ok(()) => {
                state.remember(change.id);
                Reply::Fine
            }
            Err(_) => Reply::Retry,
        }
    }
}
