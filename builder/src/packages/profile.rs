//! Profiles: what a node needs beside the vendor's packages, by the age of its system.

/// One package of a profile.
#[derive(Debug)]
pub struct Wanted {
    /// Its name.
    pub name: &'static str,
    /// How its version begins behind the epoch; nothing if any will do.
    pub version: Option<&'static str>,
}

/// Names of all profiles.
pub const NAMES: [&str; 2] = ["pve-3.2", "lab"];

const fn old(name: &'static str, version: &'static str) -> Wanted {
    Wanted { name, version: Some(version) }
}

const fn any(name: &'static str) -> Wanted {
    Wanted { name, version: None }
}

/// Debian wheezy. Configurations are written for these versions; the names of `MooseFS` are those of its makers' packages.
const PVE: [Wanted; 8] = [
    old("keepalived", "1.2.2"),
    old("mfs-master", "1.6.27"),
    old("mfs-metalogger", "1.6.27"),
    old("mfs-chunkserver", "1.6.27"),
    old("mfs-client", "1.6.27"),
    old("mfs-cgi", "1.6.27"),
    old("mfs-cgiserv", "1.6.27"),
    old("mfs-common", "1.6.27"),
];

/// Debian 12.
const LAB: [Wanted; 8] = [
    any("keepalived"),
    any("moosefs-master"),
    any("moosefs-metalogger"),
    any("moosefs-chunkserver"),
    any("moosefs-client"),
    any("moosefs-cli"),
    any("moosefs-cgi"),
    any("moosefs-cgiserv"),
];

/// The packages of the profile `name`.
pub fn packages(name: &str) -> &'static [Wanted] {
    match name {
        "pve-3.2" => &PVE,
        "lab" => &LAB,
        _ => &[],
    }
}

impl Wanted {
    /// Does `version` begin as it should?
    pub fn accepts(&self, version: &str) -> bool {
        let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
        let rest = self.version.map_or(Some(""), |wanted| upstream.strip_prefix(wanted));
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_begins_as_the_profile_says() {
        for (version, good) in [
            ("1:1.2.2-3+deb7u1", true),
            ("1.2.2", true),
            ("1:1.2.20-1", false),
            ("1:1.2.13-1", false),
            ("1.2.2.1-1", true),
        ] {
            assert_eq!(old("keepalived", "1.2.2").accepts(version), good, "{version}");
        }
        assert!(any("keepalived").accepts("1:2.2.7-1+b2"));
    }

    #[test]
    fn every_name_is_a_profile() {
        assert!(NAMES.iter().all(|name| !packages(name).is_empty()));
    }
}
