//! The command line of `cias enrol`.

use clap::{Args, Subcommand};

use super::Output;
use crate::enrol::policy;

/// What `enrol` is to do.
#[derive(Debug, Subcommand)]
pub enum Enrol {
    /// Open the window in which servers may join
    ///
    /// Only with enrol.mode = "window". A window that is open is given a new end.
    #[command(after_long_help = "\
Exit codes: 0 opened; 1 it cannot be kept; 3 the mode has no window; 6 no
cluster, or no quorum.

Examples:
  cias enrol open --minutes 30")]
    Open {
        /// For how long, 1 to 1440
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(policy::LONGEST)))]
        minutes: u32,
    },
    /// Close the window
    ///
    /// Joins that are under way go on.
    #[command(after_long_help = "\
Exit codes: 0 closed, also if it was; 1 it cannot be kept; 3 the mode has no
window; 6 no cluster, or no quorum.

Examples:
  cias enrol close")]
    Close,
    /// Let a server in, and take a denial back
    ///
    /// With enrol.mode = "approve" it may join from now on; it asks again by itself. In any mode it lifts what `cias enrol deny`
    /// said.
    #[command(after_long_help = "\
Exit codes: 0 approved; 1 it cannot be kept; 3 no such machine, or several; 6 no
cluster, or no quorum.

Examples:
  cias enrol approve pve-rack-a-1-1
  cias enrol approve 52:54:00:00:00:01")]
    Approve(Whom),
    /// Keep a server out, whatever the mode is
    ///
    /// It is told so when it asks. A node that has joined stays in the cluster.
    #[command(after_long_help = "\
Exit codes: 0 denied; 1 it cannot be kept; 3 no such machine, or several; 6 no
cluster, or no quorum.

Examples:
  cias enrol deny pve-rack-a-1-1")]
    Deny(Whom),
    /// Show the mode, the window, and every server that has a place
    #[command(after_long_help = "\
Exit codes: 0 shown; 1 it cannot be read; 3 an entry is broken; 6 no cluster.

Examples:
  cias enrol list
  cias enrol list --json")]
    List(Output),
    /// Serve one server that asks to join; the join key's forced command
    #[command(hide = true)]
    Serve(Serve),
}

/// A server that has a place.
#[derive(Debug, Args)]
pub struct Whom {
    /// Its name, address, MAC address, serial number or machine id
    #[arg(value_name = "WHO")]
    pub who: String,
}

/// Options of `enrol serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Divide all waits by N (for tests, with --root)
    #[arg(long, hide = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub hurry: u32,
}
