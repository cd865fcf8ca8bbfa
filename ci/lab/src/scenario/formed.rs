//! Fleets in states that take minutes to reach and are saved once.

use anyhow::{Context, Result, ensure};
use cias_firstboot::cluster::members::Members;
use cias_firstboot::hello::ledger::Ledger;

use super::Lab;
use super::fleet::{Fleet, Mould};
use super::road::{self, ADDRESS, BOOT, PHASES};
use crate::guest::{self, Guest};
use crate::phases::Phases;

/// What these states are made from, besides the fleet.
pub const RECIPE: &str = include_str!("formed.rs");

/// The cluster's name, by the site.
pub const CLUSTER: &str = "DLLL-CIAS";

/// The addresses that the first nodes get, by the plan.
pub const NODES: [&str; 3] = [ADDRESS, "10.254.1.1", "10.254.1.2"];

/// The folder of the saved cluster of three.
const THREE: &str = "saved-three";

/// Two servers, nobody pinned, of which one was elected and has settled.
pub fn elected(lab: &Lab, name: &str) -> Result<Fleet> {
    Fleet::saved(lab, &Mould::unpinned(lab)?, name, ("saved-elected", 2), |fleet, guests| {
        answered(fleet, guests)?;
        guest::all(guests, "founder that is done", BOOT, |_| Ok(fleet.node(ADDRESS).is_done()?.then_some(())))
    })
}

/// One server that was elected, has founded its cluster and serves.
pub fn founder(lab: &Lab, name: &str) -> Result<Fleet> {
    Fleet::saved(lab, &Mould::unpinned(lab)?, name, ("saved-founder", 1), |fleet, guests| {
        answered(fleet, guests)?;
        serves(fleet, guests)
    })
}

/// Three servers that were switched on together and are one cluster.
pub fn three(lab: &Lab, name: &str) -> Result<Fleet> {
    Fleet::saved(lab, &Mould::unpinned(lab)?, name, (THREE, 3), |fleet, guests| {
        // Each of them was made from that installation.
        let mut phases = Phases::after(&road::installation(lab)?.join(PHASES))?;
        joined(fleet, guests, &NODES, &mut phases)?;
        phases.end(&fleet.folder.join(PHASES))
    })
}

/// Waits until somebody has the founder's address.
fn answered(fleet: &Fleet, guests: &mut [Guest]) -> Result<()> {
    guest::all(guests, "answer of a founder", BOOT, |_| Ok(fleet.net.answers(ADDRESS)?.then_some(())))
}

/// Waits until the founder hands out places.
pub fn serves(fleet: &Fleet, guests: &mut [Guest]) -> Result<()> {
    let node = fleet.node(ADDRESS);
    guest::all(guests, "founder that serves", BOOT, |_| {
        let quorate = members(fleet, ADDRESS)?.is_some_and(|members| members.is_quorate_in(CLUSTER));
        let said = node.try_ask("cat /run/cias/agent.json")?.unwrap_or_default();
        Ok((quorate && said.contains("\"phase\": \"serving\"")).then_some(()))
    })
}

/// Waits until the nodes at `addresses` are one cluster, each with its place and all done, and notes when each got there.
pub fn joined(fleet: &Fleet, guests: &mut [Guest], addresses: &[&str], phases: &mut Phases) -> Result<()> {
    guest::all(guests, "cluster of all", BOOT * 3, |_| {
        for address in addresses {
            let name = format!("identity settled: {address}");
            if !phases.has(&name) && fleet.net.answers(address)? {
                phases.note(&name);
            }
        }
        if !phases.has(&format!("identity settled: {}", addresses[0])) {
            return Ok(None);
        }
        let Some(members) = members(fleet, addresses[0])? else { return Ok(None) };
        if !members.is_quorate_in(CLUSTER) {
            return Ok(None);
        }
        phases.note("quorum of the founder");
        let online = |address: &&&str| {
            let at = |(name, node): (&String, &cias_firstboot::cluster::members::Node)| {
                node.ip.is_some_and(|ip| ip.to_string() == **address) && members.is_online(name)
            };
            members.nodes.iter().any(at)
        };
        let there: Vec<_> = addresses.iter().filter(online).collect();
        for address in &there {
            phases.note(&format!("in the cluster: {address}"));
        }
        Ok((there.len() == addresses.len()).then_some(()))
    })?;
    for address in addresses {
        let node = fleet.node(address);
        guest::all(guests, &format!("done at {address}"), BOOT, |_| Ok(node.is_done()?.then_some(())))?;
        phases.note(&format!("all done: {address}"));
    }
    Ok(())
}

/// Waits until a condition holds that the shell of the node at an address looks at. It waits there, so that the moment is not missed by
/// the time that ssh takes.
pub fn holds(fleet: &Fleet, guests: &mut [Guest], address: &str, condition: &str, what: &str) -> Result<()> {
    let look = format!("for i in $(seq 300); do if {condition}; then exit 0; fi; sleep 0.2; done; exit 1");
    guest::all(guests, what, BOOT, |_| Ok(fleet.node(address).try_ask(&look)?.map(drop)))
}

/// What the cluster's file system on the node at an address says of the cluster; nothing, while the node or its file system does not
/// answer.
pub fn members(fleet: &Fleet, address: &str) -> Result<Option<Members>> {
    let text = fleet.node(address).try_ask("test -L /etc/pve/local && cat /etc/pve/.members")?;
    text.map(|text| serde_json::from_str(&text).with_context(|| format!("reading {text:?}"))).transpose()
}

/// The ledger as the node at an address sees it.
pub fn ledger(fleet: &Fleet, address: &str) -> Result<Ledger> {
    let text = fleet.node(address).ask("cat /etc/pve/priv/cias/ledger/[0-9]*")?;
    let mut ledger = Ledger::default();
    ledger.read("the ledger", &text)?;
    Ok(ledger)
}

/// Every node at `addresses` sees all of them in one quorate cluster, and the ledger has each of them once, as a member.
pub fn whole(fleet: &Fleet, addresses: &[&str]) -> Result<()> {
    for address in addresses {
        let found = members(fleet, address)?.with_context(|| format!("{address}: found no cluster"))?;
        let online = found.nodes.keys().filter(|name| found.is_online(name)).count();
        ensure!(
            found.is_quorate_in(CLUSTER) && online == addresses.len() && found.nodes.len() == online,
            "{address}: found {found:?}, wanted {CLUSTER} with {} nodes, quorate, all online",
            addresses.len()
        );
        let ledger = ledger(fleet, address)?;
        let entries: Vec<_> = ledger.entries().collect();
        for wanted in addresses {
            let of =
                |entry: &&&cias_firstboot::hello::ledger::Entry| entry.place.address.to_string() == **wanted;
            let entry = entries
                .iter()
                .find(of)
                .with_context(|| format!("{address}: {wanted} is not in the ledger"))?;
            ensure!(entry.state.name() == "member", "{address}: found {entry:?}, wanted a member");
            fleet.node(wanted).equals("hostname", &entry.place.name)?;
        }
        ensure!(
            entries.len() == addresses.len(),
            "{address}: found {entries:?}, wanted one entry for each node"
        );
        let conf = fleet.node(address).ask("cat /etc/pve/cluster.conf")?;
        let count = conf.matches("<clusternode ").count();
        ensure!(
            count == addresses.len(),
            "{address}: found {count} nodes, wanted {} in:\n{conf}",
            addresses.len()
        );
    }
    Ok(())
}
