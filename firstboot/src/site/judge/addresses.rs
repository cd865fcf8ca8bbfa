//! Judges addresses together: who claims which, and what lies where.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::super::{Machine, Nas, Network};
use super::Judge;

impl Judge<'_> {
    /// Every address has one owner, and those of the LAN lie in it.
    pub(super) fn addresses(&self) {
        let net = &self.site.network;
        let mut claims =
            vec![("network.gateway".to_owned(), net.gateway), ("network.vip".to_owned(), net.vip)];
        if !self.machines_with_path().any(|(_, machine)| self.founds(machine) && machine.address.is_some()) {
            claims.push(("network.founder".to_owned(), net.founder));
        }
        claims.extend(self.machine_addresses());
        claims.extend(self.storage_addresses());

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

    /// The address of each entry that fixes one, with the key that does.
    fn machine_addresses(&self) -> Vec<(String, Ipv4Addr)> {
        let address = |(path, machine): (String, &Machine)| {
            let key = if machine.address.is_some() { "address" } else { "position" };
            let beside = || machine.position.map(|position| self.site.address_of(position));
            // A founder that has only a position keeps the founder's address.
            let own = if self.founds(machine) { machine.address } else { machine.address.or_else(beside) };
            own.map(|address| (format!("{path}.{key}"), address))
        };
        self.machines_with_path().filter_map(address).collect()
    }

    /// The address of each storage server, with its key.
    fn storage_addresses(&self) -> Vec<(String, Ipv4Addr)> {
        let nas = self.site.nas.iter().enumerate();
        // One whose position is not readable has no address yet.
        nas.filter(|(at, _)| !self.findings.is_bad(&format!("nas[{at}].position")))
            .map(|(at, nas)| (format!("nas[{at}].address"), nas.address))
            .collect()
    }

    /// Storage servers lie where the original plan has them: the gateway gives its blocks of ports by that.
    pub(super) fn storage_network(&self) {
        let lan = self.site.network.lan;
        if self.findings.is_bad("network.lan")
            || lan.prefix > Nas::NETWORK.prefix
            || !lan.overlaps(&Nas::NETWORK)
        {
            return;
        }
        for (path, address) in self.storage_addresses() {
            let [_, _, row, pos] = address.octets();
            let is_good =
                address == Nas::address_of((row, pos)) && (1..=5).contains(&row) && (1..=99).contains(&pos);
            if !is_good && !self.findings.is_bad(&path) && lan.holds(address) {
                let wanted = "10.253.ROW.POSITION with rows 1 to 5 and positions 1 to 99 (in this LAN)";
                self.findings.note(&path, address.to_string(), wanted);
            }
        }
    }

    /// The pool lies in the LAN, and what is not a node's lies outside the pool.
    pub(super) fn pool(&self) {
        let net = &self.site.network;
        if ["nodes.rows", "nodes.positions", "network.founder"].iter().any(|key| self.findings.is_bad(key)) {
            return;
        }
        let nodes = &self.site.nodes;
        let ends =
            [("first", (nodes.rows.0, nodes.positions.0)), ("last", (nodes.rows.1, nodes.positions.1))];
        let outside = ends.into_iter().find(|(_, end)| !net.lan.holds(self.site.address_of(*end)));
        if let Some((which, end)) = outside.filter(|_| !self.findings.is_bad("network.lan")) {
            let address = self.site.address_of(end);
            let row = Network { base: self.site.address_of((end.0, 0)), prefix: 24 };
            let key = if row.overlaps(&net.lan) { "nodes.positions" } else { "nodes.rows" };
            let found = format!("{address} as the pool's {which} address");
            let wanted = format!("a pool inside network.lan, {}/{}", net.lan.base, net.lan.prefix);
            self.findings.note(key, found, wanted);
        }
        let mut others = vec![
            ("network.vip".to_owned(), net.vip),
            ("network.gateway".to_owned(), net.gateway),
            ("network.founder".to_owned(), net.founder),
        ];
        others.extend(self.helpers().into_iter().map(|(key, address, _)| (key.to_owned(), address)));
        others.extend(self.storage_addresses());
        for (path, address) in others {
            if self.site.in_pool(address) && !self.findings.is_bad(&path) {
                let found = format!("{address}, inside the node pool");
                self.findings.note(&path, found, "an address outside nodes.rows and nodes.positions");
            }
        }
    }

    /// The upstream network: whole, and another one than the LAN.
    pub(super) fn outside(&self) {
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
    }

    /// Who answers for names, decides between two nodes or takes the mail, with what is wanted there.
    fn helpers(&self) -> Vec<(&'static str, Ipv4Addr, &'static str)> {
        let net = &self.site.network;
        // The gateway, which is the standard, is judged in its own place.
        let dns = net.dns.iter().copied().filter(|address| *address != net.gateway);
        let dns = dns.map(|address| ("network.dns", address, "a name server that is no node"));
        let wanted = "an address of a machine that is no node";
        let witness = net.witness.map(|address| ("network.witness", address, wanted));
        let relay = self.site.notify.relay.as_deref().and_then(|relay| relay.parse().ok());
        let relay = relay.map(|address| ("notify.relay", address, "a mail relay that is no node"));
        dns.chain(witness).chain(relay).collect()
    }

    /// Who answers for names, takes the mail or decides between two nodes is one machine, and none of the nodes.
    pub(super) fn no_nodes(&self) {
        let net = &self.site.network;
        let mut nodes =
            vec![("network.vip".to_owned(), net.vip), ("network.founder".to_owned(), net.founder)];
        nodes.extend(net.wan_address.map(|wan| ("network.wan_address".to_owned(), wan.address)));
        nodes.extend(self.machine_addresses());
        let mut found = Vec::new();
        for (key, address, wanted) in
            self.helpers().into_iter().filter(|(key, ..)| !self.findings.is_bad(key))
        {
            let owner = nodes.iter().find(|(path, own)| *own == address && !self.findings.is_bad(path));
            let networks = [Some(net.lan), net.wan_address.map(|wan| wan.network)];
            if let Some((path, _)) = owner {
                found.push((key, format!("{address}, which {} has", self.owner(path)), wanted));
            } else if networks.iter().flatten().any(|lan| lan.contains(address) && !lan.holds(address)) {
                found.push((key, format!("{address}, which stands for a whole network"), wanted));
            }
        }
        let twice = || net.dns.iter().enumerate().find(|(at, address)| net.dns[..*at].contains(address));
        if !self.findings.is_bad("network.dns")
            && let Some((_, address)) = twice()
        {
            found.push(("network.dns", format!("{address} twice"), "each name server once"));
        }
        for (key, found, wanted) in found {
            self.findings.note(key, found, wanted);
        }
    }

    /// All nodes may mount.
    pub(super) fn mounts(&self) {
        let keys = ["network.lan", "network.founder", "nodes", "moosefs.networks"];
        if keys.iter().any(|key| self.findings.is_bad(key)) {
            return;
        }
        let nodes = &self.site.nodes;
        let ends = [nodes.positions.0, nodes.positions.1];
        let pool =
            (nodes.rows.0..=nodes.rows.1).flat_map(|row| ends.map(|pos| self.site.address_of((row, pos))));
        let machines = self.machine_addresses().into_iter().map(|(_, address)| address);
        let mut all = std::iter::once(self.site.network.founder).chain(pool).chain(machines);
        let networks = &self.site.moosefs.networks;
        if let Some(left) = all.find(|node| !networks.iter().any(|network| network.contains(*node))) {
            let found = format!("no network with {left} in it");
            self.findings.note("moosefs.networks", found, "the networks of all nodes: each of them mounts");
        }
    }
}
