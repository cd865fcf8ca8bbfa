//! Who are we? Pure: the site file and the facts decide.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::agent::standing::standing;
use crate::facts::Facts;
use crate::outcome::Class;
use crate::site::{Place, Site, values};

/// What `cias agent` found out on the wire; it is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The candidates elected this machine.
    Elected,
    /// A Master gave it a place.
    Offered {
        /// The node's own address.
        address: Ipv4Addr,
        /// Its host name.
        name: String,
        /// Where the Master is reached.
        master: Ipv4Addr,
    },
}

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It founds the cluster, and this is its place.
    Founder(Place),
    /// It joins the cluster of the Master at that address, and this is its place.
    Node(Place, Ipv4Addr),
    /// It has no place yet, for this reason.
    Waiting(String),
}

/// Settles who the machine of `facts` is: by the pin in `role.founder`, else by what was found out on the wire. Without
/// either it waits: two servers that each believed to be first would found two clusters. `misses` tells what the hardware lacks to be a
/// Master, and is asked only where that is told.
pub fn settle(
    site: &Site,
    facts: &Facts,
    decision: Option<&Decision>,
    misses: impl FnOnce() -> Vec<String>,
) -> Result<Settled> {
    if facts.nics.is_empty() {
        let kernel = facts.hardware.kernel.as_deref().unwrap_or("unknown");
        return Err(Class::Failed.error(format!(
            "found no physical Ethernet port in /sys/class/net, wanted at least one: look whether kernel {kernel} has a driver for it"
        )));
    }
    let who = facts.who();
    let machine = site.machine(&who)?;
    if site.is_founder(&who) {
        return Ok(Settled::Founder(site.founder_place(machine)));
    }
    match (decision, pin(site)) {
        (Some(Decision::Offered { address, name, master }), _) => {
            Ok(Settled::Node(offered(site, *address, name)?, *master))
        }
        (Some(Decision::Elected), None) => Ok(Settled::Founder(site.founder_place(machine))),
        // The pin came after the election: the file that a person wrote counts.
        (_, Some(pinned)) => Ok(Settled::Waiting(format!(
            "/etc/cias/site.toml pins the founder by {pinned}, and this server has {}: this server waits for a Master, and `cias agent` goes on \
             looking for one; to make it the founder, set role.founder to one of its own and run `cias run`",
            who.macs.iter().chain(&who.serial).map(String::as_str).collect::<Vec<_>>().join(", ")
        ))),
        (None, None) => {
            let obstacles = standing(site, &who, &misses())?.obstacles.join("; ");
            let may_not =
                if obstacles.is_empty() { "" } else { "; this server may not found a cluster by election: " };
            Ok(Settled::Waiting(format!(
                "/etc/cias/site.toml pins no founder (role.founder): this server waits for a Master or an election, and `cias agent` goes on \
                 looking for them; to make it the founder, set role.founder to one of its own and run `cias run`{may_not}{obstacles}"
            )))
        }
    }
}

/// What `role.founder` says, if it says anything.
fn pin(site: &Site) -> Option<String> {
    let words: Vec<&str> = [&site.role.founder_mac, &site.role.founder_serial]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    (!words.is_empty()).then(|| words.join(" or "))
}

/// The place that a Master gave, if it is one of this site.
fn offered(site: &Site, address: Ipv4Addr, name: &str) -> Result<Place> {
    let net = &site.network;
    let refuse = |found: String, wanted: String| {
        Class::Refused.error(format!(
            "a Master offered this server {found}, wanted {wanted}: compare /etc/cias/site.toml here and on the Master; after removing \
             /var/lib/cias/agent.json and a reboot this server asks again"
        ))
    };
    if !net.lan.holds(address) || [net.vip, net.gateway].contains(&address) {
        return Err(refuse(
            format!("the address {address}"),
            "one in network.lan that is neither the gateway's nor network.vip".to_owned(),
        ));
    }
    values::label(name).map_err(|wanted| refuse(format!("the name {name:?}"), wanted))?;
    Ok(Place { address, fqdn: format!("{name}.{}", site.site.domain), name: name.to_owned() })
}

#[cfg(test)]
pub(in crate::identity) mod tests {
    use super::*;
    use crate::facts::{Hardware, Nic};
    use crate::site::{from_text, tests::example};

    pub(in crate::identity) fn facts(macs: &[&str], serial: Option<&str>) -> Facts {
        let nic = |(index, mac): (usize, &&str)| Nic {
            name: format!("eth{index}"),
            mac: (*mac).to_owned(),
            driver: Some("virtio_net".into()),
            carrier: None,
            speed: None,
        };
        Facts {
            hardware: Hardware { serial: serial.map(Into::into), ..Hardware::default() },
            nics: macs.iter().enumerate().map(nic).collect(),
        }
    }

    #[test]
    fn only_the_pinned_server_is_the_founder() {
        let mac = "52:54:00:00:00:01";
        let pinned = |pin: &str| from_text(&(example() + "[role]\nfounder = " + pin + "\n")).unwrap();
        let by_mac = pinned("{ mac = \"52:54:00:00:00:01\" }");
        let by_serial = pinned("{ serial = \"LAB-1\" }");
        let unpinned = from_text(&example()).unwrap();
        for (site, macs, serial, founder) in [
            (&by_mac, vec!["52:54:00:00:00:09", mac], None, true),
            (&by_mac, vec!["52:54:00:00:00:09"], Some("LAB-1"), false),
            (&by_serial, vec![mac], Some("LAB-1"), true),
            (&by_serial, vec![mac], None, false),
            (&unpinned, vec![mac], Some("LAB-1"), false),
        ] {
            let settled = settle(site, &facts(&macs, serial), None, Vec::new).unwrap();
            assert_eq!(matches!(settled, Settled::Founder(_)), founder, "{settled:?}");
        }
        let Settled::Waiting(reason) =
            settle(&by_serial, &facts(&[mac], Some("LAB-2")), None, Vec::new).unwrap()
        else {
            panic!("the wrong serial number made a founder");
        };
        assert!(reason.contains("by LAB-1, and this server has 52:54:00:00:00:01, LAB-2"), "{reason}");
    }

    #[test]
    fn a_server_without_ports_is_an_error() {
        let error = settle(&from_text(&example()).unwrap(), &facts(&[], None), None, Vec::new).unwrap_err();
        assert!(error.to_string().contains("no physical Ethernet port"));
    }

    #[test]
    fn a_decision_settles_a_server_unless_the_pin_says_otherwise() {
        let unpinned = from_text(&example()).unwrap();
        let pinned = |serial: &str| {
            from_text(&(example() + "[role]\nfounder = { serial = \"" + serial + "\" }\n")).unwrap()
        };
        let offer = |address: [u8; 4], name: &str| Decision::Offered {
            address: address.into(),
            name: name.into(),
            master: [10, 254, 0, 254].into(),
        };
        let good = offer([10, 254, 1, 7], "pve-a-1-7");
        let table: [(&Site, Option<&Decision>, &str); 10] = [
            (&unpinned, None, "waits: /etc/cias/site.toml pins no founder"),
            (&unpinned, Some(&Decision::Elected), "founder 10.254.0.1 pve-rack-a-0-1.example.com"),
            (&unpinned, Some(&good), "node 10.254.1.7 pve-a-1-7.example.com of 10.254.0.254"),
            (&pinned("ME"), Some(&Decision::Elected), "founder 10.254.0.1 pve-rack-a-0-1.example.com"),
            (&pinned("ME"), Some(&good), "founder 10.254.0.1 pve-rack-a-0-1.example.com"),
            (
                &pinned("OTHER"),
                Some(&Decision::Elected),
                "waits: /etc/cias/site.toml pins the founder by OTHER",
            ),
            (&pinned("OTHER"), Some(&good), "node 10.254.1.7 pve-a-1-7.example.com of 10.254.0.254"),
            (
                &unpinned,
                Some(&offer([192, 0, 2, 1], "n")),
                "refused: a Master offered this server the address",
            ),
            (
                &unpinned,
                Some(&offer([10, 254, 0, 254], "n")),
                "refused: a Master offered this server the address",
            ),
            (
                &unpinned,
                Some(&offer([10, 254, 1, 7], "a b;c")),
                "refused: a Master offered this server the name",
            ),
        ];
        for (site, decision, wanted) in table {
            let facts = facts(&["52:54:00:00:00:01"], Some("ME"));
            let found = match settle(site, &facts, decision, Vec::new) {
                Ok(Settled::Founder(place)) => format!("founder {} {}", place.address, place.fqdn),
                Ok(Settled::Node(place, master)) => {
                    format!("node {} {} of {master}", place.address, place.fqdn)
                }
                Ok(Settled::Waiting(reason)) => format!("waits: {reason}"),
                Err(error) => {
                    assert_eq!(Class::of(&error), Class::Refused);
                    format!("refused: {error:#}")
                }
            };
            assert!(found.starts_with(wanted), "{decision:?}: {found}");
        }
    }
}
