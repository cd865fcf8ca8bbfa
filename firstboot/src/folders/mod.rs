//! The management folders of the original plan: `/data/cias` on every node, and `/mnt/mfs/cias` on `MooseFS`.
//!
//! The Master writes the two files in them; the other nodes get theirs from it, so that they can be read where `MooseFS` is not mounted. The
//! names of the plan's scripts lead to this program, and those of keepalived's configurations to the node's own.

mod copy;
pub mod export;
pub mod guests;
pub mod names;
pub mod network;
pub mod step;
#[cfg(test)]
mod tests;

/// On every node's own disk.
pub const OWN: &str = "/data/cias";

/// On `MooseFS`.
pub const SHARED: &str = "/mnt/mfs/cias";

/// What the Master writes and the other nodes get.
pub const FILES: &[&str] = &[network::NAME, guests::NAME];
