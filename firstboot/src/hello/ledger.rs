//! Who has which address and name. An address that was given once is never given to another machine.
//!
//! The Master keeps it on the cluster's file system, so it outlives every Master. That takes files of at most 128 KiB
//! (docs/facts.md), so each row of addresses has a file of its own, with one JSON object in a line.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::MachineId;
use crate::outcome::Class;
use crate::site::{Place, Site, Who};

/// What became of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Given; the node has not joined yet.
    Offered,
    /// Its node joined the cluster.
    Member,
    /// Its node was removed. It is nobody's any more.
    Retired,
}

/// How the ledger has a place that a machine says to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held<'a> {
    /// As the machine says.
    Stands(&'a Place),
    /// Taken from its node for good.
    Retired,
    /// As another machine's. It may be the same server with another network port, so nothing follows from it.
    Other(MachineId),
    /// It was never given.
    Unknown,
}

/// A place and its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The machine.
    pub machine: MachineId,
    /// What became of it.
    pub state: State,
    /// Address and names.
    #[serde(flatten)]
    pub place: Place,
    /// The machine's serial number, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// Where places come from; the site's are in its file.
pub trait Places {
    /// The place that the site fixes for this machine, if it does.
    fn fixed(&self, who: &Who) -> Result<Option<Place>>;
    /// All rows and positions, in the order in which they are given.
    fn positions(&self) -> Vec<(u8, u8)>;
    /// What belongs to a row and position, for this machine.
    fn place(&self, who: &Who, position: (u8, u8)) -> Result<Place>;
    /// Is the address somebody else's: the founder's, the role's, another machine's by the site file?
    fn is_taken(&self, address: Ipv4Addr) -> bool;
    /// Does the site file give this position or this name to a machine, at whatever address? Nowhere else are there any.
    fn is_reserved(&self, _position: (u8, u8), _name: &str) -> bool {
        false
    }
}

/// The last position of a row that has a block of ports at the gateway (docs/facts.md 12).
const LAST_WITH_PORTS: u8 = 99;

impl Places for Site {
    fn fixed(&self, who: &Who) -> Result<Option<Place>> {
        Ok(self.machine(who)?.and_then(|machine| self.entry_place(machine)))
    }

    /// Those with a block of ports come first.
    fn positions(&self) -> Vec<(u8, u8)> {
        let ((first, last), (from, to)) = (self.nodes.rows, self.nodes.positions);
        let part =
            |from: u8, to: u8| (first..=last).flat_map(move |row| (from..=to).map(move |pos| (row, pos)));
        part(from, to.min(LAST_WITH_PORTS)).chain(part(from.max(LAST_WITH_PORTS + 1), to)).collect()
    }

    fn place(&self, who: &Who, position: (u8, u8)) -> Result<Place> {
        Ok(self.pool_place(self.machine(who)?, position))
    }

    fn is_taken(&self, address: Ipv4Addr) -> bool {
        let fixed = |machine| self.entry_place(machine).is_some_and(|place| place.address == address);
        let net = &self.network;
        let own = [Some(net.founder), Some(net.vip), Some(net.gateway), net.witness];
        own.contains(&Some(address))
            || net.dns.contains(&address)
            || self.nas.iter().any(|nas| nas.address == address)
            || self.nodes.machine.iter().any(fixed)
    }

    fn is_reserved(&self, position: (u8, u8), name: &str) -> bool {
        let named = |machine| self.entry_place(machine).is_some_and(|place| place.name == name);
        let mut machines = self.nodes.machine.iter();
        machines.any(|machine| machine.position == Some(position) || named(machine))
    }
}

/// All places that were ever given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: BTreeMap<Ipv4Addr, Entry>,
}

impl Ledger {
    /// All entries, in the order of their addresses.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The place of this machine: the one that it has, or a new one, and whether it is new. The caller writes the ledger down
    /// before anybody hears of the place. Refused where there is none; the sentence is for the node's screen.
    pub fn grant(&mut self, machine: MachineId, who: &Who, places: &impl Places) -> Result<(Place, bool)> {
        if let Some(entry) = self.of(machine) {
            return Ok((entry.place.clone(), false));
        }
        let place = match places.fixed(who)? {
            Some(place) => match self.entries.get(&place.address) {
                None => self.unless_named(&place).map(|()| place)?,
                Some(entry) => {
                    return Err(Class::Refused.error(format!(
                        "site.toml fixes {} for this server, and the ledger has it as {} of machine {}: give it another address there, \
                         or a position of its own",
                        place.address,
                        entry.state.name(),
                        entry.machine
                    )));
                }
            },
            None => self.free(who, places)?,
        };
        let entry =
            Entry { machine, state: State::Offered, place: place.clone(), serial: who.serial.clone() };
        self.entries.insert(place.address, entry);
        Ok((place, true))
    }

    fn free(&self, who: &Who, places: &impl Places) -> Result<Place> {
        let positions = places.positions();
        let count = positions.len();
        for position in positions {
            let place = places.place(who, position)?;
            let is_given = self.entries.contains_key(&place.address) || self.namesake(&place).is_some();
            if !is_given && !places.is_taken(place.address) && !places.is_reserved(position, &place.name) {
                return Ok(place);
            }
        }
        let retired = self.entries().filter(|entry| entry.state == State::Retired).count();
        Err(Class::Refused.error(format!(
            "all {count} addresses of nodes.rows and nodes.positions are given, {retired} of them to nodes that were removed, and none is \
             given twice: widen nodes.positions in site.toml (up to 1..254) and run `cias site apply` on the Master"
        )))
    }

    /// What is to be said to the machine that says to have the place at `address`.
    pub fn held(&self, machine: MachineId, address: Ipv4Addr) -> Held<'_> {
        match self.entries.get(&address) {
            Some(entry) if entry.state == State::Retired => Held::Retired,
            Some(entry) if entry.machine == machine => Held::Stands(&entry.place),
            Some(entry) => Held::Other(entry.machine),
            None => Held::Unknown,
        }
    }

    /// The place that this machine has now.
    pub fn of(&self, machine: MachineId) -> Option<&Entry> {
        self.entries().find(|entry| entry.machine == machine && entry.state != State::Retired)
    }

    /// The entry at another address that has this name, whatever became of it. Only a ledger that was written by hand has one: the cluster
    /// knows its nodes by their names.
    pub fn namesake(&self, place: &Place) -> Option<&Entry> {
        self.entries().find(|entry| entry.place.name == place.name && entry.place.address != place.address)
    }

    fn unless_named(&self, place: &Place) -> Result<()> {
        let Some(other) = self.namesake(place) else { return Ok(()) };
        Err(Class::Refused.error(format!(
            "site.toml gives {} the name {}, and the ledger has that name as {} of machine {} with {}: no name is given twice, so give this \
             server a position of its own there, without an address beside it",
            place.address,
            place.name,
            other.state.name(),
            other.machine,
            other.place.address
        )))
    }

    /// Enters the founder, which takes no offer. Refused if its name is another's.
    pub fn enter(&mut self, entry: Entry) -> Result<()> {
        self.unless_named(&entry.place)?;
        self.entries.insert(entry.place.address, entry);
        Ok(())
    }

    /// The node with this address has joined, or was removed; false if nobody has the address.
    pub fn set(&mut self, address: Ipv4Addr, state: State) -> bool {
        self.entries.get_mut(&address).map(|entry| entry.state = state).is_some()
    }

    /// Was the place at this address taken from its node for good?
    pub fn is_retired(&self, address: Ipv4Addr) -> bool {
        self.entries.get(&address).is_some_and(|entry| entry.state == State::Retired)
    }

    /// The text of the file of each row, by the row.
    pub fn files(&self) -> Result<BTreeMap<u8, String>> {
        let mut files: BTreeMap<u8, String> = BTreeMap::new();
        for entry in self.entries() {
            let line = serde_json::to_string(entry).context("writing an entry of the ledger")?;
            let file = files.entry(row_of(entry.place.address)).or_default();
            file.push_str(&line);
            file.push('\n');
        }
        Ok(files)
    }

    /// Takes in the file of a row. A ledger with a line that can't be read gives no places: the address on it may be given.
    pub fn read(&mut self, file: &str, text: &str) -> Result<()> {
        for (number, line) in (1..).zip(text.lines()) {
            let entry: Entry = serde_json::from_str(line).map_err(|error| {
                Class::BadInput.error(format!(
                    "{file}:{number}: found no entry of the ledger ({error}): no place is given until this line is mended or restored"
                ))
            })?;
            if let Some(other) = self.entries.get(&entry.place.address).filter(|other| **other != entry) {
                return Err(Class::BadInput.error(format!(
                    "{file}:{number}: {} is machine {}'s and machine {}'s: no place is given until one of the two lines is removed",
                    entry.place.address, other.machine, entry.machine
                )));
            }
            // A name that stands twice must not stop the Master; nobody joins under it.
            self.entries.insert(entry.place.address, entry);
        }
        Ok(())
    }
}

impl State {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Member => "member",
            Self::Retired => "retired",
        }
    }
}

fn row_of(address: Ipv4Addr) -> u8 {
    address.octets()[2]
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
