//! Two sites on one wire, and a wire that passes no multicast.

use anyhow::{Context, Result, ensure};
use toml_edit::{DocumentMut, value};

use super::Lab;
use super::fleet::{Fleet, Mould, unpin};
use super::formed::{self, CLUSTER, NODES};
use super::road::BOOT;
use crate::guest::{self, Guest};
use crate::site;

/// Founder, first node and cluster of each site.
const SITES: [(&str, &str, &str); 2] = [(NODES[0], NODES[1], CLUSTER), ("10.253.0.1", "10.253.1.1", "OTHER")];

/// Two sites with keys and pools of their own form two clusters; with the same pools the second founder stops with a sentence.
pub fn two_sites(lab: &Lab) -> Result<()> {
    apart(lab)?;
    equal(lab)
}

/// Two sites that share nothing but the wire.
fn apart(lab: &Lab) -> Result<()> {
    let apart = |site: &mut DocumentMut| {
        let (founder, _, cluster) = SITES[1];
        site["site"]["cluster_name"] = value(cluster);
        site["site"]["rack"] = value("rack-b");
        site["network"]["founder"] = value(founder);
        site["network"]["vip"] = value("10.253.0.254");
        site["network"]["vrid"] = value(52);
    };
    let mut fleet = Fleet::new(lab, "two-sites", &Mould::unpinned(lab)?, 2)?;
    let other = other_site(lab, "other-site", apart)?;
    fleet.add(&other)?;
    fleet.add(&other)?;
    let mut guests = fleet.start(0..4)?;
    for (founder, node, name) in SITES {
        guest::all(&mut guests, &format!("cluster {name} of two"), BOOT * 3, |_| {
            let members = formed::members(&fleet, founder)?.unwrap_or_default();
            let online = members.nodes.keys().filter(|node| members.is_online(node)).count();
            Ok((members.is_quorate_in(name) && online == 2).then_some(()))
        })?;
        let members = formed::members(&fleet, founder)?.context("asking a founder")?;
        let mut found: Vec<String> =
            members.nodes.values().filter_map(|node| Some(node.ip?.to_string())).collect();
        found.sort();
        ensure!(found == [founder, node], "{name}: found the nodes {found:?}, wanted {founder} and {node}");
        let there = fleet.node(node);
        guest::all(&mut guests, &format!("done at {node}"), BOOT, |_| Ok(there.is_done()?.then_some(())))?;
    }
    Ok(())
}

/// Two sites that use the same addresses.
fn equal(lab: &Lab) -> Result<()> {
    let mut fleet = formed::founder(lab, "two-sites-equal")?;
    fleet.add(&other_site(lab, "equal-site", |_| ())?)?;
    let mut guests = fleet.start(0..2)?;
    guests[1].wait_for("answers for it: another site on this wire may use the same addresses", BOOT)?;
    // The first one's address did not move.
    fleet.node(NODES[0]).equals("cat /sys/class/dmi/id/product_serial", "LAB-A")
}

/// The lab's site with keys of its own and what `change` does to it.
fn other_site(lab: &Lab, name: &str, change: impl FnOnce(&mut DocumentMut)) -> Result<Mould> {
    let made = site::make(&lab.programs, &lab.folder.join(format!("{name}-keys")), |_| ())?;
    let text = std::fs::read_to_string(&made.file).context("reading the other site")?;
    let other: DocumentMut = text.parse().context("parsing the other site")?;
    Mould::changed(lab, name, |document| {
        unpin(document);
        document["site"]["secrets"] = other["site"]["secrets"].clone();
        change(document);
    })
}

/// Switches that drop multicast are found before anything is begun, and the sentence says what to do.
pub fn multicast_dropped(lab: &Lab) -> Result<()> {
    let mut fleet = formed::founder(lab, "multicast-dropped")?;
    fleet.add(&Mould::unpinned(lab)?)?;
    let mut guests = fleet.start(0..2)?;
    fleet.net.multicast(guests.iter().flat_map(Guest::ports), false)?;
    guests[1].wait_for("IGMP querier", BOOT)?;
    let conf = fleet.node(NODES[0]).ask("cat /etc/pve/cluster.conf")?;
    ensure!(conf.matches("<clusternode ").count() == 1, "found a second node in:\n{conf}");
    fleet.net.multicast(guests.iter().flat_map(Guest::ports), true)?;
    formed::joined(&fleet, &mut guests, &NODES[..2], &mut crate::phases::Phases::begin())
}
