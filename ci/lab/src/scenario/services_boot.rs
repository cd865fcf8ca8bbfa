//! A cluster that was off as a whole.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::Lab;
use super::fleet::Fleet;
use super::formed::{self, CLUSTER, NODES};
use super::road::{BOOT, PHASES};
use super::services_formed::{self, Beside, VIP};
use super::services_shown as shown;
use crate::guest::{self, Guest};
use crate::phases::Phases;

/// How a cluster goes off and on.
struct Order {
    what: &'static str,
    /// Are the nodes told to, or does their power go?
    is_told: bool,
    /// Who is switched on first; the others follow when these have done all that they can alone.
    first: &'static [usize],
    /// Is the NAS there when they come back?
    has_nas: bool,
}

/// The Master is the first node.
const ORDERS: [Order; 3] = [
    Order { what: "all at once", is_told: true, first: &[], has_nas: true },
    Order { what: "Master first", is_told: false, first: &[0], has_nas: true },
    Order { what: "Master last", is_told: false, first: &[1, 2], has_nas: false },
];

/// Names, sums and chunks of all files, and when the file system was founded. Files below `cias` are written anew when they change.
const FILES: &str = "cd /mnt/mfs && files=$(find . -path ./cias -prune -o -type f -print | sort) && find . | sort && sha256sum $files && \
                     for file in $files; do mfsfileinfo $file | grep -o 'id:[0-9]*'; done; cat /etc/pve/priv/cias/moosefs-founded";

/// In each order all nodes come up by themselves, and the files are what they were.
pub fn cold_boot(lab: &Lab) -> Result<()> {
    for order in &ORDERS {
        eprintln!("lab: services-cold-boot: {}", order.what);
        let fleet = services_formed::three(lab, "services-cold-boot")?;
        let mut beside = Beside::start(&fleet)?;
        let mut guests = fleet.start(0..3)?;
        guest::all(&mut guests, "answer of the Master", BOOT, |_| Ok(fleet.net.answers(VIP)?.then_some(())))?;
        shown::files(&fleet, &mut guests, &NODES, 2)?;
        let before = fleet.node(NODES[1]).ask(FILES)?;
        ensure!(before.contains("./a/probe-2"), "found no probes in:\n{before}");
        // In the order of the addresses, whoever has them.
        let servers = NODES.iter().map(|address| fleet.at(address)).collect::<Result<Vec<_>>>()?;
        off(&fleet, guests, order.is_told)?;
        if !order.has_nas {
            beside.nas.off()?;
        }

        let mut phases = Phases::begin();
        let mut guests = Vec::new();
        for place in order.first {
            guests.push(fleet.boot(servers[*place])?);
        }
        first_are_up(&fleet, &mut guests, order)?;
        for place in (0..NODES.len()).filter(|place| !order.first.contains(place)) {
            guests.push(fleet.boot(servers[place])?);
        }
        services_formed::up(&fleet, &mut guests, &NODES, &mut phases)?;
        phases.end(&fleet.folder.join(PHASES))?;
        formed::whole(&fleet, &NODES)?;
        shown::addresses(&fleet, &NODES)?;
        shown::moosefs(&fleet, &mut guests, &NODES, 2)?;
        for address in NODES {
            let after = fleet.node(address).ask(FILES)?;
            ensure!(after == before, "{}: {address}: found:\n{after}\nwanted:\n{before}", order.what);
        }
        shown::files(&fleet, &mut guests, &NODES, 2)?;
        shown::schedules(&fleet, &NODES)?;
        shown::defined(&fleet, &mut guests, &NODES, order.has_nas)?;
    }
    Ok(())
}

/// Switches all off: by their buttons, or by the fuse.
fn off(fleet: &Fleet, mut guests: Vec<Guest>, is_told: bool) -> Result<()> {
    if !is_told {
        for address in NODES {
            // What an application has not brought to its disk is its own loss.
            fleet.node(address).ask("sync")?;
        }
        return Ok(());
    }
    for guest in &guests {
        guest.qmp("system_powerdown", &json!({}))?;
    }
    guests.iter_mut().try_for_each(|guest| guest.wait_for_end(BOOT + Duration::from_mins(4)))
}

/// Waits until those that were switched on first have done what they can without the others.
fn first_are_up(fleet: &Fleet, guests: &mut [Guest], order: &Order) -> Result<()> {
    for place in order.first {
        let address = NODES[*place];
        guest::all(guests, &format!("answer of {address}"), BOOT, |_| {
            Ok(fleet.net.answers(address)?.then_some(()))
        })?;
        // A majority has quorum, and one alone has its file system, where nobody may write.
        let is_majority = order.first.len() * 2 > NODES.len();
        guest::all(guests, &format!("cluster's file system on {address}"), BOOT, |_| {
            let members = formed::members(fleet, address)?;
            Ok(members.filter(|members| members.is_quorate_in(CLUSTER) == is_majority).map(drop))
        })?;
    }
    if !order.first.is_empty() {
        ensure!(
            !fleet.net.answers(VIP)?,
            "somebody has the role address before the Master and a majority are there"
        );
    }
    Ok(())
}
