//! Judges names: each is legal and has one owner.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::super::Place;
use super::super::values::label;
use super::Judge;

/// The longest name that a certificate takes (docs/facts.md 12); the web console has one with the node's name.
const FQDN_LIMIT: usize = 64;

/// Stands for the address where only a name is asked for.
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

impl Judge<'_> {
    /// Every name that can come up is legal, and no two servers share one.
    pub(super) fn names(&self) {
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
        self.storage(&names, &pool);
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

    /// A storage server has a name of its own, beside those of the nodes, that can be a storage's id (docs/facts.md 19).
    fn storage(&self, nodes: &BTreeMap<String, String>, pool: &BTreeMap<String, (u8, u8)>) {
        if self.site.nas.is_empty() {
            return;
        }
        let mut taken = nodes.clone();
        for (name, owner) in [
            ("localhost", "every server"),
            ("local", "a storage of Proxmox VE"),
            ("mfs-backup", "a storage of this program"),
        ] {
            taken.insert(name.to_owned(), owner.to_owned());
        }
        for name in pool.keys() {
            taken.entry(name.clone()).or_insert_with(|| "nodes.name_pattern".to_owned());
        }
        for (at, nas) in self.site.nas.iter().enumerate() {
            let path = format!("nas[{at}].name");
            if self.findings.is_bad(&path) || self.findings.is_bad(&format!("nas[{at}].position")) {
                continue;
            }
            if let Some(other) = taken.get(&nas.name) {
                let found = format!("{:?}, which {} has too", nas.name, self.owner(other));
                self.findings.note(&path, found, "a name of its own");
            } else if nas.name.len() < 2 || !nas.name.starts_with(|c: char| c.is_ascii_lowercase()) {
                let wanted = "a letter, and at least one more character behind it: Proxmox VE takes no other id of a storage";
                self.findings.note(&path, format!("{:?}", nas.name), wanted);
            }
            taken.insert(nas.name.clone(), path);
        }
    }
}
