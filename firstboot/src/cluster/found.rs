//! The step *found the cluster*: `pvecm create` on the founder, and what is left to do after a power cut in it.

use std::time::Duration;

use anyhow::Result;

use super::bring::{self, AUTHKEY};
use super::keys;
use super::stand::{self, Seen, Stand};
use crate::files;
use crate::outcome::Class;
use crate::runner::{Call, Runner};
use crate::site::{Place, Site};
use crate::step::{Finding, Step};
use crate::system::System;

/// How long `pvecm create` may take.
const CREATE: Duration = Duration::from_mins(3);

/// The step.
pub struct Found {
    name: String,
    place: Place,
}

impl Found {
    /// For the founder at `place`.
    pub fn new(site: &Site, place: &Place) -> Self {
        Self { name: site.site.cluster_name.clone(), place: place.clone() }
    }

    /// Makes the cluster. What `pvecm` says is told only if the cluster is not seen afterwards.
    fn create(&self, system: &System) -> Result<()> {
        bring::require_name(&system.root, &self.place)?;
        keys::keep(&system.root)?;
        let authkey = system.root.path(AUTHKEY);
        if authkey.exists() {
            // Of a former life, or of a `pvecm create` that the power cut off.
            system.log.note(&format!("{AUTHKEY} is left over and renamed to {AUTHKEY}.before"));
            files::rename(&authkey, &system.root.path(&format!("{AUTHKEY}.before")))?;
        }
        let complaint = pvecm(system.runner, &["create", &self.name], |call| call.limit(CREATE))?;
        self.confirm(system, &complaint)
    }

    /// Starts what `pvecm create` did not come to.
    fn go_on(&self, system: &System) -> Result<()> {
        keys::keep(&system.root)?;
        // A file system that was mounted before there was a cluster does not know of it.
        bring::service(system, &["pve-cluster", "restart"])?;
        bring::await_mount(system)?;
        let complaint = bring::service(system, &["cman", "start"])?;
        self.confirm(system, &complaint)?;
        // Certificates and keys that it did not come to.
        pvecm(system.runner, &["updatecerts"], |call| call.limit(CREATE)).map(drop)
    }

    fn confirm(&self, system: &System, complaint: &str) -> Result<()> {
        if bring::await_members(system, &self.name, &[], bring::SEEN)? {
            return Ok(());
        }
        let said = if complaint.is_empty() { "no error" } else { complaint };
        Err(Class::TryLater.error(format!(
            "the cluster {} was made, but /etc/pve/.members does not show it with quorum after {} s (its start said: {said}): `cman_tool status` and \
             /var/log/cluster/corosync.log tell more",
            self.name,
            bring::SEEN.as_secs()
        )))
    }
}

impl Step for Found {
    fn name(&self) -> &'static str {
        "found the cluster"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let found = stand::stand(&Seen::look(&system.root), &self.name);
        match found {
            Stand::Done => Ok(Finding::done()),
            Stand::Foreign(_) | Stand::Left(_) => Err(bring::refuse(&found, &self.name)),
            _ => Ok(Finding::todo(format!("found the cluster {} with this node", self.name))),
        }
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        match bring::stand(system, &self.name)? {
            Stand::Alone => self.create(system)?,
            Stand::Half => self.go_on(system)?,
            Stand::Lost => bring::await_quorum(system, &self.name)?,
            _ => {}
        }
        bring::conclude(system, &self.name)?;
        Ok(Vec::new())
    }
}

/// Runs `pvecm`, which must neither find a terminal to ask at nor lie in the cluster's file system, and returns its complaint. How it
/// ended proves nothing (docs/facts.md 16), but that we are asked to stop ends this, too. `limit` says how long it may run.
pub fn pvecm(runner: &dyn Runner, words: &[&str], limit: impl FnOnce(Call) -> Call) -> Result<String> {
    let call = Call::new("pvecm").args(words.iter().copied()).env("HOME", "/root").inside("/");
    match runner.outcome(&limit(call)) {
        Ok(output) => Ok(output.failure()),
        Err(error) if Class::of(&error) == Class::Interrupted => Err(error),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::testing::{NAME, Node};
    use super::*;

    fn step(node: &Node) -> Box<dyn Step> {
        Box::new(Found::new(&node.site, &node.place))
    }

    #[test]
    fn a_cluster_is_founded_once_wherever_the_power_goes() {
        Node::survives_cuts(step, Node::commands);
        let node = Node::new();
        node.run(step(&node).as_ref(), &node.commands()).unwrap();
        node.is_member("founded");
        let again = node.commands();
        node.run(step(&node).as_ref(), &again).unwrap();
        assert_eq!(again.lines(), [""; 0]);
    }

    #[test]
    fn a_founder_without_quorum_waits_and_keeps_its_cluster() {
        let node = Node::new();
        node.run(step(&node).as_ref(), &node.commands()).unwrap();
        node.world.has_others.store(false, Ordering::SeqCst);
        node.world.boot();
        let commands = node.commands();
        let error = node.run(step(&node).as_ref(), &commands).unwrap_err();
        assert_eq!(Class::of(&error), Class::TryLater, "{error:#}");
        assert_eq!((commands.lines(), commands.rested()), (vec!["service cman start".into()], bring::QUORUM));
        assert!(node.root().has("/etc/cluster/cluster.conf"));
    }

    #[test]
    fn a_cluster_of_another_name_or_one_that_was_left_is_a_persons_to_decide() {
        let node = Node::new();
        std::fs::write(node.root().path("/etc/pve/cluster.conf"), "<cluster name=\"OTHER\">").unwrap();
        node.world.has_others.store(false, Ordering::SeqCst);
        for change in ["", "left"] {
            let wanted = if change.is_empty() { "\"OTHER\"" } else { "member-of" };
            if !change.is_empty() {
                std::fs::remove_file(node.root().path("/etc/pve/cluster.conf")).unwrap();
                super::super::record::remember(&node.root(), NAME).unwrap();
            }
            let commands = node.commands();
            let error = node.run(step(&node).as_ref(), &commands).unwrap_err();
            assert_eq!(Class::of(&error), Class::Refused);
            assert!(error.to_string().contains(wanted), "{error:#}");
            assert_eq!(commands.lines(), [""; 0]);
        }
    }

    #[test]
    fn what_a_former_life_left_is_put_aside_and_a_name_without_its_address_refused() {
        let node = Node::new();
        std::fs::write(node.root().path(AUTHKEY), "old").unwrap();
        node.run(step(&node).as_ref(), &node.commands()).unwrap();
        assert_eq!(node.root().text("/var/lib/pve-cluster/corosync.authkey.before").unwrap(), "old");

        let node = Node::new();
        std::fs::write(node.root().path("/etc/hosts"), "127.0.1.1 me\n10.254.1.1 me\n").unwrap();
        let error = node.run(step(&node).as_ref(), &node.commands()).unwrap_err();
        assert!(error.to_string().contains("found 127.0.1.1, wanted 10.254.1.1"), "{error:#}");
    }
}
