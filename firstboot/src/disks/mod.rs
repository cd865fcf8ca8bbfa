//! Data disks: every blank one becomes an ext3 file system below `/data`, everything else is left alone and named.
//!
//! A file system lies on the whole disk, without a partition table: there is nothing to align, and a disk that is
//! replaced by a larger one needs no table. It is found by its UUID, and named by its label. docs/disks.md says more.

mod apply;
pub mod decide;
mod fstab;
pub mod owner;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::facts::disks::{Disk, Source};
use crate::files;
use crate::preinstall::marker;
use crate::preinstall::turn::{self, Turn};
use crate::site::{self, Site};
use crate::step::{Finding, Step};
use crate::system::System;

pub use decide::{LABEL, Policy, Verdict, decide};
use fstab::Fstab;

/// Where data disks are mounted.
pub const FOLDER: &str = "/data";

/// Disks whose formatting was begun and has not come to its end: after a power cut they are neither blank nor ours.
const BEGUN: &str = "/var/lib/cias/formatting.json";

/// Where file systems are mounted, read-only, for a look.
const LOOK: &str = "/var/lib/cias/look";

/// What is to be done with one disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The disk.
    pub disk: Disk,
    /// What was decided.
    pub verdict: Verdict,
    /// Name below [`FOLDER`]; nothing for a refused disk.
    pub name: Option<String>,
}

impl Item {
    /// Mount point, as long as there is a name.
    fn point(&self) -> Option<String> {
        self.name.as_ref().map(|name| format!("{FOLDER}/{name}"))
    }

    fn is_mounted(&self) -> bool {
        self.point().is_some_and(|point| self.disk.mounts.contains(&point))
    }
}

/// What is to be done with all disks; pure.
///
/// A file system keeps the name that fstab or else its label gives it. New ones get the first free `diskN`, in the order
/// of the disks' names; a name in fstab stays taken even while its disk is away.
pub fn plan(disks: &[Disk], policy: &Policy, taken: &BTreeMap<String, String>, begun: &[Begun]) -> Vec<Item> {
    let verdicts: Vec<Verdict> =
        disks.iter().map(|disk| decide(disk, disks, policy, begun.contains(&Begun::of(disk)))).collect();
    let mut names: Vec<String> = taken.values().cloned().collect();
    // Those that have a name come first, so that no new disk takes it.
    let mut given: Vec<Option<String>> = vec![None; disks.len()];
    for (at, verdict) in verdicts.iter().enumerate() {
        if let Verdict::Reuse { uuid, label } = verdict {
            let name = taken.get(uuid).cloned().unwrap_or_else(|| free_name(label, &names));
            names.push(name.clone());
            given[at] = Some(name);
        }
    }
    for (at, _) in verdicts.iter().enumerate().filter(|(_, verdict)| **verdict == Verdict::Format) {
        let name = next_name(&names);
        names.push(name.clone());
        given[at] = Some(name);
    }
    let whole = disks.iter().zip(verdicts).zip(given);
    whole.map(|((disk, verdict), name)| Item { disk: disk.clone(), verdict, name }).collect()
}

/// The name in the label, unless it is taken or is no plain name.
fn free_name(label: &str, taken: &[String]) -> String {
    let own = label.strip_prefix(LABEL).unwrap_or_default();
    let plain = !own.is_empty() && own.chars().all(|c| c.is_ascii_alphanumeric());
    let free = plain && !taken.iter().any(|name| name == own);
    if free { own.to_owned() } else { next_name(taken) }
}

fn next_name(taken: &[String]) -> String {
    let mut number = 1_u32;
    while taken.contains(&format!("disk{number}")) {
        number += 1;
    }
    format!("disk{number}")
}

/// A disk whose formatting was begun.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Begun {
    path: PathBuf,
    serial: Option<String>,
    size: u64,
}

impl Begun {
    /// How the disk is known again after a power cut: a disk that was moved meanwhile is another one.
    pub fn of(disk: &Disk) -> Self {
        Self { path: disk.path.clone(), serial: disk.serial.clone(), size: disk.size }
    }
}

/// The step of the stage *provision* that brings the data disks up.
pub struct DataDisks {
    wanted: site::Disks,
    key: String,
    also: Vec<String>,
    /// What went wrong in this run, by the path of the disk. Such a disk is a warning and no longer a thing to do; the
    /// next boot tries it again.
    failed: Mutex<BTreeMap<PathBuf, String>>,
}

impl DataDisks {
    /// The data disks as `site` wants them.
    pub fn new(site: &Site) -> Self {
        let failed = Mutex::new(BTreeMap::new());
        Self { wanted: site.disks.clone(), key: site.secrets.key.clone(), also: Vec::new(), failed }
    }

    /// Counts devices of these names as disks although they have no hardware behind them.
    #[must_use]
    pub fn with(self, also: Vec<String>) -> Self {
        Self { also, ..self }
    }

    fn turn(system: &System) -> Result<Turn> {
        Turn::take(&system.root.path(LOOK), turn::LIMIT)
    }

    fn look(&self, system: &System, turn: &Turn) -> Result<Vec<Item>> {
        let source = Source { also: self.also.clone(), ..Source::machine(system.runner).below(&system.root) };
        let fstab = Fstab::parse(&system.root.text("/etc/fstab")?);
        let (names, mut listed) = (fstab.names(), fstab.elsewhere());
        // A link, such as those in /dev/disk/by-id, means what it leads to.
        let real = listed.iter().filter(|field| field.starts_with("/dev/"));
        let real: Vec<_> =
            real.filter_map(|field| std::fs::canonicalize(system.root.path(field)).ok()).collect();
        listed.extend(real.iter().map(|path| path.to_string_lossy().into_owned()));
        let policy = Policy::of(&self.wanted, &self.key, names.keys().cloned().collect(), listed);
        let mut items = plan(&source.disks()?, &policy, &names, &begun(system)?);
        for item in items.iter_mut().filter(|item| item.verdict == Verdict::Format) {
            spare_installation(system, item, turn)?;
        }
        Ok(items)
    }

    fn failed(&self) -> BTreeMap<PathBuf, String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, outcome: apply::Outcome) -> Result<()> {
        match outcome.interrupted {
            Some(error) => return Err(error),
            None => self.failed.lock().unwrap_or_else(PoisonError::into_inner).extend(outcome.failures),
        }
        Ok(())
    }
}

/// A system that this product installed is no data disk, whatever the policy: only the installer may overwrite it, and
/// only when it is told to.
fn spare_installation(system: &System, item: &mut Item, turn: &Turn) -> Result<()> {
    if let Some(found) = marker::find(system, &item.disk, turn)?.describe() {
        item.verdict = Verdict::Refuse(format!(
            "it carries {found}, which no policy overwrites: clear it by hand if nobody needs it"
        ));
        item.name = None;
    }
    Ok(())
}

fn begun(system: &System) -> Result<Vec<Begun>> {
    if !system.root.has(BEGUN) {
        return Ok(Vec::new());
    }
    serde_json::from_str(&system.root.text(BEGUN)?).with_context(|| format!("reading {BEGUN}"))
}

/// Remembers what is being formatted.
fn remember(system: &System, items: &[&Item]) -> Result<()> {
    let path = system.root.path(BEGUN);
    if items.is_empty() {
        return files::remove(&path);
    }
    let list: Vec<Begun> = items.iter().map(|item| Begun::of(&item.disk)).collect();
    files::write(&path, serde_json::to_string(&list)?, 0o600)
}

impl Step for DataDisks {
    fn name(&self) -> &'static str {
        "bring up the data disks"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let fstab = Fstab::parse(&system.root.text("/etc/fstab")?).names();
        let failed = self.failed();
        let mut finding = Finding::default();
        for item in self.look(system, &Self::turn(system)?)? {
            let (shown, point) = (item.disk.describe(), item.point().unwrap_or_default());
            if let Some(failure) = failed.get(&item.disk.path) {
                finding.warnings.push(failure.clone());
                continue;
            }
            match &item.verdict {
                Verdict::Format => {
                    finding.todo.push(format!("format {shown} as ext3 and mount it at {point}"));
                }
                Verdict::Reuse { uuid, .. } if !item.is_mounted() || !fstab.contains_key(uuid) => {
                    finding.todo.push(format!("mount {shown}, which is ours, at {point}"));
                }
                Verdict::Refuse(reason) => finding.warnings.push(format!("{shown} is not used: {reason}")),
                Verdict::Reuse { .. } | Verdict::System => {}
            }
        }
        Ok(finding)
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let turn = Self::turn(system)?;
        let items = self.look(system, &turn)?;
        let format: Vec<&Item> = items.iter().filter(|item| item.verdict == Verdict::Format).collect();
        if !format.is_empty() {
            let before = begun(system)?;
            remember(system, &format)?;
            let outcome = apply::format(system, &format, &self.wanted, &self.key);
            // A disk that was refused was not begun now, but perhaps before.
            let is_begun = |disk: &Disk| {
                outcome.failures.contains_key(&disk.path)
                    && (!outcome.refused.contains(&disk.path) || before.contains(&Begun::of(disk)))
            };
            let left: Vec<&Item> = format.into_iter().filter(|item| is_begun(&item.disk)).collect();
            remember(system, &left)?;
            self.note(outcome)?;
        }
        let failed = self.failed();
        let mut items = self.look(system, &turn)?;
        items.retain(|item| !failed.contains_key(&item.disk.path));
        self.note(apply::mount(system, &items)?)?;
        // What failed is told by the check that follows.
        Ok(Vec::new())
    }
}
