//! Judges keys together that are each right on their own: addresses that clash, names that are not unique.

mod addresses;
mod names;
mod relay;

use std::collections::BTreeMap;

use super::findings::{Findings, shown};
use super::{Machine, Site};

/// Notes what clashes. A key with a finding of its own is left alone.
pub(super) fn judge(site: &Site, findings: &Findings) {
    let judge = Judge { site, findings };
    judge.addresses();
    judge.pool();
    judge.storage_network();
    judge.outside();
    judge.no_nodes();
    judge.mounts();
    judge.machines();
    judge.names();
    judge.sizes();
    judge.relay();
}

struct Judge<'s> {
    site: &'s Site,
    findings: &'s Findings,
}

impl Judge<'_> {
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

    /// The system disk has room for a system.
    fn sizes(&self) {
        let size = |name: &str| {
            let sizes = &self.site.install.sizes;
            sizes.iter().find_map(|(other, gib)| (other == name).then_some(*gib))
        };
        let taken = size("swapsize").unwrap_or(0) + size("minfree").unwrap_or(0);
        if let Some(whole) = size("hdsize").filter(|whole| *whole <= taken) {
            let wanted = format!("more than swapsize and minfree take together, which is {taken}");
            self.findings.note("install.hdsize", whole.to_string(), wanted);
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
