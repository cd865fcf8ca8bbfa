//! `keepalived.conf`, from the site file. Pure.
//!
//! keepalived 1.2.2 ignores a word that it does not know, and drops all that follows a block that it does not know (docs/facts.md 17), so
//! that [`super::keywords`] lists what may stand there.

use anyhow::Result;
use serde_json::json;

use super::{BOND, BRIDGE};
use crate::region;
use crate::render::render;
use crate::site::Site;

/// Where it is.
pub const FILE: &str = "/etc/keepalived/keepalived.conf";

/// What a manual switch puts in its place, until `release`.
pub const MANUAL_FILE: &str = "/etc/cias/keepalived-manual.conf";

/// What keepalived runs.
pub const PROGRAM: &str = "/usr/sbin/cias-firstboot";

/// How every file of ours begins.
pub const MARK: &str = "! Written by cias ";

/// How often the health script runs, in seconds. keepalived 1.2.2 counts one that takes longer as failed.
pub const INTERVAL: u64 = 2;

/// Above every priority that can be configured, and not the 255 of an address's owner, which two nodes could both be.
const MANUAL: u8 = 254;

/// How a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With this priority, and without pulling the addresses back.
    Usual(u8),
    /// It takes the addresses from whoever has them, until `release`: a manual switch.
    Manual,
}

/// The text of the file on the node `name`; `program` is what keepalived runs. It holds the site's VRRP password.
pub fn conf(site: &Site, name: &str, mode: Mode, program: &str) -> Result<String> {
    let (priority, nopreempt) = match mode {
        Mode::Usual(priority) => (priority, true),
        Mode::Manual => (MANUAL, false),
    };
    let wan = site.network.wan_address.map(|wan| format!("{}/{}", wan.address, wan.network.prefix));
    let values = json!({
        "name": name, "program": program, "interval": INTERVAL, "bridge": BRIDGE, "bond": BOND, "nopreempt": nopreempt, "priority": priority,
        "vrid": vrid(site)?, "password": site.secrets.vrrp_password, "vip": site.network.vip, "wan": wan,
    });
    render("keepalived.conf", include_str!("../../../overlay/templates/keepalived.conf.j2"), values)
}

/// The number of the site's VRRP messages: `network.vrid`, or one from the site's key, so that two sites on one wire hardly have the same.
pub fn vrid(site: &Site) -> Result<u8> {
    if let Some(vrid) = site.network.vrid {
        return Ok(vrid);
    }
    let hash = region::keyed_hash(&site.secrets.key, "cias vrid", b"")?;
    let sum = hash.iter().fold(0_u32, |sum, byte| (sum * 256 + u32::from(*byte)) % 255);
    Ok(u8::try_from(sum)? + 1)
}

#[cfg(test)]
mod tests {
    use super::super::keywords::TABLE;
    use super::super::parse::{Entry, parse};
    use super::*;
    use crate::site::{from_text, tests::example};

    const WAN: &str = "[network]\nwan_address = \"192.168.56.101/24\"\nwan_gateway = \"192.168.56.1\"\n";

    fn rendered() -> Vec<(&'static str, String)> {
        let site = |more: &str| from_text(&(example() + more)).unwrap();
        let of = |site: Site, mode| conf(&site, "pve-rack-a-1-1", mode, PROGRAM).unwrap();
        vec![
            ("keepalived-usual.conf", of(site(WAN), Mode::Usual(49))),
            ("keepalived-manual.conf", of(site(WAN), Mode::Manual)),
            ("keepalived-no-wan.conf", of(site("[network]\nvrid = 51\n"), Mode::Usual(1))),
        ]
    }

    /// With `CIAS_WRITE_FIXTURES=1` they are written anew: read the difference.
    #[test]
    fn files_are_rendered_as_they_were() {
        for (name, text) in rendered() {
            let path = format!("{}/tests/fixtures/rendered/{name}", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("CIAS_WRITE_FIXTURES").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
        }
    }

    fn hold(block: &str, entries: &[Entry], used: &mut Vec<(String, String)>) {
        for entry in entries {
            let word = entry.words[0].clone();
            let row = TABLE.iter().find(|row| row.block == block && row.keyword == word);
            let row =
                row.unwrap_or_else(|| panic!("{word} in {block:?} is no keyword of 1.2.2 that is listed"));
            assert_eq!(row.opens.is_some(), entry.block.is_some(), "{word}");
            used.push((block.to_owned(), word));
            if let (Some(keywords), Some(inner)) = (row.opens, &entry.block) {
                // A list of addresses or of names has no keywords at its lines' beginnings.
                if keywords {
                    hold(row.keyword, inner, used);
                }
            }
        }
    }

    #[test]
    fn every_keyword_is_one_of_the_targets_and_each_is_used() {
        let mut used = Vec::new();
        for (_, text) in rendered() {
            hold("", &parse(&text).unwrap(), &mut used);
        }
        for row in TABLE {
            let is_used = used.iter().any(|(block, word)| block == row.block && word == row.keyword);
            assert!(is_used, "{} is in the table and not used", row.keyword);
        }
    }

    #[test]
    fn a_site_has_one_vrid_and_two_keys_have_two() {
        let site = from_text(&example()).unwrap();
        let first = vrid(&site).unwrap();
        assert_eq!(first, vrid(&site).unwrap());
        assert!(first >= 1);
        let other = from_text(&example().replace("5a5a", "5b5a")).unwrap();
        assert_ne!(first, vrid(&other).unwrap());
    }

    #[test]
    fn a_manual_switch_outranks_and_preempts() {
        let text = &rendered()[1].1;
        assert!(text.contains("\n    priority 254\n") && !text.contains("nopreempt"), "{text}");
    }
}
