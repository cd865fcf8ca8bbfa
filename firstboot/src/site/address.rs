//! Addresses and names: which a node gets, and whether the site's fit together (docs/facts.md 12).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::reader::Findings;
use super::values::label;
use super::{Machine, Site};
use crate::outcome::Class;

/// What identifies a server before it has a name: its NICs' permanent MAC addresses and its serial number.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Who {
    /// In lower case.
    pub macs: Vec<String>,
    /// As the firmware reports it.
    pub serial: Option<String>,
}

/// Who a node is: address and names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// In the LAN.
    pub address: Ipv4Addr,
    /// Host name, without the domain.
    pub name: String,
    /// Host name with the domain.
    pub fqdn: String,
}

impl Site {
    /// The entry of `[[nodes.machine]]` that matches, if any. Two matches are bad input.
    pub fn machine(&self, who: &Who) -> Result<Option<&Machine>> {
        let matches = |machine: &&Machine| {
            machine.mac.as_ref().is_some_and(|mac| who.macs.contains(mac))
                || machine.serial.is_some() && machine.serial == who.serial
        };
        let mut found = self.nodes.machine.iter().filter(matches);
        let first = found.next();
        if let (Some(a), Some(b)) = (first, found.next()) {
            let name = |machine: &Machine| {
                machine.mac.clone().or_else(|| machine.serial.clone()).unwrap_or_default()
            };
            return Err(Class::BadInput.error(format!(
                "site.toml: nodes.machine: found two entries for this server ({} and {}), wanted one: remove the other",
                name(a),
                name(b)
            )));
        }
        Ok(first)
    }

    /// Is this server the one that `role.founder` pins?
    pub fn is_founder(&self, who: &Who) -> bool {
        self.role.founder_mac.as_ref().is_some_and(|mac| who.macs.contains(mac))
            || self.role.founder_serial.is_some() && self.role.founder_serial == who.serial
    }

    /// Address and names of the founder, which keeps them for good.
    pub fn founder_place(&self, machine: Option<&Machine>) -> Place {
        let octets = self.network.founder.octets();
        let position = machine.and_then(|machine| machine.position).unwrap_or((octets[2], octets[3]));
        self.place(
            machine,
            position,
            machine.and_then(|machine| machine.address).unwrap_or(self.network.founder),
        )
    }

    /// The address that belongs to a row and position.
    pub fn address_of(&self, (row, pos): (u8, u8)) -> Ipv4Addr {
        let [a, b, _, _] = self.network.founder.octets();
        Ipv4Addr::new(a, b, row, pos)
    }

    /// Is `address` one that the pool hands out?
    pub fn in_pool(&self, address: Ipv4Addr) -> bool {
        let [_, _, row, pos] = address.octets();
        let inside = |range: (u8, u8), number: u8| (range.0..=range.1).contains(&number);
        address == self.address_of((row, pos))
            && inside(self.nodes.rows, row)
            && inside(self.nodes.positions, pos)
    }

    fn place(&self, machine: Option<&Machine>, (row, pos): (u8, u8), address: Ipv4Addr) -> Place {
        let rack = machine.and_then(|machine| machine.rack.as_deref()).unwrap_or(&self.site.rack);
        let name = self.nodes.name_pattern.replace("{rack}", rack);
        let name = name.replace("{row}", &row.to_string()).replace("{pos}", &pos.to_string());
        Place { address, fqdn: format!("{name}.{}", self.site.domain), name }
    }
}

/// Notes what clashes between keys that are each right on their own.
pub(super) fn judge(site: &Site, text: &str, findings: &Findings) {
    let note =
        |key: &str, found: String, wanted: &str| findings.note(place_of(text, key), key, found, wanted);
    let net = &site.network;
    let lan = format!("an address inside network.lan, {}/{}", net.lan.base, net.lan.prefix);
    let mut taken: BTreeMap<Ipv4Addr, String> = BTreeMap::new();
    let mut claim = |key: &str, address: Ipv4Addr| {
        if !net.lan.holds(address) {
            note(key, address.to_string(), &lan);
        }
        if let Some(other) = taken.insert(address, key.to_owned()) {
            note(key, format!("{address}, which {other} has too"), "an address of its own");
        }
    };
    claim("network.gateway", net.gateway);
    claim("network.vip", net.vip);
    claim("network.founder", net.founder);
    site.nas.iter().for_each(|nas| claim("nas.address", nas.address));
    let founder_entry = |machine: &&Machine| machine.address != Some(net.founder);
    for machine in site.nodes.machine.iter().filter(founder_entry) {
        if let Some(address) = machine.address.or(machine.position.map(|position| site.address_of(position)))
        {
            claim("nodes.machine.address", address);
        }
    }
    for (key, address) in
        [("network.vip", net.vip), ("network.gateway", net.gateway), ("network.founder", net.founder)]
    {
        if site.in_pool(address) {
            note(
                key,
                format!("{address}, inside the node pool"),
                "an address outside nodes.rows and nodes.positions",
            );
        }
    }
    if net.wan_address.is_some() != net.wan_gateway.is_some() {
        note("network.wan_address", "one of wan_address and wan_gateway".into(), "both or none");
    }
    judge_machines(site, &note);
    judge_names(site, &note);
}

fn judge_machines(site: &Site, note: &dyn Fn(&str, String, &str)) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let names =
        site.nodes.machine.iter().flat_map(|machine| [machine.mac.as_deref(), machine.serial.as_deref()]);
    for name in names.flatten() {
        if !seen.insert(name) {
            note("nodes.machine", format!("two entries for {name}"), "one entry for each server");
        }
    }
}

fn judge_names(site: &Site, note: &dyn Fn(&str, String, &str)) {
    let mut names: BTreeMap<String, (u8, u8)> = BTreeMap::new();
    let racks: Vec<Option<&Machine>> = std::iter::once(None)
        .chain(site.nodes.machine.iter().filter(|m| m.rack.is_some()).map(Some))
        .collect();
    // The longest names of the pool are those with the largest numbers, and every rack must give legal ones.
    let largest = (site.nodes.rows.1, site.nodes.positions.1);
    for machine in racks {
        let name = site.place(machine, largest, Ipv4Addr::UNSPECIFIED).name;
        if let Err(wanted) = label(&name) {
            note("nodes.name_pattern", format!("the name {name:?}, which it gives"), &wanted);
        }
    }
    for row in site.nodes.rows.0..=site.nodes.rows.1 {
        for pos in site.nodes.positions.0..=site.nodes.positions.1 {
            let name = site.place(None, (row, pos), Ipv4Addr::UNSPECIFIED).name;
            if let Some(other) = names.insert(name.clone(), (row, pos)) {
                let found = format!("{name:?} for {}-{} and {row}-{pos}", other.0, other.1);
                note(
                    "nodes.name_pattern",
                    found,
                    "a hyphen between {row} and {pos}, so that names are unique",
                );
                return;
            }
        }
    }
}

/// Where `section.key` stands in the text; the section's header, or the start, if it is a default.
fn place_of(text: &str, key: &str) -> usize {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let header = [format!("[{section}]"), format!("[[{section}]]")];
    let mut inside = false;
    let mut offset = 0;
    let mut fallback = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            inside = header.iter().any(|wanted| trimmed.starts_with(wanted));
            if inside {
                fallback = offset;
            }
        } else if inside && trimmed.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
        {
            return offset
                + line
                    .find('=')
                    .map_or(0, |at| at + 1 + line[at + 1..].len() - line[at + 1..].trim_start().len());
        }
        offset += line.len();
    }
    fallback
}
