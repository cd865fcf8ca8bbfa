//! Formats and mounts what the plan says. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::fstab::Fstab;
use super::{FOLDER, Item, LABEL, Verdict, owner};
use crate::files;
use crate::outcome::Class;
use crate::preinstall::clear;
use crate::runner::Call;
use crate::site;
use crate::system::System;

/// How long one `mkfs.ext3` may take: a large, slow disk needs minutes even with few inodes.
const LIMIT: Duration = Duration::from_hours(1);

/// The least inodes of a disk, beside those that the ratio gives: a chunkserver makes 256 folders before it keeps anything.
const INODES: u64 = 8192;

/// A sentence for each disk that failed, by its path.
type Failures = BTreeMap<PathBuf, String>;

/// What came of several disks.
#[derive(Default)]
pub struct Outcome {
    /// The disks that failed.
    pub failures: Failures,
    /// Those of them that turned out not to be what was decided about: whatever is on them is not what we began.
    pub refused: BTreeSet<PathBuf>,
    /// We were asked to stop: no disk failed, and the rest is for the next run.
    pub interrupted: Option<anyhow::Error>,
}

impl Outcome {
    fn note(&mut self, item: &Item, what: &str, error: anyhow::Error) {
        let sentence = format!("{} could not be {what}: {error:#}", item.disk.describe());
        self.failures.insert(item.disk.path.clone(), sentence);
        match Class::of(&error) {
            Class::Refused => drop(self.refused.insert(item.disk.path.clone())),
            Class::Interrupted => self.interrupted = Some(error),
            _ => {}
        }
    }
}

/// Formats all of `items` at the same time. A dead disk must not keep the others from serving.
pub fn format(system: &System, items: &[&Item], wanted: &site::Disks, key: &str) -> Outcome {
    thread::scope(|scope| {
        let threads: Vec<_> = items
            .iter()
            .map(|item| (item, scope.spawn(move || format_one(system, item, wanted, key))))
            .collect();
        let mut outcome = Outcome::default();
        for (item, thread) in threads {
            let result = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("its thread panicked")));
            if let Err(error) = result {
                outcome.note(item, "formatted", error);
            }
        }
        outcome
    })
}

fn format_one(system: &System, item: &Item, wanted: &site::Disks, key: &str) -> Result<()> {
    let name = item.name.as_deref().unwrap_or_default();
    let mut random = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .context("reading /dev/urandom for a UUID")?;
    // Whatever mkfs does not overwrite, such as a second partition table at the end, would be found again.
    clear::clear(system, &item.disk)?;
    // mkfs opens the disk by its name.
    clear::is_cleared(system, &item.disk)?;
    let call = Call::new("mkfs.ext3")
        .args(["-F", "-q", "-m", "0", "-L", &format!("{LABEL}{name}"), "-U", &owner::new_uuid(key, random)?])
        .args([
            "-i",
            &bytes_per_inode(item.disk.size, wanted).to_string(),
            "-J",
            &format!("size={}", wanted.journal_mib),
        ])
        .args(["-E", "nodiscard", &*item.disk.path.to_string_lossy()]);
    system.runner.run(&call.limit(LIMIT))?;
    system.log.say(&format!("{} is formatted as {FOLDER}/{name}", item.disk.describe()));
    Ok(())
}

/// Bytes for each inode on a disk of `size` bytes: what the site wants, but fewer on a small disk.
fn bytes_per_inode(size: u64, wanted: &site::Disks) -> u64 {
    u64::from(wanted.inode_ratio).min(size / INODES)
}

/// Enters those of `items` that carry our file systems into fstab and mounts them. Returns what could not be mounted.
pub fn mount(system: &System, items: &[Item]) -> Result<Outcome> {
    let mut fstab = Fstab::parse(&system.root.text("/etc/fstab")?);
    let mut outcome = Outcome::default();
    let ours = || items.iter().filter(|item| matches!(item.verdict, Verdict::Reuse { .. }));
    for item in ours() {
        if let (Verdict::Reuse { uuid, .. }, Some(name), Some(point)) =
            (&item.verdict, &item.name, item.point())
        {
            files::make_folder(&system.root.path(&point), 0o755)?;
            fstab.add(uuid, name);
        }
    }
    let path = system.root.path("/etc/fstab");
    if !std::fs::read_to_string(&path).is_ok_and(|found| found == fstab.text()) {
        files::rewrite(&path, fstab.text())?;
    }
    for item in ours().filter(|item| !item.is_mounted()) {
        let Some(point) = item.point() else { continue };
        let call = Call::new("mount")
            .args(["-t", "ext3", "-o", "noatime"])
            .args([item.disk.path.to_string_lossy(), system.root.path(&point).to_string_lossy()]);
        if let Err(error) = system.runner.run(&call) {
            outcome.note(item, &format!("mounted at {point}"), error);
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_has_inodes_for_a_chunkserver_and_a_large_one_what_the_site_wants() {
        let site = crate::site::from_text(&crate::site::tests::example()).unwrap();
        let inodes = |size: u64| size / bytes_per_inode(size, &site.disks);
        assert_eq!([1 << 30, 1 << 35, 1 << 40].map(inodes), [8192, 8192, 1 << 18]);
    }
}
