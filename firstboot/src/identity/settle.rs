//! Who are we? Pure: the site file and the facts decide.

use anyhow::Result;

use crate::facts::Facts;
use crate::outcome::Class;
use crate::site::{Place, Site};

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It founds the cluster, and this is its place.
    Founder(Place),
    /// It has no place yet, for this reason.
    Waiting(String),
}

/// Settles who the machine of `facts` is. Only a pin in `role.founder` makes a founder: two servers that each believed
/// to be first would found two clusters.
pub fn settle(site: &Site, facts: &Facts) -> Result<Settled> {
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
    let pin = match (&site.role.founder_mac, &site.role.founder_serial) {
        (None, None) => "/etc/cias/site.toml pins no founder (role.founder)".to_owned(),
        (mac, serial) => format!(
            "/etc/cias/site.toml pins the founder by {}, and this server has {}",
            [mac.as_deref(), serial.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" or "),
            who.macs.iter().chain(&who.serial).map(String::as_str).collect::<Vec<_>>().join(", ")
        ),
    };
    Ok(Settled::Waiting(format!(
        "{pin}: this server waits for a Master; to make it the founder, set role.founder to one of its own and run `cias run`"
    )))
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
            let settled = settle(site, &facts(&macs, serial)).unwrap();
            assert_eq!(matches!(settled, Settled::Founder(_)), founder, "{settled:?}");
        }
        let Settled::Waiting(reason) = settle(&by_serial, &facts(&[mac], Some("LAB-2"))).unwrap() else {
            panic!("the wrong serial number made a founder");
        };
        assert!(reason.contains("by LAB-1, and this server has 52:54:00:00:00:01, LAB-2"), "{reason}");
    }

    #[test]
    fn a_server_without_ports_is_an_error() {
        let error = settle(&from_text(&example()).unwrap(), &facts(&[], None)).unwrap_err();
        assert!(error.to_string().contains("no physical Ethernet port"));
    }
}
