//! Which of the vendor's image layouts an image has (docs/facts.md, "Layout by version").

use crate::iso9660::Image;
use anyhow::Result;
use cias_firstboot::outcome::Class;
use serde::Serialize;
use std::fmt;

/// The files that make the live-root layout.
pub const LIVE_ROOT_FILES: [&str; 4] =
    ["/sbin/unconfigured.sh", "/usr/bin/proxinstall", "/proxmox/pve-base.tar", "/proxmox/packages"];

/// Layouts of the installation image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Proxmox VE 3.0 to 4.2: the image's tree is the installer's root file system.
    LiveRoot,
    /// 4.3 to 8.1: the installer is a squashfs.
    Squashfs,
    /// From 8.2 on: squashfs and the vendor's own answer file.
    Auto,
}

impl fmt::Display for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::LiveRoot => "live-root (Proxmox VE 3.0 to 4.2)",
            Self::Squashfs => "squashfs (Proxmox VE 4.3 to 8.1)",
            Self::Auto => "auto (Proxmox VE 8.2 or later)",
        })
    }
}

/// The family of the image; an unknown one is bad input, and the error lists what was found at its root.
pub fn detect(image: &Image) -> Result<Family> {
    if image.get("/auto-installer-capable").is_some() {
        return Ok(Family::Auto);
    }
    if image.children("/").any(|entry| entry.name().ends_with(".squashfs")) {
        return Ok(Family::Squashfs);
    }
    let missing: Vec<_> = LIVE_ROOT_FILES.into_iter().filter(|path| image.resolve(path).is_none()).collect();
    if missing.is_empty() && image.rock_ridge() {
        return Ok(Family::LiveRoot);
    }
    let found: Vec<_> = image.children("/").map(crate::iso9660::Entry::name).take(24).collect();
    let why = if missing.is_empty() { "Rock Ridge names".to_owned() } else { missing.join(", ") };
    Err(Class::BadInput.error(format!(
        "the image is none that is known: it lacks {why} and has {} at its root; use the Proxmox VE 3.2 ISO",
        if found.is_empty() { "nothing".to_owned() } else { found.join(", ") }
    )))
}

/// Refuses a family that this version can't build.
pub fn require_live_root(family: Family) -> Result<()> {
    match family {
        Family::LiveRoot => Ok(()),
        Family::Squashfs => Err(Class::BadInput.error(format!(
            "the image is of the family {family}, which can't be built yet; use the Proxmox VE 3.2 ISO"
        ))),
        Family::Auto => Err(Class::BadInput.error(format!(
            "the image is of the family {family}, which installs by the vendor's own answer file; use the \
             Proxmox VE 3.2 ISO here or proxmox-auto-install-assistant there"
        ))),
    }
}
