//! keepalived moves the Master's addresses. All nodes begin as BACKUP and none pulls the addresses back; a node whose health script fails is in
//! FAULT, so that who may not be Master has no address either (design D7).
//!
//! Until a takeover moves the rest of the Master, the health script passes on the founder alone: nobody else gets the addresses.

pub mod conf;
pub mod health;
pub mod keywords;
pub mod moved;
pub mod parse;
pub mod priority;
pub mod route;
pub mod step;

/// The port that carries the addresses.
pub const BRIDGE: &str = "vmbr0";

/// The bond below it: the bridge stays up while a guest is plugged into it.
pub const BOND: &str = "bond0";
