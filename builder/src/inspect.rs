//! `cias-builder inspect`: every probe of an image, with its reason.

use crate::copy;
use crate::family::{self, Family};
use crate::iso9660::Image;
use crate::probes::{self, Finding, Level};
use crate::progress::Progress;
use anyhow::{Context, Result};
use cias_firstboot::interrupt::Interrupt;
use serde::Serialize;
use std::fs::File;
use std::path::Path;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Layout, if known.
    pub family: Option<Family>,
    /// SHA-256 of the image.
    pub sha256: String,
    /// Whether `build` would take it.
    pub usable: bool,
    /// All probes.
    pub probes: Vec<Finding>,
}

/// Looks at the image at `path`. An image that can't be used is no error here.
pub fn inspect(
    path: &Path,
    wanted: Option<&str>,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<Report> {
    let image = Image::open(path)?;
    let mut probes = probes::survey(&image).findings;
    let mut phase = progress.phase("hash", image.size());
    let mut file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let (sha256, _) = copy::hash(&mut file, interrupt, &mut phase)?;
    phase.done();
    probes.push(probes::checksum(&sha256, wanted));
    probes.sort_by_key(|finding| finding.probe);
    Ok(Report {
        family: family::detect(&image).ok(),
        sha256,
        usable: probes.iter().all(|finding| finding.level != Level::Fatal),
        probes,
    })
}

impl Report {
    /// The report as text.
    pub fn text(&self) -> String {
        let line = |finding: &Finding| {
            let level = match finding.level {
                Level::Ok => "ok",
                Level::Note => "note",
                Level::Fatal => "FATAL",
            };
            format!("{level:>5}  {:>2} {}: {}\n", finding.probe, finding.name, finding.found)
        };
        let lines: String = self.probes.iter().map(line).collect();
        lines + if self.usable { "usable\n" } else { "not usable\n" }
    }
}
