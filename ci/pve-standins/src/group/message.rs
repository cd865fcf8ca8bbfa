//! A stand-in for dcdb's messages: what the members' pmxcfs ask each other.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::db::{Mark, Op, Stamp, Tree};

/// Tells one change from all others, so that a repeated request is not made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Id {
    /// Random for each start of a daemon.
    pub run: u64,
    /// Counts within it.
    pub count: u64,
}

/// A change with all that the leader decided about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// Which change.
    pub id: Id,
    /// What to do.
    pub op: Op,
    /// Who and when.
    pub stamp: Stamp,
    /// The database before it.
    pub base: Mark,
    /// The database after it.
    pub after: Mark,
}

/// A database with the changes that it saw last: who gets the one must also know the other, or a repeated request would
/// be made twice.
#[derive(Clone, Serialize, Deserialize)]
pub struct Whole {
    /// The content.
    pub tree: Tree,
    /// The last changes.
    pub recent: VecDeque<Id>,
}

/// A request and who sends it.
#[derive(Serialize, Deserialize)]
pub struct Letter {
    /// The sender's number.
    pub from: u32,
    /// The request.
    pub body: Request,
}

/// What a member may ask.
#[derive(Serialize, Deserialize)]
pub enum Request {
    /// To the leader: please make this change.
    Submit(Id, Op),
    /// To the leader: I am new here, or have lost touch.
    Join,
    /// From the leader: how far are you?
    State,
    /// From the leader: give me your database.
    Fetch,
    /// From the leader: this is the database.
    Replace(Box<Whole>),
    /// From the leader: make this change.
    Apply(Box<Change>),
    /// From the leader: these members have the same database now.
    Settled(BTreeSet<u32>),
}

/// The answers.
#[derive(Serialize, Deserialize)]
pub enum Reply {
    /// The change was made, or failed with this error number.
    Done(i32),
    /// Not now: ask again, perhaps another.
    Retry,
    /// How far.
    State(Mark),
    /// The database.
    Whole(Box<Whole>),
    /// The change does not fit this database.
    Behind,
    /// As asked.
    Fine,
    /// Not from you.
    Refused,
}
