//! The stage *identity*: who this node is, and the files that say so. It runs in runlevel S, before networking and before
//! the cluster file system first starts, whose database then never sees a wrong name (docs/facts.md 8 and 9).

pub mod conflict;
mod plan;
mod settle;
mod steps;

pub use plan::{Plan, Present};
pub use settle::{Decision, Settled, settle};
pub use steps::{HELD, LIST as HELD_LIST, is_held, starts};

/// The stage's name.
pub const STAGE: &str = "identity";
