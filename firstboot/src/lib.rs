//! The node side of CIAS: what the installer and an installed server run, and the schema of `site.toml`.

pub mod agent;
pub mod backup;
pub mod banner;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod console;
pub mod crontab;
pub mod disks;
pub mod engine;
pub mod enrol;
pub mod facts;
pub mod failpoint;
pub mod files;
pub mod folders;
pub mod guests;
pub mod hello;
pub mod identity;
pub mod install;
pub mod interrupt;
pub mod journal;
pub mod keepalived;
pub mod log;
pub mod moosefs;
pub mod node;
pub mod notify;
pub mod outcome;
pub mod plan;
pub mod postinstall;
pub mod preinstall;
pub mod provision;
pub mod region;
pub mod render;
pub mod run;
pub mod runner;
pub mod setup;
pub mod signatures;
pub mod simulate;
pub mod site;
pub mod startup;
pub mod status;
pub mod step;
pub mod storage;
pub mod support;
pub mod system;

#[cfg(test)]
#[path = "../tests/support/tree.rs"]
mod tree;
