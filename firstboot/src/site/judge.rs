//! Judges keys together that are each right on their own: addresses that clash, names that are not unique.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::findings::{Findings, shown};
use super::values::label;
use super::{Machine, Place, Site};

/// The longest name that a certificate takes (docs/facts.md 12); the web console has one with the node's name.
const FQDN_LIMIT: usize = 64;

/// Stands for the address where only a name is asked for.
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// Notes what clashes. A key with a finding of its own is left alone.
pub(super) fn judge(site: &Site, findings: &Findings) {
    let judge = Judge { site, findings };
    judge.addresses();
    judge.pool();
    judge.outside();
    judge.machines();
    judge.names();
}

struct Judge<'s> {
    site: &'s Site,
    findings: &'s Findings,
}

impl Judge<'_> {
    /// Every address has one owner, and those of the LAN lie in it.
    fn addresses(&self) {
        let (site, net) = (self.site, &self.site.network);
        let mut claims =
            vec![("network.gateway".to_owned(), net.gateway), ("network.vip".to_owned(), net.vip)];
        if !self.machines_with_path().any(|(_, machine)| self.founds(machine) && machine.address.is_some()) {
            claims.push(("network.founder".to_owned(), net.founder));
        }
        for (path, machine) in self.machines_with_path() {
            let key = if machine.address.is_some() { "address" } else { "position" };
            let own = machine.address.or_else(|| machine.position.map(|position| site.address_of(position)));
            // A founder that has only a position keeps the founder's address.
            let own = if self.founds(machine) { machine.address } else { own };
            claims.extend(own.map(|address| (format!("{path}.{key}"), address)));
        }
        claims
            .extend(site.nas.iter().enumerate().map(|(at, nas)| (format!("nas[{at}].address"), nas.address)));

        let mut taken: BTreeMap<Ipv4Addr, String> = BTreeMap::new();
        for (path, address) in claims.into_iter().filter(|(path, _)| !self.findings.is_bad(path)) {
            if !net.lan.holds(address) && !self.findings.is_bad("network.lan") {
                let wanted = format!("an address inside network.lan, {}/{}", net.lan.base, net.lan.prefix);
                self.findings.note(&path, address.to_string(), wanted);
            } else if let Some(other) = taken.get(&address) {
                let found = format!("{address}, which {} has too", self.owner(other));
                self.findings.note(&path, found, "an address of its own");
            } else {
                taken.insert(address, path);
            }
        }
    }

    /// What is not a node's lies outside the pool.
    fn pool(&self) {
        let net = &self.site.network;
        if ["nodes.rows", "nodes.positions", "network.founder"].iter().any(|key| self.findings.is_bad(key)) {
            return;
        }
        let mut others = vec![
            ("network.vip".to_owned(), net.vip),
            ("network.gateway".to_owned(), net.gateway),
            ("network.founder".to_owned(), net.founder),
        ];
        others.extend(net.witness.map(|address| ("network.witness".to_owned(), address)));
        let nas = self.site.nas.iter().enumerate();
        others.extend(nas.map(|(at, nas)| (format!("nas[{at}].address"), nas.address)));
        for (path, address) in others {
            if self.site.in_pool(address) && !self.findings.is_bad(&path) {
                let found = format!("{address}, inside the node pool");
                self.findings.note(&path, found, "an address outside nodes.rows and nodes.positions");
            }
        }
    }

    /// The upstream network: whole, and another one than the LAN.
    fn outside(&self) {
        let net = &self.site.network;
        let (address, gateway) = ("network.wan_address", "network.wan_gateway");
        if self.findings.is_bad(address) || self.findings.is_bad(gateway) {
            return;
        }
        match (net.wan_address, net.wan_gateway) {
            (None, None) => {}
            (Some(_), None) => self.findings.note(address, "it without wan_gateway", "both or none"),
            (None, Some(_)) => self.findings.note(gateway, "it without wan_address", "both or none"),
            (Some(wan), Some(router)) => {
                if wan.network.overlaps(&net.lan) && !self.findings.is_bad("network.lan") {
                    let found = format!("{}, a part of network.lan", wan.address);
                    self.findings.note(address, found, "an address of the upstream network");
                }
                if !wan.network.holds(router) || router == wan.address {
                    let wanted =
                        format!("another address inside {}/{}", wan.network.base, wan.network.prefix);
                    self.findings.note(gateway, router.to_string(), wanted);
                }
            }
        }
        let own = [Some(net.vip), Some(net.founder), net.wan_address.map(|wan| wan.address)];
        if net.witness.is_some() && own.contains(&net.witness) && !self.findings.is_bad("network.witness") {
            let found = net.witness.map(|address| address.to_string()).unwrap_or_default();
            self.findings.note("network.witness", found, "an address of a machine that is no node");
        }
    }

    /// One entry for each server.
    fn machines(&self) {
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        for (path, machine) in self.machines_with_path() {
            for (key, value) in [("mac", machine.mac.as_deref()), ("serial", machine.serial.as_deref())] {
                let Some(value) = value else { continue };
                if seen.insert(value, path.clone()).is_some_and(|other| other != path) {
                    let found = format!("a second entry for {value}");
                    self.findings.note(&format!("{path}.{key}"), found, "one entry for each server");
                }
            }
            if let Some(address) = machine.address.filter(|_| self.site.entry_place(machine).is_none()) {
                let wanted = format!("an address beside {}, or position too", self.site.network.founder);
                self.findings.note(&format!("{path}.address"), address.to_string(), wanted);
            }
        }
    }

    /// Every name that can come up is legal, and no two servers share one.
    fn names(&self) {
        let bad = ["site.domain", "site.rack", "nodes.name_pattern", "nodes.rows", "nodes.positions"];
        if bad.iter().any(|key| self.findings.is_bad(key)) {
            return;
        }
        let nodes = &self.site.nodes;
        // The longest names are those with the largest numbers, as 254 has no more digits than any number.
        self.name(
            "nodes.name_pattern",
            "site.domain",
            &self.site.place(None, (nodes.rows.1, nodes.positions.1), ANY),
        );
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        if !self.machines_with_path().any(|(_, machine)| self.founds(machine)) {
            names.insert(self.site.founder_place(None).name, "network.founder".to_owned());
        }
        for (path, machine) in self.machines_with_path() {
            let fixed = if self.founds(machine) {
                Some(self.site.founder_place(Some(machine)))
            } else {
                self.site.entry_place(machine)
            };
            let largest = || self.site.place(Some(machine), (nodes.rows.1, nodes.positions.1), ANY);
            let key = if machine.rack.is_some() { "rack" } else { "position" };
            let path = format!("{path}.{key}");
            self.name(&path, &path, fixed.as_ref().unwrap_or(&largest()));
            let Some(name) = fixed.map(|place| place.name) else { continue };
            if let Some(other) = names.insert(name.clone(), path.clone()) {
                let found = format!("{name:?}, which {} gives too", self.owner(&other));
                self.findings.note(&path, found, "a name of its own");
            }
        }
        let mut pool: BTreeMap<String, (u8, u8)> = BTreeMap::new();
        let positions = nodes.positions.0..=nodes.positions.1;
        let all = (nodes.rows.0..=nodes.rows.1).flat_map(|row| positions.clone().map(move |pos| (row, pos)));
        for (row, pos) in all {
            let name = self.site.place(None, (row, pos), ANY).name;
            if let Some(other) = pool.insert(name.clone(), (row, pos)) {
                let found = format!("{name:?} for {}-{} and {row}-{pos}", other.0, other.1);
                let wanted = "a hyphen between {row} and {pos}, so that names are unique";
                return self.findings.note("nodes.name_pattern", found, wanted);
            }
        }
    }

    /// Judges one name; `path` made it, and `long` is to blame if it is too long with the domain.
    fn name(&self, path: &str, long: &str, place: &Place) {
        if self.findings.is_bad(path) || self.findings.is_bad(long) {
            return;
        }
        if let Err(wanted) = label(&place.name) {
            self.findings.note(path, format!("the name {:?}, which it gives", place.name), wanted);
        } else if place.fqdn.len() > FQDN_LIMIT {
            let found = format!("{} characters in {:?}", place.fqdn.len(), place.fqdn);
            let wanted = format!("at most {FQDN_LIMIT} with the domain (a certificate takes no more)");
            self.findings.note(long, found, wanted);
        }
    }

    /// Another key, for a sentence: with its line, where several tables have it.
    fn owner(&self, path: &str) -> String {
        let line = path.contains('[').then(|| format!(" in line {}", self.findings.line_of(path)));
        shown(path) + &line.unwrap_or_default()
    }

    fn machines_with_path(&self) -> impl Iterator<Item = (String, &Machine)> {
        let paths = self.site.nodes.machine.iter().enumerate();
        paths.map(|(at, machine)| (format!("nodes.machine[{at}]"), machine))
    }

    /// Is this entry the founder's? One that matches in another way than `role.founder` pins can't be told here;
    /// it is the founder's when it has the founder's address.
    fn founds(&self, machine: &Machine) -> bool {
        let role = &self.site.role;
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        let comparable = role.founder_mac.is_some() && machine.mac.is_some()
            || role.founder_serial.is_some() && machine.serial.is_some();
        let pinned = role.founder_mac.is_some() || role.founder_serial.is_some();
        same(&role.founder_mac, &machine.mac)
            || same(&role.founder_serial, &machine.serial)
            || pinned && !comparable && machine.address == Some(self.site.network.founder)
    }
}
