//! What founding and joining have in common: the services that a cluster is made of, and what follows once it is there.

use std::time::Duration;

use anyhow::Result;

use super::members::{self, Members};
use super::stand::{self, Seen, Stand};
use super::wait::await_until;
use super::{keys, record};
use crate::enrol;
use crate::outcome::Class;
use crate::runner::Call;
use crate::site::Place;
use crate::system::{Sysroot, System};

/// How long the cluster may take to be seen once its services were started.
pub const SEEN: Duration = Duration::from_mins(1);

/// How long a node that was in a cluster, or half in it, waits for quorum: the others may just be starting.
pub const QUORUM: Duration = Duration::from_secs(90);

/// How long the cluster's file system may take to be mounted.
const MOUNT: Duration = Duration::from_secs(30);

/// How long a service may take; cman waits at most 105 s itself (docs/facts.md 16).
const SERVICE: Duration = Duration::from_mins(3);

/// The key of the cluster's messages.
pub const AUTHKEY: &str = "/var/lib/pve-cluster/corosync.authkey";

/// What is to be said of a cluster without quorum.
pub const NO_QUORUM: &str = "switch on more of its nodes, and `pvecm status` here counts them";

/// How this node stands to the cluster `name`; what a person must decide, and what must be waited for, are errors. The cluster's
/// file system is started if it is not there.
pub fn stand(system: &System, name: &str) -> Result<Stand> {
    let mut found = stand::stand(&Seen::look(&system.root), name);
    if found == Stand::Unmounted {
        service(system, &["pve-cluster", "start"])?;
        await_mount(system)?;
        found = stand::stand(&Seen::look(&system.root), name);
    }
    if found == Stand::Alone {
        // The way back may have been cut off before it came to them.
        keys::restore(&system.root)?;
    }
    match &found {
        Stand::Foreign(_) | Stand::Left(_) => Err(refuse(&found, name)),
        _ => Ok(found),
    }
}

/// The sentence for a node that a person must look at.
pub fn refuse(stand: &Stand, name: &str) -> anyhow::Error {
    Class::Refused.error(match stand {
        Stand::Foreign(other) => format!(
            "/etc/pve/cluster.conf: found the cluster {other:?}, wanted {name:?} (site.cluster_name) or none: a node is in one cluster; correct the \
             site file, or install this node anew"
        ),
        _ => format!(
            "{}: this node was a member of a cluster and is in none now, wanted {name:?}: if it was taken out of it for good and is to come \
             back, remove that file and start `cias run`",
            record::FILE
        ),
    })
}

/// Waits until the cluster's file system is there.
pub fn await_mount(system: &System) -> Result<()> {
    let there = await_until(system.runner, MOUNT, || stand::is_there(&system.root).then_some(()))?;
    there.ok_or_else(|| {
        Class::TryLater.error(
            "the cluster's file system is not mounted at /etc/pve: `service pve-cluster status` and /var/log/syslog tell why",
        )
    })
}

/// Has a service do something, and returns its complaint, if any: whether it came about is seen elsewhere.
pub fn service(system: &System, words: &[&str]) -> Result<String> {
    service_within(system, words, SERVICE)
}

/// The same with a service that may take as long as `limit`.
pub fn service_within(system: &System, words: &[&str], limit: Duration) -> Result<String> {
    let call = Call::new("service").args(words.iter().copied()).limit(limit);
    Ok(system.runner.outcome(&call)?.failure())
}

/// Waits until this node and `others` are seen in the cluster `name`, with quorum.
pub fn await_members(system: &System, name: &str, others: &[&str], limit: Duration) -> Result<bool> {
    let look = || {
        let members = Members::read(&system.root).ok().flatten()?;
        (members.is_quorate_in(name) && others.iter().all(|other| members.is_online(other))).then_some(())
    };
    Ok(await_until(system.runner, limit, look)?.is_some())
}

/// A member without quorum: starts what may not run, and waits. It never goes back.
pub fn await_quorum(system: &System, name: &str) -> Result<()> {
    // Where it runs already, this starts what a late quorum left out (docs/facts.md 16).
    service(system, &["cman", "start"])?;
    if await_members(system, name, &[], QUORUM)? {
        return Ok(());
    }
    Err(Class::TryLater.error(format!("the cluster {name} has no quorum: {NO_QUORUM}")))
}

/// Does the host name lead to the node's own address, and not to 127.x? Without it pmxcfs, pvecm and cman refuse.
pub fn require_name(root: &Sysroot, place: &Place) -> Result<()> {
    let hosts = root.text("/etc/hosts")?;
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut found = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?;
        words.any(|word| word == place.name).then_some(address)
    });
    let first = found.next();
    if first == Some(place.address.to_string().as_str()) {
        return Ok(());
    }
    Err(Class::Failed.error(format!(
        "/etc/hosts: {}: found {}, wanted {}: `cias run --stage identity --again` writes it anew",
        place.name,
        first.unwrap_or("no line"),
        place.address
    )))
}

/// What follows once this node is a member. The power may go in between: [`Stand::Done`] comes last.
pub fn conclude(system: &System, name: &str) -> Result<()> {
    if !members::is_writable(&system.root) {
        return Err(Class::TryLater.error(crate::files::NO_QUORUM));
    }
    keys::restore(&system.root)?;
    record::remember(&system.root, name)?;
    enrol::forget_join_key(system)?;
    keys::forget(&system.root)
}
