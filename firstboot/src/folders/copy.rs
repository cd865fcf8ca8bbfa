//! Copies the Master's two files between nodes, by rsync over ssh. It compares by checksums; a look afterwards finds nothing to copy.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{FILES, OWN};
use crate::runner::Call;
use crate::system::System;

/// How long one copy may take: two files of some kilobytes.
const LIMIT: Duration = Duration::from_mins(1);

/// As root of one node reaches root of another in a cluster (docs/facts.md 16).
const SSH: &str = "ssh -o BatchMode=yes -o ConnectTimeout=10";

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From this node.
    To(Ipv4Addr),
    /// To this node.
    From(Ipv4Addr),
}

/// The names of what differs.
pub fn differing(system: &System, way: Way) -> Result<Vec<String>> {
    rsync(system, way, true)
}

/// Copies what differs, and says its names.
pub fn copy(system: &System, way: Way) -> Result<Vec<String>> {
    let copied = rsync(system, way, false)?;
    if !copied.is_empty() {
        let left = differing(system, way)?;
        ensure!(left.is_empty(), "{}: it differs from what was copied", left.join(", "));
    }
    Ok(copied)
}

fn rsync(system: &System, way: Way, only_look: bool) -> Result<Vec<String>> {
    let own = system.root.path(OWN).display().to_string();
    let (folder, to) = match way {
        Way::To(address) => (own, format!("root@{address}:{OWN}/")),
        Way::From(address) => (format!("root@{address}:{OWN}"), format!("{own}/")),
    };
    let call = Call::new("rsync").args(["-a", "--checksum", "--itemize-changes"]);
    let call = if only_look { call.arg("--dry-run") } else { call };
    let call = call
        .args(["-e", SSH])
        .args(FILES.iter().map(|name| format!("{folder}/{name}")))
        .arg(&to)
        .env("HOME", "/root")
        .limit(LIMIT);
    let said = system.runner.run(&call).with_context(|| format!("copying {OWN} to {to}"))?;
    // `<f.st...... NAME` for each file that is copied.
    let names = said.stdout.lines().filter_map(|line| line.split_whitespace().last());
    Ok(names.map(str::to_owned).collect())
}
