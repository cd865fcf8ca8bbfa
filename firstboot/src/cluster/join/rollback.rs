//! The way back of a join that failed: this node stands alone again, with an empty database of its own, and can join anew (docs/facts.md 16).

use anyhow::Result;

use crate::cluster::bring::{self, AUTHKEY};
use crate::cluster::{keys, members};
use crate::files;
use crate::system::{Sysroot, System};

const DATABASE: &str = "/var/lib/pve-cluster";

/// What the database's files are called from now on; the next way back replaces them.
const ASIDE: &str = "cias-before-";

/// They have the old database open.
const DAEMONS: [&str; 4] = ["pvedaemon", "pveproxy", "pvestatd", "spiceproxy"];

/// Is there anything of a cluster on this node?
pub fn is_needed(root: &Sysroot) -> bool {
    members::has_cluster(root)
}

/// Takes this node out of the cluster that it is configured for. Cut off anywhere, it is done again from the beginning: the
/// configuration goes after the database, and while it is there the node counts as half-joined.
pub fn roll_back(system: &System) -> Result<()> {
    let root = &system.root;
    system.log.say("the join is rolled back: this node stands alone again");
    // The others lower their quorum; where it does not run, this says so.
    bring::service(system, &["cman", "stop", "remove"])?;
    bring::service(system, &["pve-cluster", "stop"])?;
    // The main file last: a journal beside another database than its own would be played into it.
    let mut names: Vec<String> = root.names(DATABASE);
    names.retain(|name| name.starts_with("config.db"));
    for name in names.iter().rev() {
        let path = |prefix: &str| root.path(&format!("{DATABASE}/{prefix}{name}"));
        files::rename(&path(""), &path(ASIDE))?;
    }
    files::remove(&root.path("/etc/cluster/cluster.conf"))?;
    files::remove(&root.path(AUTHKEY))?;
    bring::service(system, &["pve-cluster", "start"])?;
    bring::await_mount(system)?;
    keys::restore(root)?;
    for daemon in DAEMONS.into_iter().filter(|daemon| root.has(&format!("/etc/init.d/{daemon}"))) {
        let complaint = bring::service(system, &[daemon, "restart"])?;
        if !complaint.is_empty() {
            system.log.note(&format!("warning: {daemon} was not restarted: {complaint}"));
        }
    }
    Ok(())
}
