//! The step *run the chunkserver and the metalogger*. Both look for the metadata server every second, so that they may run before it.

use anyhow::Result;

use super::super::USER;
use super::super::daemon::Daemon;
use super::super::dialect::Dialect;
use super::{Node, Part, account, data_disks, is_owned, require_master};
use crate::files;
use crate::step::Finding;
use crate::system::System;

pub(super) struct Daemons;

/// What is missing.
struct Missing {
    /// Data disks that are not the daemons' account's.
    points: Vec<String>,
    daemons: Vec<(Daemon, &'static str)>,
    has_disks: bool,
}

fn look(system: &System) -> Result<Missing> {
    let disks = data_disks(system)?;
    let mut wanted = vec![Daemon::Metalogger];
    let mut points = Vec::new();
    if !disks.is_empty() {
        // Without a disk it ends at once.
        wanted.insert(0, Daemon::Chunkserver);
        let account = account(&system.root)?;
        points.extend(
            disks
                .iter()
                .map(|disk| disk.point.clone())
                .filter(|point| !is_owned(&system.root, point, account)),
        );
    }
    let mut daemons = Vec::new();
    for daemon in wanted {
        daemons.extend(daemon.missing(system)?.map(|word| (daemon, word)));
    }
    Ok(Missing { points, daemons, has_disks: !disks.is_empty() })
}

impl Part for Daemons {
    fn name(&self) -> &'static str {
        "run the chunkserver and the metalogger"
    }

    fn check(&self, _: &Node, _: &dyn Dialect, system: &System) -> Result<Finding> {
        let missing = look(system)?;
        let owning = missing.points.iter().map(|point| format!("give {point} to {USER}"));
        let running = missing.daemons.iter().map(|(daemon, word)| daemon.sentence(word));
        let warnings = (!missing.has_disks).then(|| {
            "MooseFS: this node has no data disk, so that no chunkserver runs on it: `cias facts` names each disk, and `cias status` why one is not used".to_owned()
        });
        Ok(Finding { todo: owning.chain(running).collect(), warnings: warnings.into_iter().collect() })
    }

    fn apply(&self, node: &Node, _: &dyn Dialect, system: &System) -> Result<Vec<String>> {
        require_master(&system.root, node.site.network.vip)?;
        let missing = look(system)?;
        for point in &missing.points {
            files::give(&system.root.path(point), account(&system.root)?)?;
        }
        for (daemon, word) in missing.daemons {
            daemon.has_it(system, word, true)?;
        }
        Ok(Vec::new())
    }
}
