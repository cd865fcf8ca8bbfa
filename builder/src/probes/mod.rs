//! What is looked at before an image is touched (docs/facts.md, "Probe list"; the numbers are the same).
//!
//! Probes 12 to 15 need a running machine and are scenarios of the lab.

mod initrd;
mod installer;
mod kernel;
mod layout;

use crate::bootmenu;
use crate::family;
use crate::iso9660::Image;
use crate::plan::{self, BootFiles};
use anyhow::Result;
use cias_firstboot::outcome::Class;
use serde::Serialize;

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As expected.
    Ok,
    /// Worth knowing, no hindrance.
    Note,
    /// An installation from this image would fail.
    Fatal,
}

/// Result of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Number in the list; 0 = the fingerprints of 7.1.
    pub probe: u8,
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub level: Level,
    /// What was found, and what it means.
    pub found: String,
}

impl Finding {
    fn new(probe: u8, name: &'static str, level: Level, found: impl Into<String>) -> Self {
        Self { probe, name, level, found: found.into() }
    }
}

/// All probes of an image, and the parts that a build needs of them.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Results in the order of the list.
    pub findings: Vec<Finding>,
    /// Where boot loader and menu are.
    pub boot: Option<BootFiles>,
    /// Version of the kernel that boots.
    pub kernel: Option<String>,
    /// Name of the installer, if it is a known one.
    pub installer: Option<&'static str>,
}

impl Survey {
    /// An error with every fatal finding, if there is one.
    pub fn require_usable(&self) -> Result<()> {
        let fatal: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| finding.level == Level::Fatal)
            .map(|finding| format!("probe {} ({}): {}", finding.probe, finding.name, finding.found))
            .collect();
        if fatal.is_empty() {
            return Ok(());
        }
        Err(Class::BadInput
            .error(format!("the image can't be used: {}; use the Proxmox VE 3.2 ISO", fatal.join("; "))))
    }

    /// The notes, for the user.
    pub fn notes(&self) -> Vec<String> {
        let notes = self.findings.iter().filter(|finding| finding.level == Level::Note);
        notes.map(|finding| format!("{}: {}", finding.name, finding.found)).collect()
    }
}

/// Looks at everything. What can't be read is a fatal finding, not an error, so that all is seen in one run.
pub fn survey(image: &Image) -> Survey {
    let mut findings = Vec::new();
    let mut note = |finding: Result<Finding>, probe: u8, name: &'static str| {
        findings.push(
            finding.unwrap_or_else(|error| Finding::new(probe, name, Level::Fatal, format!("{error:#}"))),
        );
    };
    note(installer_family(image), 1, "layout");
    note(Ok(layout::zisofs(image)), 2, "compression");
    let boot = plan::boot_files(image);
    let menu = boot
        .as_ref()
        .ok()
        .and_then(|boot| plan::menu_text(image, boot).ok())
        .map(|text| bootmenu::parse(&text));
    note(boot_loader(&boot, menu.as_ref()), 3, "boot loader");
    note(layout::hybrid(image), 4, "boot from USB");
    let normal = menu.as_ref().and_then(|menu| menu.normal().ok());
    let boot = boot.ok();
    let file = |name: &str| boot.as_ref().and_then(|boot| image.resolve(&boot.resolve(name)));
    let initrd = normal.and_then(|label| label.initrds().into_iter().find_map(file));
    let init = initrd::probe(image, initrd);
    for (finding, (probe, name)) in init.into_iter().zip([(5, "initrd format"), (6, "search for the medium")])
    {
        note(finding, probe, name);
    }
    let kernel = kernel::version(image, normal.and_then(|label| label.kernel.as_deref()).and_then(file));
    note(
        kernel.as_ref().map_or_else(
            |error| Err(anyhow::anyhow!("{error:#}")),
            |version| Ok(kernel::package(image, version)),
        ),
        7,
        "kernel and package",
    );
    note(Ok(layout::packages(image)), 8, "packages");
    note(Ok(layout::memory(image)), 9, "memory");
    note(Ok(installer::perl(image)), 10, "perl");
    note(Ok(layout::writable(image)), 11, "writable places");
    note(Ok(layout::identity(image)), 17, "identity of the medium");
    let installer = installer::probe(image);
    let name = installer.as_ref().ok().and_then(|(name, _)| *name);
    note(installer.map(|(_, finding)| finding), 0, "installer");
    Survey { findings, boot, kernel: kernel.ok(), installer: name }
}

fn installer_family(image: &Image) -> Result<Finding> {
    let family = family::detect(image)?;
    family::require_live_root(family)?;
    Ok(Finding::new(1, "layout", Level::Ok, family.to_string()))
}

fn boot_loader(boot: &Result<BootFiles>, menu: Option<&bootmenu::Menu>) -> Result<Finding> {
    let boot = boot.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let menu = menu.ok_or_else(|| anyhow::anyhow!("{} can't be read", boot.menu))?;
    let normal = menu.normal()?;
    let labels: Vec<_> = menu.labels.iter().map(|label| label.name.as_str()).collect();
    Ok(Finding::new(
        3,
        "boot loader",
        Level::Ok,
        format!(
            "{} with {}, labels [{}], normal label {}",
            boot.loader,
            boot.menu,
            labels.join(", "),
            normal.name
        ),
    ))
}

/// The finding on the checksum of the image (probe 16).
pub fn checksum(found: &str, wanted: Option<&str>) -> Finding {
    let (level, text) = match wanted {
        Some(wanted) if wanted.eq_ignore_ascii_case(found) => {
            (Level::Ok, format!("SHA-256 {found}, as wanted"))
        }
        Some(wanted) => (Level::Fatal, format!("SHA-256 {found}, wanted {wanted}")),
        None => (Level::Note, format!("SHA-256 {found}, compared with nothing (give --sha256)")),
    };
    Finding::new(16, "checksum", level, text)
}
