//! What this machine is. Everything here only reads, below a root that tests can set.

pub mod disks;
