//! `MooseFS`, the disks of all nodes as one: a metadata server on the Master, and on every node a chunkserver, a metalogger and the mount.
//!
//! Its two dialects differ in names, keys and answers ([`dialect`]); what is decided is decided without the machine ([`decide`]), and the
//! steps ([`steps`]) only look and act. Until a takeover moves the metadata server, it runs on the founder alone.

pub mod ask;
pub mod conf;
pub mod daemon;
pub mod decide;
pub mod detect;
pub mod dialect;
pub mod end;
pub mod found;
pub mod keys;
pub mod metadata;
pub mod parse;
pub mod restore;
pub mod resume;
pub mod steps;
pub mod web;

/// The one name of the metadata server, everywhere. It leads to the role address, by `/etc/hosts` alone.
pub const MASTER: &str = "cias-pve-master";

/// Where all daemons keep their data.
pub const DATA: &str = "/var/lib/mfs";

/// The account that they run as.
pub const USER: &str = "mfs";
