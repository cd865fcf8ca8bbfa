//! Formats and mounts what the plan says. Decides nothing.

use std::time::Duration;

use anyhow::Result;

use super::fstab::Fstab;
use super::{FOLDER, Item, LABEL, Verdict};
use crate::files;
use crate::preinstall::clear;
use crate::runner::Call;
use crate::site;
use crate::system::System;

/// How long one `mkfs.ext3` may take: a large, slow disk needs minutes even with few inodes.
const LIMIT: Duration = Duration::from_hours(1);

/// Formats all of `items` at the same time, and returns a sentence for each that failed: a dead disk must not keep
/// the others from serving.
pub fn format(system: &System, items: &[&Item], wanted: &site::Disks) -> Vec<String> {
    // Only what the threads need: the log and the runner are shared, each disk has its own commands.
    let failures: Vec<Option<String>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            items.iter().map(|item| scope.spawn(move || format_one(system, item, wanted))).collect();
        let outcome = |(thread, item): (std::thread::ScopedJoinHandle<Result<()>>, &&Item)| {
            let error = match thread.join() {
                Ok(Ok(())) => return None,
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "its thread panicked".to_owned(),
            };
            Some(format!("{} could not be formatted: {error}", item.disk.describe()))
        };
        threads.into_iter().zip(items).map(outcome).collect()
    });
    failures.into_iter().flatten().collect()
}

fn format_one(system: &System, item: &Item, wanted: &site::Disks) -> Result<()> {
    let name = item.name.as_deref().unwrap_or_default();
    // Whatever mkfs does not overwrite, such as a second partition table at the end, would be found again.
    clear::clear(system, &item.disk)?;
    let call = Call::new("mkfs.ext3")
        .args(["-F", "-q", "-m", "0", "-L", &format!("{LABEL}{name}")])
        .args(["-i", &wanted.inode_ratio.to_string(), "-J", &format!("size={}", wanted.journal_mib)])
        .args(["-E", "nodiscard", &*item.disk.path.to_string_lossy()]);
    system.runner.run(&call.limit(LIMIT))?;
    system.log.say(&format!("{} is formatted as {FOLDER}/{name}", item.disk.describe()));
    Ok(())
}

/// Enters all of `items`, which carry our file systems, into fstab and mounts them.
pub fn mount(system: &System, items: &[Item]) -> Result<Vec<String>> {
    let mut fstab = Fstab::parse(&system.root.text("/etc/fstab")?);
    for item in items {
        if let (Verdict::Reuse { uuid, .. }, Some(name)) = (&item.verdict, &item.name) {
            files::make_folder(&system.root.path(&format!("{FOLDER}/{name}")), 0o755)?;
            fstab.add(uuid, name);
        }
    }
    files::write_if_changed(&system.root.path("/etc/fstab"), fstab.text(), 0o644)?;
    let mut warnings = Vec::new();
    for item in items {
        let Some(name) = &item.name else { continue };
        let point = format!("{FOLDER}/{name}");
        if item.disk.mounts.contains(&point) {
            continue;
        }
        let call = Call::new("mount").args([
            "-t",
            "ext3",
            "-o",
            "noatime",
            &item.disk.path.to_string_lossy(),
            &point,
        ]);
        if let Err(error) = system.runner.run(&call) {
            warnings.push(format!("{} could not be mounted at {point}: {error:#}", item.disk.describe()));
        }
    }
    Ok(warnings)
}
