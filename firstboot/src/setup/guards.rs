//! What must be true of a server before `cias setup` touches it. Pure but for [`Seen::look`], which only reads.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::cluster::MOUNTED;
use crate::facts::{Facts, Nic};
use crate::folders::guests;
use crate::journal::{self, State};
use crate::site::Site;
use crate::system::Sysroot;

/// The release that this is written for.
const RELEASE: &str = "3.2";

/// What of a cluster may be left on a node (docs/facts.md 16).
const OF_A_CLUSTER: [&str; 3] =
    ["/etc/pve/cluster.conf", "/etc/cluster/cluster.conf", "/var/lib/pve-cluster/corosync.authkey"];

/// What was seen of the server.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Version of pve-manager.
    pub pve: Option<String>,
    /// Is `/etc/pve` mounted?
    pub mounted: bool,
    /// Files of a cluster.
    pub of_a_cluster: Vec<&'static str>,
    /// Numbers of guests; nothing, if they cannot be read.
    pub guests: Option<Vec<String>>,
    /// What was done before.
    pub journal: State,
    /// Physical ports.
    pub nics: Vec<Nic>,
    /// Addresses in `/etc/network/interfaces`.
    pub addresses: Vec<Ipv4Addr>,
}

impl Seen {
    /// Looks at the server below `root`.
    pub fn look(root: &Sysroot, facts: &Facts) -> Result<Self> {
        Ok(Self {
            pve: facts.hardware.pve_version.clone(),
            mounted: root.has(MOUNTED),
            of_a_cluster: OF_A_CLUSTER.into_iter().filter(|path| root.has(path)).collect(),
            guests: guests::read(root).ok().map(|list| list.ids.keys().map(ToString::to_string).collect()),
            journal: journal::read(root)?.unwrap_or_default(),
            nics: facts.nics.clone(),
            addresses: addresses(&root.text("/etc/network/interfaces").unwrap_or_default()),
        })
    }

    /// All reasons not to go on, each with its way out.
    pub fn refusals(&self, site: &Site) -> Vec<String> {
        let mut all = Vec::new();
        match &self.pve {
            None => all.push(format!("Proxmox VE: found no installed pve-manager, wanted version {RELEASE}: install Proxmox VE {RELEASE} first")),
            Some(version) if !version.starts_with(&format!("{RELEASE}-")) && version != RELEASE => {
                all.push(format!("Proxmox VE: found {version}, wanted {RELEASE}: this version of cias knows no other"));
            }
            Some(_) => {}
        }
        all.extend(is_node(&self.journal));
        for path in &self.of_a_cluster {
            all.push(format!("{path}: found it, wanted a node that is in no cluster: take it out of its cluster, or install it anew"));
        }
        match &self.guests {
            _ if !self.mounted => all.push("/etc/pve is not mounted, so nobody can tell whether guests are here: `service pve-cluster start`".to_owned()),
            None => all.push("/etc/pve/.vmlist can't be read, so nobody can tell whether guests are here: `service pve-cluster restart`".to_owned()),
            Some(guests) if !guests.is_empty() => all.push(format!("guests: found {}, wanted none: back them up and remove them; their configuration would be lost", guests.join(", "))),
            Some(_) => {}
        }
        if self.nics.is_empty() {
            all.push("network: found no physical Ethernet port, wanted at least one".to_owned());
        } else if !self.nics.iter().any(|nic| nic.carrier == Some(true)) {
            let names: Vec<&str> = self.nics.iter().map(|nic| nic.name.as_str()).collect();
            all.push(format!(
                "network: found no link on {}, wanted one on at least one port: plug the cable in",
                names.join(", ")
            ));
        }
        let lan = site.network.lan;
        if !self.addresses.is_empty() && !self.addresses.iter().any(|address| lan.holds(*address)) {
            let list: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
            all.push(format!(
                "network: found {} in /etc/network/interfaces, wanted an address in network.lan, {}/{}: this server is on another network than its site, or the site file \
                 is another site's",
                list.join(", "),
                lan.base,
                lan.prefix
            ));
        }
        all
    }

    /// What a person should know before.
    pub fn warnings(&self) -> Vec<String> {
        let without = self.nics.iter().filter(|nic| nic.carrier != Some(true));
        without.map(|nic| format!("{} has no link", nic.name)).collect()
    }
}

/// The addresses of an interfaces file, but those of the loopback.
fn addresses(text: &str) -> Vec<Ipv4Addr> {
    let words = text.lines().filter_map(|line| line.trim().strip_prefix("address"));
    let parsed = words.filter_map(|rest| rest.trim().split('/').next()?.parse().ok());
    parsed.filter(|address: &Ipv4Addr| !address.is_loopback()).collect()
}

/// The sentence for a server that is a node already.
pub fn is_node(journal: &State) -> Option<String> {
    let place = journal.place.as_ref()?;
    Some(format!(
        "this server is already {} with {}: `cias status` tells how far it is, and `cias run` goes on",
        place.fqdn, place.address
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{Place, from_text, tests::example};

    fn good() -> Seen {
        let nic = |name: &str, carrier| Nic {
            name: name.into(),
            mac: "52:54:00:00:00:01".into(),
            driver: None,
            carrier,
            speed: None,
        };
        Seen {
            pve: Some("3.2-4".into()),
            mounted: true,
            guests: Some(Vec::new()),
            nics: vec![nic("eth0", Some(true)), nic("eth1", None)],
            addresses: vec![[10, 1, 2, 3].into()],
            ..Seen::default()
        }
    }

    #[test]
    fn a_fresh_server_passes_and_each_obstacle_is_named() {
        let site = from_text(&example()).unwrap();
        assert!(good().refusals(&site).is_empty());
        assert_eq!(good().warnings(), ["eth1 has no link"]);
        let place = Place { address: [10, 254, 0, 1].into(), name: "n".into(), fqdn: "n.example.com".into() };
        let table: [(Seen, &str); 10] = [
            (Seen { pve: None, ..good() }, "no installed pve-manager"),
            (Seen { pve: Some("3.20-1".into()), ..good() }, "found 3.20-1, wanted 3.2"),
            (
                Seen { journal: State { place: Some(place), ..State::default() }, ..good() },
                "already n.example.com",
            ),
            (Seen { of_a_cluster: vec![OF_A_CLUSTER[2]], ..good() }, "corosync.authkey: found it"),
            (Seen { mounted: false, ..good() }, "is not mounted"),
            (Seen { guests: None, ..good() }, "can't be read"),
            (
                Seen { guests: Some(vec!["100".into(), "101".into()]), ..good() },
                "found 100, 101, wanted none",
            ),
            (Seen { nics: Vec::new(), ..good() }, "no physical"),
            (Seen { nics: good().nics[1..].to_vec(), ..good() }, "no link on eth1"),
            (Seen { addresses: vec![[192, 168, 1, 5].into()], ..good() }, "found 192.168.1.5"),
        ];
        for (seen, wanted) in table {
            let refusals = seen.refusals(&site);
            assert!(refusals.len() == 1 && refusals[0].contains(wanted), "{wanted}: {refusals:?}");
        }
    }

    #[test]
    fn addresses_are_read() {
        let text =
            "iface lo inet loopback\n\taddress 127.0.0.1\nauto vmbr0\n  address  10.0.0.5\n address x\n";
        assert_eq!(addresses(text), [Ipv4Addr::new(10, 0, 0, 5)]);
    }
}
