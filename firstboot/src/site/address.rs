//! Addresses and names: which a node gets, and whether the site's fit together (docs/facts.md 12).

use std::net::Ipv4Addr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Machine, Site};
use crate::outcome::Class;

/// What firmware writes where nobody filled in a serial number. Many machines share these, so they identify none.
const PLACEHOLDERS: [&str; 8] = [
    "",
    "0",
    "none",
    "default string",
    "not specified",
    "not applicable",
    "system serial number",
    "to be filled by o.e.m.",
];

/// Is this what firmware writes where nobody filled in a value?
pub fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS.contains(&text.trim().to_lowercase().as_str())
}

/// What identifies a server before it has a name: its NICs' permanent MAC addresses and its serial number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Address and names that an entry of `[[nodes.machine]]` fixes; nothing, if it leaves them to the pool.
    pub fn entry_place(&self, machine: &Machine) -> Option<Place> {
        let [_, _, row, pos] = machine.address.map(|address| address.octets()).unwrap_or_default();
        let beside = machine.address.filter(|address| *address == self.address_of((row, pos)));
        let position = machine.position.or(beside.map(|_| (row, pos)))?;
        Some(self.place(Some(machine), position, machine.address.unwrap_or(self.address_of(position))))
    }

    /// Address and names that the pool has for a row and position, on the server of this entry.
    pub fn pool_place(&self, machine: Option<&Machine>, position: (u8, u8)) -> Place {
        self.place(machine, position, self.address_of(position))
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

    /// Names of the node at a position, with an address that is given.
    pub(super) fn place(&self, machine: Option<&Machine>, (row, pos): (u8, u8), address: Ipv4Addr) -> Place {
        let rack = machine.and_then(|machine| machine.rack.as_deref()).unwrap_or(&self.site.rack);
        let name = self.nodes.name_pattern.replace("{rack}", rack);
        let name = name.replace("{row}", &row.to_string()).replace("{pos}", &pos.to_string());
        Place { address, fqdn: format!("{name}.{}", self.site.domain), name }
    }
}
