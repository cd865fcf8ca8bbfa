//! The tables of the vendor's installer: it knows countries, keyboards and time zones only by them (docs/facts.md 3.3).

use std::collections::BTreeSet;

use super::Loaded;
use super::findings::Finding;

/// Where the table of countries and keyboards lies on the ISO.
pub const COUNTRIES: &str = "/proxmox/country.dat";

/// Where the table of time zones lies on the ISO.
pub const ZONES: &str = "/usr/share/zoneinfo/zone.tab";

/// The installer's tables, as text.
#[derive(Clone, Debug)]
pub struct Tables {
    /// [`COUNTRIES`]
    pub country: String,
    /// [`ZONES`]
    pub zones: String,
}

impl Tables {
    /// Name of the country with this code.
    pub fn country_name(&self, code: &str) -> Option<&str> {
        self.countries().find_map(|(other, name)| (other == code).then_some(name))
    }

    /// Description of the keyboard with this id.
    pub fn keyboard(&self, id: &str) -> Option<&str> {
        self.keyboards().find_map(|(other, description)| (other == id).then_some(description))
    }

    /// The time zones that the installer offers for a country.
    pub fn zones_of(&self, code: &str) -> Vec<&str> {
        let code = code.to_uppercase();
        self.zones
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let mut fields = line.split_whitespace();
                (fields.next() == Some(&code)).then(|| fields.nth(1)).flatten()
            })
            .collect()
    }

    fn countries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.country.lines().filter_map(|line| match line.split(':').collect::<Vec<_>>()[..] {
            [code, name, _, _, ""] => Some((code, name)),
            _ => None,
        })
    }

    fn keyboards(&self) -> impl Iterator<Item = (&str, &str)> {
        self.country.lines().filter_map(|line| match line.split(':').collect::<Vec<_>>()[..] {
            ["map", id, description, _, _, _, _, ""] => Some((id, description)),
            _ => None,
        })
    }
}

impl Loaded {
    /// What the installer with these tables would refuse, with the place in the site file.
    pub fn against(&self, tables: &Tables) -> Vec<Finding> {
        let general = &self.site.site;
        let codes: BTreeSet<&str> = tables.countries().map(|(code, _)| code).collect();
        let maps: BTreeSet<&str> = tables.keyboards().map(|(id, _)| id).collect();
        let zones: BTreeSet<&str> = tables.zones_of(&general.country).into_iter().collect();
        let mut findings = Vec::new();
        let mut judge = |key: &str, found: &str, known: &BTreeSet<&str>| {
            if known.contains(found) {
                return;
            }
            let (line, column) = self.places.of(key);
            let known = known.iter().copied().collect::<Vec<_>>().join(", ");
            let finding = Finding {
                file: self.file.clone(),
                line,
                column,
                key: key.to_owned(),
                found: format!("{found:?}"),
                wanted: format!("one that the image knows: {known}"),
                nearest: None,
            };
            // What is known comes from an image that anybody may have made.
            findings.push(finding.escaped());
        };
        judge("site.country", &general.country, &codes);
        judge("site.keyboard", &general.keyboard, &maps);
        // Without a country there is no list of zones to compare with.
        if codes.contains(general.country.as_str()) {
            judge("site.timezone", &general.timezone, &zones);
        }
        findings.sort_by_key(|finding| (finding.line, finding.column));
        findings
    }
}
