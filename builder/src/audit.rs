//! `cias-builder inspect --verify`: is a built image still what was built?
//!
//! The site's region carries a seal under the site key and the hash of the manifest; the manifest has the hashes of all that was added and of the vendor's image, which is read
//! out of the built one (see [`crate::vendor`]). So every file is covered, and the image is read once.

use crate::copy;
use crate::iso9660::{FileSource, Image, Source};
use crate::manifest::{self, FileRecord, Manifest};
use crate::plan::{self, Plan};
use crate::progress::{Phase, Progress};
use crate::sums::{self, Sums};
use crate::vendor::{Shared, Stream, Vendor};
use crate::verify;
use anyhow::{Context, Result};
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::Class;
use cias_firstboot::region;
use serde::Serialize;
use std::fs::File;
use std::path::Path;
use std::rc::Rc;

/// Largest manifest.
const MAX_MANIFEST: u64 = 4 << 20;
/// Largest file that is needed in memory: the kept sectors and the sums.
const MAX_KEPT: u64 = 80 << 20;
/// How many findings an error names.
const NAMED: usize = 8;

/// What an intact image says of itself.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name of the build.
    pub build_id: String,
    /// The program that built it.
    pub builder: String,
    /// SHA-256 of the vendor's image.
    pub source_sha256: String,
    /// How many files were added.
    pub added: usize,
    /// How many files are the vendor's.
    pub originals: usize,
}

/// Checks the image at `path`; with a `key` it must also be an image of the site that has this site key.
pub fn audit(path: &Path, key: Option<&str>, progress: Progress, interrupt: &Interrupt) -> Result<Report> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| {
        Class::BadInput.error(format!("{shown} can't be opened: {error}; check the path"))
    })?;
    audit_source(Rc::new(FileSource::new(file)?), key, progress, interrupt)
        .with_context(|| format!("verifying {shown}"))
}

/// The same for an image that is a [`Source`].
pub fn audit_source(
    source: Rc<dyn Source>,
    key: Option<&str>,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<Report> {
    let made =
        Made { bytes: Shared(Rc::clone(&source)), image: Image::from_source(Box::new(Shared(source)))? };
    let (build_id, manifest) = made.manifest(key)?;
    let plan = manifest.plan()?;
    let mut phase = progress.phase("verify", made.image.size());
    let mut findings = made.added(&plan, &manifest.files, interrupt, &mut phase)?;
    let mut originals = 0;
    // Without what was kept of the vendor's image there is nothing to compare with.
    if ![manifest::VENDOR_SECTORS, sums::PATH]
        .iter()
        .any(|path| findings.iter().any(|(found, _)| found == path))
    {
        originals = made.originals(&plan, &manifest, &mut findings, interrupt, &mut phase)?;
    }
    phase.done();
    if findings.is_empty() {
        let (builder, source_sha256) = (manifest.builder, manifest.source.sha256);
        return Ok(Report { build_id, builder, source_sha256, added: plan.added.len(), originals });
    }
    Err(refusal(&findings))
}

/// A path and what is wrong with it.
type Finding = (String, String);

fn refusal(findings: &[Finding]) -> anyhow::Error {
    let mut named: Vec<&str> = findings.iter().take(NAMED).map(|(_, what)| what.as_str()).collect();
    let more = format!("{} more", findings.len().saturating_sub(NAMED));
    if findings.len() > NAMED {
        named.push(&more);
    }
    Class::BadInput.error(format!("{}; the image is damaged, copy or build it again", named.join(", ")))
}

fn changed(path: &str) -> Finding {
    (path.to_owned(), format!("{path} was changed after the build"))
}

/// An image that was built.
struct Made {
    bytes: Shared,
    image: Image,
}

impl Made {
    /// The name of the build and the manifest, after both seals were found unbroken.
    fn manifest(&self, key: Option<&str>) -> Result<(String, Manifest)> {
        let read = |path: &str, limit: u64| {
            let entry = self.image.get(path).ok_or_else(|| {
                Class::BadInput
                    .error(format!("found no {path} on the image, wanted one that cias-builder has built"))
            })?;
            self.image.read(entry, limit)
        };
        let payload = region::decode(&read(region::PATH, region::SIZE as u64)?)?;
        let found = payload.site()?.secrets.key;
        if key.is_some_and(|wanted| wanted != found) {
            return Err(Class::BadInput.error(format!(
                "{} is sealed with another site key than that of --site; this is another site's image",
                region::PATH
            )));
        }
        let manifest = read(manifest::PATH, MAX_MANIFEST)?;
        if copy::hash_bytes(&manifest) != payload.manifest_sha256 {
            return Err(refusal(&[changed(manifest::PATH)]));
        }
        Ok((payload.build_id, Manifest::from_bytes(&manifest)?))
    }

    /// Compares every added file with its hash and its mode.
    fn added(
        &self,
        plan: &Plan,
        records: &[FileRecord],
        interrupt: &Interrupt,
        phase: &mut Phase,
    ) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for added in &plan.added {
            let entry = match verify::entry(&self.image, added) {
                Ok(entry) => entry,
                Err(error) => {
                    findings.push((added.path.clone(), error.to_string()));
                    continue;
                }
            };
            let wanted = records.iter().find(|record| record.path == added.path);
            if let Some(wanted) = wanted.and_then(|record| record.sha256.as_deref()) {
                let (found, _) = copy::hash(&mut self.image.stored(entry), interrupt, phase)
                    .with_context(|| format!("reading {}", added.path))?;
                if found != wanted {
                    findings.push(changed(&added.path));
                }
            }
        }
        Ok(findings)
    }

    /// Compares the vendor's files, and all that boots, with the vendor's image; returns how many files it has.
    fn originals(
        &self,
        plan: &Plan,
        manifest: &Manifest,
        findings: &mut Vec<Finding>,
        interrupt: &Interrupt,
        phase: &mut Phase,
    ) -> Result<usize> {
        let kept = |path: &str| {
            self.image.read(self.image.get(path).with_context(|| format!("finding {path}"))?, MAX_KEPT)
        };
        let sectors = kept(manifest::VENDOR_SECTORS)?;
        let vendor =
            Vendor::new(self.bytes.clone(), manifest.source.bytes, &manifest.vendor_sectors, &sectors)?;
        let before = Image::from_source(Box::new(vendor.clone()))?;
        let mut sums = Sums::new(sums::stretches(&before)?);
        let (found, _) = copy::hash_and_sum(&mut Stream::new(&vendor), &mut sums, interrupt, phase)?;
        if found != manifest.source.sha256 {
            let names = sums.changed(&before, &kept(sums::PATH)?);
            let now =
                |path: &str| plan.moved.iter().find(|moved| moved.from == path).map(|moved| moved.to.clone());
            findings.extend(names.iter().map(|path| changed(&now(path).unwrap_or((*path).to_owned()))));
            if names.is_empty() {
                findings.push((String::new(), "bytes between the vendor's files were changed".to_owned()));
            }
        }
        let boot = plan::boot_files(&before)?;
        for result in
            [verify::tree(&before, &self.image, plan, &boot), verify::boots(&before, &self.image, &boot)]
        {
            findings.extend(result.err().map(|error| (String::new(), format!("{error:#}"))));
        }
        Ok(before.entries().count())
    }
}
