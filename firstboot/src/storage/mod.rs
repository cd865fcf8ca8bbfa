//! The storages of Proxmox VE that a cluster of ours has, and the two backup schedules.
//!
//! What is there is compared by what it says and not by its text: Proxmox VE writes words and properties in random order (docs/facts.md 19).
//! What a person has defined besides stays.

pub mod config;
pub mod schedule;
pub mod step;
