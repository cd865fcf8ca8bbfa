//! A stand-in for memdb: the content of /etc/pve in memory, its rules, and its file.

mod ops;
pub mod store;
mod tree;
pub mod vm;

pub use ops::{Op, Stamp};
pub use tree::{Entry, Mark, Tree};

/// The inode of the root.
pub const ROOT: u64 = 0;
/// The largest file (pve-3.2-tools.md 2.4).
pub const MAX_FILE: usize = 128 * 1024;
/// The most bytes in all.
pub const MAX_BYTES: usize = 30 * 1024 * 1024;
/// The most inodes.
pub const MAX_INODES: usize = 10_000;
/// The folder of the cluster-wide locks.
pub const LOCKS: &str = "priv/lock";

/// `path` taken apart into its folder and its last part; the root's folder is empty.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whether only root may look at it: below `priv` of the cluster or of a node.
pub fn private(path: &str) -> bool {
    let mut parts = path.split('/');
    match parts.next() {
        Some("priv") => true,
        Some("nodes") => parts.nth(1) == Some("priv"),
        _ => false,
    }
}

#[cfg(test)]
#[path = "ops_tests.rs"]
mod tests;
