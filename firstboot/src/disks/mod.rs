//! Data disks: every blank one becomes an ext3 file system below `/data`, everything else is left alone and named.
//!
//! A file system lies on the whole disk, without a partition table: there is nothing to align, and a disk that is
//! replaced by a larger one needs no table. It is found by its UUID, and named by its label.

mod apply;
pub mod decide;
mod fstab;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::facts::disks::{Disk, Source};
use crate::files;
use crate::site;
use crate::step::{Finding, Step};
use crate::system::System;

pub use decide::{LABEL, Policy, Verdict, decide};
use fstab::Fstab;

/// Where data disks are mounted.
pub const FOLDER: &str = "/data";

/// Disks whose formatting was begun: after a power cut they are neither blank nor ours.
const BEGUN: &str = "/var/lib/cias/formatting.json";

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

/// What is to be done with all disks; pure.
pub fn plan(disks: &[Disk], policy: &Policy, fstab: &Fstab, begun: &[Begun]) -> Vec<Item> {
    let verdicts: Vec<(&Disk, Verdict)> = disks
        .iter()
        .map(|disk| (disk, decide(disk, disks, policy, begun.contains(&Begun::of(disk)))))
        .collect();
    let mut taken: Vec<String> = fstab.names();
    let mut named = Vec::new();
    for (disk, verdict) in verdicts {
        let name = match &verdict {
            Verdict::Refuse(_) | Verdict::System => None,
            Verdict::Reuse { uuid, label } => fstab.name_of(uuid).or_else(|| {
                let own = label.trim_start_matches(LABEL).to_owned();
                Some(if taken.contains(&own) { next_name(&taken) } else { own })
            }),
            Verdict::Format => Some(next_name(&taken)),
        };
        taken.extend(name.clone());
        named.push(Item { disk: disk.clone(), verdict, name });
    }
    named
}

fn next_name(taken: &[String]) -> String {
    (1..=u32::MAX)
        .map(|number| format!("disk{number}"))
        .find(|name| !taken.contains(name))
        .unwrap_or_default()
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
pub struct DataDisks(pub site::Disks);

impl DataDisks {
    fn look(&self, system: &System) -> Result<Vec<Item>> {
        let disks = Source::machine(system.runner).below(&system.root).disks()?;
        let fstab = Fstab::parse(&system.root.text("/etc/fstab")?);
        Ok(plan(&disks, &Policy::of(&self.0), &fstab, &begun(system)?))
    }
}

fn begun(system: &System) -> Result<Vec<Begun>> {
    if !system.root.has(BEGUN) {
        return Ok(Vec::new());
    }
    serde_json::from_str(&system.root.text(BEGUN)?).with_context(|| format!("reading {BEGUN}"))
}

/// One sentence for each disk that is refused.
fn refusals(items: &[Item]) -> Vec<String> {
    let refused = items.iter().filter_map(|item| match &item.verdict {
        Verdict::Refuse(reason) => Some(format!("{} is not used: {reason}", item.disk.describe())),
        _ => None,
    });
    refused.collect()
}

impl Step for DataDisks {
    fn name(&self) -> &'static str {
        "bring up the data disks"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let items = self.look(system)?;
        let fstab = Fstab::parse(&system.root.text("/etc/fstab")?);
        let mut todo = Vec::new();
        for item in &items {
            let Some(name) = &item.name else { continue };
            let (shown, mounted) =
                (item.disk.describe(), item.disk.mounts.contains(&format!("{FOLDER}/{name}")));
            match &item.verdict {
                Verdict::Format => {
                    todo.push(format!("format {shown} as ext3 and mount it at {FOLDER}/{name}"));
                }
                Verdict::Reuse { uuid, .. } if !mounted || fstab.name_of(uuid).is_none() => {
                    todo.push(format!("mount {shown}, which is ours, at {FOLDER}/{name}"));
                }
                _ => {}
            }
        }
        Ok(Finding { todo, warnings: refusals(&items) })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let items = self.look(system)?;
        let format: Vec<&Item> = items.iter().filter(|item| item.verdict == Verdict::Format).collect();
        let mut warnings = refusals(&items);
        if !format.is_empty() {
            let list: Vec<Begun> = format.iter().map(|item| Begun::of(&item.disk)).collect();
            files::write(&system.root.path(BEGUN), serde_json::to_string(&list)?, 0o600)?;
            warnings.extend(apply::format(system, &format, &self.0));
        }
        let items = self.look_again(system, &items)?;
        warnings.extend(apply::mount(system, &items)?);
        files::remove(&system.root.path(BEGUN))?;
        Ok(warnings)
    }
}

impl DataDisks {
    /// The disks as they are after formatting; each keeps the name that it got in the plan.
    fn look_again(&self, system: &System, before: &[Item]) -> Result<Vec<Item>> {
        let mut items = self.look(system)?;
        for item in &mut items {
            let planned = before.iter().find(|known| known.disk.path == item.disk.path);
            if let (Some(known), Some(_)) = (planned, &item.name) {
                item.name = known.name.clone().or(item.name.take());
            }
        }
        items.retain(|item| matches!(item.verdict, Verdict::Reuse { .. }));
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::disks::Contents;
    use crate::facts::disks::testing::{disk, signature};
    use crate::signatures::{Kind, Signature};

    fn policy() -> Policy {
        Policy { wipe: decide::Wipe::Blank, models: Vec::new() }
    }

    fn ours(name: &str, uuid: &str, label: &str) -> Disk {
        let found = Signature {
            uuid: Some(uuid.into()),
            label: Some(format!("{LABEL}{label}")),
            ..signature(Kind::Ext3)
        };
        Disk { contents: Contents::Read(vec![found]), ..disk(name, 8) }
    }

    fn names(disks: &[Disk], fstab: &str) -> Vec<Option<String>> {
        plan(disks, &policy(), &Fstab::parse(fstab), &[]).into_iter().map(|item| item.name).collect()
    }

    #[test]
    fn new_disks_get_the_first_free_names_and_known_ones_keep_theirs() {
        let system = Disk { system: true, ..disk("sda", 8) };
        let disks = [system, disk("sdb", 8), ours("sdc", "u-1", "disk1"), disk("sdd", 8)];
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(
            names(&disks, "UUID=u-1 /data/disk1 ext3 x 0 0\n"),
            [None, some("disk2"), some("disk1"), some("disk3")]
        );
    }

    #[test]
    fn a_disk_of_ours_from_another_node_gets_a_name_that_is_free() {
        let disks = [ours("sdb", "u-1", "disk1"), ours("sdc", "u-2", "disk1")];
        let fstab = "UUID=u-1 /data/disk1 ext3 x 0 0\n";
        assert_eq!(names(&disks, fstab), [Some("disk1".into()), Some("disk2".into())]);
    }

    #[test]
    fn a_disk_on_which_formatting_was_cut_off_is_formatted_again() {
        let half = Disk { contents: Contents::Read(vec![signature(Kind::Unknown)]), ..disk("sdb", 8) };
        let items = plan(std::slice::from_ref(&half), &policy(), &Fstab::parse(""), &[Begun::of(&half)]);
        assert_eq!(items[0].verdict, Verdict::Format);
        let larger = Disk { size: half.size + 512, ..half.clone() };
        let items = plan(&[larger], &policy(), &Fstab::parse(""), &[Begun::of(&half)]);
        assert!(matches!(items[0].verdict, Verdict::Refuse(_)), "another disk in the same place");
    }
}
