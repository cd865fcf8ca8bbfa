//! The stage *provision*: what a node with an identity gets once Proxmox VE is up.

use anyhow::Result;

use crate::backup::step::Keep;
use crate::cluster::found::Found;
use crate::cluster::join::Join;
use crate::disks::DataDisks;
use crate::facts::disks::Source;
use crate::facts::{Hardware, minimum, report};
use crate::folders::step::Folders;
use crate::guests::Guests;
use crate::identity::conflict::Alone;
use crate::journal::{Role, State};
use crate::keepalived::step::Keepalived;
use crate::moosefs;
use crate::notify::relay::Relay;
use crate::site::Site;
use crate::step::{Finding, Step};
use crate::storage::step::Storages;
use crate::system::System;

/// The stage's name.
pub const STAGE: &str = "provision";

/// The stage's steps for `site` on the node that `state` knows, in their order. A node that is not settled has no cluster yet.
pub fn steps(site: &Site, state: &State) -> Vec<Box<dyn Step>> {
    let mut steps: Vec<Box<dyn Step>> = vec![Box::new(Alone)];
    // Early, so that what fails after it can be mailed.
    if let Some(relay) = Relay::new(site) {
        steps.push(Box::new(relay));
    }
    steps.push(Box::new(Minimum));
    steps.push(Box::new(DataDisks::new(site)));
    let Some(place) = &state.place else { return steps };
    let Some(role @ (Role::Founder | Role::Node)) = state.role else { return steps };
    // The cluster brings the storage on it, and Proxmox VE would make that on the system disk.
    steps.push(Box::new(moosefs::steps::Point));
    steps.push(match role {
        Role::Founder => Box::new(Found::new(site, place)),
        _ => Box::new(Join::new(site, place)),
    });
    steps.push(Box::new(Keepalived::new(site, place)));
    steps.extend(moosefs::steps::steps(site, place, role));
    if role == Role::Founder {
        steps.push(Box::new(Storages::new(site)));
    }
    steps.push(Box::new(Keep));
    steps.push(Box::new(Folders::new(site, role)));
    steps.push(Box::new(Guests::new(site)));
    steps
}

/// Names what the machine lacks to be a Master. A weak machine is still a node, so nothing is to be done about it.
struct Minimum;

impl Step for Minimum {
    fn name(&self) -> &'static str {
        "judge the hardware"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let disks = Source::machine(system.runner).below(&system.root).disks()?;
        let misses = minimum::misses(&Hardware::read(&system.root), report::system_disk(&disks));
        let warnings = misses
            .into_iter()
            .map(|miss| format!("below the hardware minimum of a Master: {miss}"))
            .collect();
        Ok(Finding { todo: Vec::new(), warnings })
    }

    fn apply(&self, _system: &System) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{from_text, tests::example};

    fn names(role: Option<Role>) -> Vec<String> {
        let site = from_text(&example()).unwrap();
        let place = role.map(|_| site.founder_place(None));
        let state = State { place, role, ..State::default() };
        steps(&site, &state).iter().map(|step| step.name().to_owned()).collect()
    }

    #[test]
    fn the_mount_point_is_closed_before_the_cluster_brings_the_storage_on_it_and_guests_come_last() {
        for role in [Role::Founder, Role::Node] {
            let names = names(Some(role));
            let at = |word: &str| names.iter().position(|name| name.contains(word));
            let point = at("close /mnt/mfs").unwrap_or_else(|| panic!("{names:?}"));
            let cluster = at("the cluster").unwrap_or_else(|| panic!("{names:?}"));
            assert!(point < cluster && at("mount MooseFS") > Some(cluster), "{names:?}");
            assert_eq!(at("start the guests"), Some(names.len() - 1), "they may take long: {names:?}");
        }
        let early = names(None);
        assert!(!early.iter().any(|name| name.contains("/mnt/mfs")), "{early:?}");
    }
}
