//! The cluster of Proxmox VE as this node sees it: who is a member, whether there is quorum, and the files that all nodes share.

pub mod bring;
pub mod conf;
pub mod found;
pub mod join;
pub mod keys;
pub mod members;
pub mod pages;
pub mod probe;
pub mod record;
pub mod register;
pub mod roster;
pub mod stand;
#[cfg(test)]
mod testing;
pub mod wait;

/// Where the cluster's file system is mounted.
pub const MOUNT: &str = "/etc/pve";

/// A link that is there only while it is mounted (docs/facts.md 15).
pub const MOUNTED: &str = "/etc/pve/local";

/// Our own folder on it; only root may read below `priv`.
pub const FOLDER: &str = "/etc/pve/priv/cias";
