//! What the vendor's image installs: the base system, and the packages on the image.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use cias_firstboot::outcome::Class;

use crate::closure::{self, Unpacked};
use crate::deb::control::Paragraph;
use crate::deb::read::control_of;
use crate::iso9660::Image;
use crate::plan::PACKAGES;

/// The base system that the vendor's installer unpacks.
const BASE: &str = "/proxmox/pve-base.tar";

/// What apt has to know of an installed package. By size and relations it tells two builds of one version apart.
const FIELDS: [&str; 11] = [
    "Version",
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Installed-Size",
    "Replaces",
    "Provides",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
];

/// What is installed without anything of ours.
#[derive(Debug)]
pub struct System {
    /// The base system's packages.
    pub base: Vec<Paragraph>,
    /// The packages on the image, which come over the base system.
    pub image: Vec<Unpacked>,
}

impl System {
    /// Reads it from the vendor's image.
    pub fn read(image: &Image) -> Result<Self> {
        let base =
            image.get(BASE).ok_or_else(|| Class::BadInput.error(format!("the image has no {BASE}")))?;
        let base = match base.zisofs {
            None => closure::base_status_in(image.stored(base))?,
            Some(_) => closure::base_status(image.reader(base)?)?,
        };
        let image = image
            .children(PACKAGES)
            .filter(|entry| Path::new(&entry.path).extension().is_some_and(|extension| extension == "deb"))
            .map(|entry| {
                let control = control_of(&entry.path, image.reader(entry)?)?;
                Ok(Unpacked { file: entry.name().to_owned(), control })
            })
            .collect::<Result<_>>()?;
        Ok(Self { base, image })
    }

    /// The packages by name, as they are once the image's have come over the base system.
    pub fn installed(&self) -> BTreeMap<&str, &Paragraph> {
        let all = self.base.iter().chain(self.image.iter().map(|package| &package.control));
        all.map(|package| (package.field("Package"), package)).collect()
    }

    /// dpkg's status file of it.
    pub fn status(&self) -> String {
        let mut text = String::new();
        for (name, package) in self.installed() {
            // Writing into a String cannot fail.
            let _ = write!(text, "Package: {name}\nStatus: install ok installed\n");
            for field in FIELDS {
                if let Some(value) = package.get(field) {
                    let _ = writeln!(text, "{field}: {}", value.replace('\n', "\n "));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::control::parse;

    #[test]
    fn the_status_has_what_the_image_brings_over_the_base() {
        let base = parse(
            "Package: a\nVersion: 1\nDepends: b,\n c (>= 2)\nMaintainer: x\n\nPackage: d\nVersion: 1\n",
        );
        let control = parse("Package: d\nVersion: 2\nArchitecture: all\n").remove(0);
        let system = System { base, image: vec![Unpacked { file: "d_2_all.deb".into(), control }] };
        let status = "Package: a\nStatus: install ok installed\nVersion: 1\nDepends: b,\n c (>= 2)\n\n\
                      Package: d\nStatus: install ok installed\nVersion: 2\nArchitecture: all\n\n";
        assert_eq!(system.status(), status);
        assert_eq!(parse(&system.status()).len(), 2);
    }
}
