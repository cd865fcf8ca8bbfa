//! The answers for the front end, from the site and from the tables of the installer. Pure.

use std::net::Ipv4Addr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::outcome::Class;
use crate::site::tables::Tables;
use crate::site::{Machine, Site, Who};

/// What the front end runs before the target is unmounted.
const LATE_COMMAND: &str = "/cias/cias-firstboot postinstall --target /target";

/// One flat object of strings, in the order in which the pages want them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the pages' fields")]
pub struct Answers {
    pub disk: String,
    pub country: String,
    pub timezone: String,
    pub keymap: String,
    pub password: String,
    pub mail: String,
    pub fqdn: String,
    pub address: String,
    pub netmask: String,
    pub gateway: String,
    pub dns: String,
    pub late_command: String,
}

/// Answers for a server. Codes that the installer's tables do not have are bad input: its pages would refuse them.
pub fn answers(site: &Site, machine: Option<&Machine>, who: &Who, tables: &Tables) -> Result<Answers> {
    let bad = |key: &str, found: &str, wanted: String| {
        Class::BadInput.error(format!(
            "site.toml: site.{key}: found {found:?}, which this installer does not have, wanted {wanted}"
        ))
    };
    let general = &site.site;
    let country = tables
        .country_name(&general.country)
        .ok_or_else(|| bad("country", &general.country, "a code in /proxmox/country.dat".into()))?;
    let keymap = tables
        .keyboard(&general.keyboard)
        .ok_or_else(|| bad("keyboard", &general.keyboard, "a map's id in /proxmox/country.dat".into()))?;
    let zones = tables.zones_of(&general.country);
    if !zones.contains(&general.timezone.as_str()) {
        let wanted = format!("a zone of {country} ({})", zones.join(", "));
        return Err(bad("timezone", &general.timezone, wanted));
    }
    let (fqdn, address, mask) = if site.is_founder(who) {
        let place = site.founder_place(machine);
        (place.fqdn, place.address, site.network.lan.mask())
    } else {
        let (name, address) = provisional(who);
        (format!("{name}.{}", general.domain), address, Ipv4Addr::new(255, 255, 0, 0))
    };
    let gateway = site.network.gateway;
    Ok(Answers {
        disk: String::new(),
        country: country.into(),
        timezone: general.timezone.clone(),
        keymap: keymap.into(),
        password: String::new(),
        mail: general.mail.clone(),
        fqdn,
        address: address.to_string(),
        netmask: mask.to_string(),
        gateway: gateway.to_string(),
        dns: site.network.dns.first().copied().unwrap_or(gateway).to_string(),
        late_command: LATE_COMMAND.into(),
    })
}

/// Name and link-local address until the first boot settles who this is; made of a MAC address, so that two servers
/// installed side by side differ.
fn provisional(who: &Who) -> (String, Ipv4Addr) {
    let mac = who.macs.iter().min().cloned().unwrap_or_else(|| "00:00:00:00:00:01".into());
    let octets: Vec<u8> = mac.split(':').filter_map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let last = |at: usize| octets.len().checked_sub(at).and_then(|at| octets.get(at)).copied().unwrap_or(1);
    let address = Ipv4Addr::new(169, 254, last(2).clamp(1, 254), last(1).clamp(1, 254));
    (format!("cias-{:02x}{:02x}{:02x}", last(3), last(2), last(1)), address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        Tables {
            country: "map:de:German:de:qwertz/de.kmap.gz:de:nodeadkeys:\nmap:en-us:U.S. English:en-us:us.kmap:us::\n\
                      de:Germany:de:ftp.de.debian.org:\nat:Austria:de::\n"
                .into(),
            zones: "# comment\nAT\t+4813+01620\tEurope/Vienna\nDE\t+5230+01322\tEurope/Berlin\tmost\n".into(),
        }
    }

    fn site(change: &str) -> Site {
        let text =
            crate::site::tests::example().replace("[site.secrets]", &format!("{change}\n[site.secrets]"));
        crate::site::from_text(&text).unwrap()
    }

    fn who(macs: &[&str]) -> Who {
        Who { macs: macs.iter().map(|mac| (*mac).to_owned()).collect(), serial: None }
    }

    #[test]
    fn the_founder_gets_its_own_place_and_the_names_of_the_tables() {
        let mut site = site("country = \"de\"\nkeyboard = \"de\"\ntimezone = \"Europe/Berlin\"");
        site.role.founder_mac = Some("52:54:00:00:00:01".into());
        let found = answers(&site, None, &who(&["52:54:00:00:00:01"]), &tables()).unwrap();
        let pairs: Vec<String> = serde_json::to_value(&found)
            .unwrap()
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap()))
            .collect();
        assert_eq!(
            pairs,
            [
                "disk=",
                "country=Germany",
                "timezone=Europe/Berlin",
                "keymap=German",
                "password=",
                "mail=admin@example.com",
                "fqdn=pve-rack-a-0-1.example.com",
                "address=10.254.0.1",
                "netmask=255.0.0.0",
                "gateway=10.0.0.254",
                "dns=10.0.0.254",
                "late_command=/cias/cias-firstboot postinstall --target /target",
            ]
        );
    }

    #[test]
    fn any_other_server_gets_a_provisional_place_of_its_own() {
        let site = site("country = \"de\"\nkeyboard = \"de\"\ntimezone = \"Europe/Berlin\"");
        for (macs, fqdn, address) in [
            (&["52:54:00:12:34:56"][..], "cias-123456.example.com", "169.254.52.86"),
            (&["52:54:00:12:ff:00", "52:54:00:12:00:ff"][..], "cias-1200ff.example.com", "169.254.1.254"),
            (&[][..], "cias-000001.example.com", "169.254.1.1"),
        ] {
            let found = answers(&site, None, &who(macs), &tables()).unwrap();
            assert_eq!((found.fqdn.as_str(), found.address.as_str()), (fqdn, address), "{macs:?}");
        }
    }

    #[test]
    fn what_the_pages_would_refuse_is_refused_here_with_the_key() {
        for (change, wanted) in [
            ("country = \"xx\"\nkeyboard = \"de\"", "site.country: found \"xx\""),
            ("country = \"de\"\nkeyboard = \"xx\"", "site.keyboard: found \"xx\""),
            (
                "country = \"de\"\nkeyboard = \"de\"\ntimezone = \"Europe/Vienna\"",
                "site.timezone: found \"Europe/Vienna\", which this installer does not have, wanted a zone of \
                 Germany (Europe/Berlin)",
            ),
        ] {
            let error = answers(&site(change), None, &who(&[]), &tables()).unwrap_err();
            assert_eq!(Class::of(&error), Class::BadInput);
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }
}
