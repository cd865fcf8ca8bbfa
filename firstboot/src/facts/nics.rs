//! Physical Ethernet ports, from sysfs as kernel 2.6.32 shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::runner::{Call, Runner};
use crate::system::Sysroot;

/// ARP hardware type of Ethernet, in `/sys/class/net/*/type`.
const ETHERNET: &str = "1";

/// A physical Ethernet port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// The kernel's name, as `eth0`.
    pub name: String,
    /// The address burnt into the card, in lower case, also while a bond has given it another.
    pub mac: String,
    /// The kernel module that drives it.
    pub driver: Option<String>,
    /// Is there a link? Unknown while the port is down.
    pub carrier: Option<bool>,
    /// In Mbit/s; unknown without a link.
    pub speed: Option<u32>,
}

/// All ports with hardware behind them, sorted by name; no bridges, bonds or wireless cards.
pub(super) fn read(root: &Sysroot, runner: &dyn Runner) -> Vec<Nic> {
    let bonded = permanent_addresses(root);
    let mut nics: Vec<Nic> = root
        .names("/sys/class/net")
        .into_iter()
        .filter_map(|name| {
            let at = |attribute: &str| format!("/sys/class/net/{name}/{attribute}");
            let physical = root.has(&at("device"))
                && root.attribute(&at("type")).as_deref() == Some(ETHERNET)
                && !root.has(&at("wireless"))
                && !root.has(&at("phy80211"));
            let mac = physical.then(|| {
                bonded
                    .get(&name)
                    .cloned()
                    .or_else(|| burnt_in(runner, &name))
                    .or_else(|| root.attribute(&at("address")))
            })??;
            Some(Nic {
                mac: mac.to_ascii_lowercase(),
                driver: root.link_name(&at("device/driver")),
                carrier: root.attribute(&at("carrier")).map(|text| text == "1"),
                // Without a link drivers say -1, 65535 or 4294967295.
                speed: root
                    .attribute(&at("speed"))
                    .and_then(|text| text.parse().ok())
                    .filter(|mbit| (1..=1_000_000).contains(mbit) && *mbit != 65535),
                name,
            })
        })
        .collect();
    nics.sort_by_key(|nic| order(&nic.name));
    nics
}

/// `eth10` comes after `eth9`.
fn order(name: &str) -> (String, u32) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

/// The burnt-in address of each port that is in a bond: there sysfs shows the bond's.
fn permanent_addresses(root: &Sysroot) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for bond in root.names("/proc/net/bonding") {
        let text = root.attribute(&format!("/proc/net/bonding/{bond}")).unwrap_or_default();
        let mut port = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("Slave Interface: ") {
                port = Some(name.trim().to_owned());
            }
            let mac = line.strip_prefix("Permanent HW addr: ");
            if let (Some(mac), Some(name)) = (mac, &port) {
                found.insert(name.clone(), mac.trim().to_owned());
            }
        }
    }
    found
}

/// What the driver says. Some drivers of 2.6.32 know nothing and answer with zeros; ethtool may not be installed.
fn burnt_in(runner: &dyn Runner, name: &str) -> Option<String> {
    let output = runner.run(&Call::new("ethtool").args(["-P", name])).ok()?;
    let mac = output.stdout.trim().strip_prefix("Permanent address: ")?.to_owned();
    (mac.len() == 17 && mac != "00:00:00:00:00:00").then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::fake::Fake;
    use crate::tree::Tree;

    #[test]
    fn only_physical_ethernet_ports_are_found_and_in_their_natural_order() {
        let tree = Tree::of("server-two-bnx2");
        let fake = Fake::default().prints("ethtool -P eth0", "Permanent address: E4:11:5B:AA:00:01\n").fails(
            "ethtool",
            71,
            "Cannot read permanent address: Operation not supported",
        );
        let nics = read(&tree.root(), &fake);
        let brief: Vec<_> =
            nics.iter().map(|nic| (nic.name.as_str(), nic.mac.as_str(), nic.carrier, nic.speed)).collect();
        assert_eq!(
            brief,
            [
                ("eth0", "e4:11:5b:aa:00:01", Some(true), Some(1000)),
                ("eth2", "e4:11:5b:aa:00:02", None, None),
                ("eth10", "00:1b:21:00:00:03", Some(false), None),
            ]
        );
        assert_eq!(nics[0].driver.as_deref(), Some("bnx2"));
    }

    #[test]
    fn a_port_in_a_bond_keeps_its_own_address() {
        let tree = Tree::of("node-bonded-virtio");
        let nics = read(&tree.root(), &Fake::default());
        let brief: Vec<_> = nics.iter().map(|nic| (nic.name.as_str(), nic.mac.as_str())).collect();
        assert_eq!(brief, [("eth0", "52:54:00:00:00:01"), ("eth1", "52:54:00:00:00:02")]);
    }
}
