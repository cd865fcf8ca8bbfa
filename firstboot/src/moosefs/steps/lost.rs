//! What the steps have brought about and what is gone since, for the agent, which has `cias run` bring it back.

use anyhow::Result;

use super::super::daemon::Daemon;
use super::super::{ask, detect, end};
use super::{Node, Own, Part, daemons, mount};
use crate::journal::Role;
use crate::site::{Place, Site};
use crate::system::System;

/// A sentence for each daemon that has ended, and for the mount, on the node at `place`. Nothing where all of it was ended on purpose, where `MooseFS` is not
/// installed, or where what is missing could not come back now: the metadata server belongs to the role address, and a mount needs a metadata server.
pub fn lost(site: &Site, place: &Place, role: Role, system: &System) -> Result<Vec<String>> {
    let (site, place) = (site.clone(), place.clone());
    of(&Node { site, place, is_founder: role == Role::Founder, net: std::sync::Arc::new(Own) }, system)
}

pub(super) fn of(node: &Node, system: &System) -> Result<Vec<String>> {
    let Some(dialect) = detect::dialect(&system.root)? else { return Ok(Vec::new()) };
    if end::were_ended(&system.root) {
        return Ok(Vec::new());
    }
    let mut lost = daemons::Daemons.check(node, dialect, system)?.todo;
    let vip = node.site.network.vip;
    if node.is_founder && node.net.has(vip)? && !Daemon::Master.runs(system.runner)? {
        lost.push(Daemon::Master.sentence("start"));
    }
    if node.net.answers(vip, ask::PORT) {
        lost.extend(mount::Mount.check(node, dialect, system)?.todo);
    }
    Ok(lost)
}
