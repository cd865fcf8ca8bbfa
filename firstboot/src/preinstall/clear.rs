//! Takes one disk out of use and clears the old signatures at both of its ends and at those of its partitions.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::OFlag;

use super::writers;
use crate::facts::disks::{Contents, Disk, device_number};
use crate::failpoint;
use crate::outcome::Class;
use crate::runner::Call;
use crate::signatures::{self, END};
use crate::system::System;

/// How often the kernel is asked to read the partition table again; udev may hold a partition open for a moment.
const ATTEMPTS: u32 = 10;

/// Between two attempts. A command that another thread starts at this moment has our open disk, too, until it runs, and
/// nothing tells when that is.
const PAUSE: Duration = Duration::from_millis(100);

/// Stops the volume groups `groups`, all of which lie on this disk alone, and the arrays on it.
pub fn deactivate(system: &System, disk: &Disk, groups: &[String]) -> Result<()> {
    for group in groups {
        system.runner.run(&Call::new("vgchange").args(["-an", group.as_str()]))?;
    }
    // The upper ones first, they hold the lower ones.
    for array in disk.holders.iter().rev().filter(|name| name.starts_with("md")) {
        // The installer's root may lack mdadm; this is what `mdadm --stop` asks the kernel for.
        let state = system.root.path(&format!("/sys/block/{array}/md/array_state"));
        failpoint::hit(&format!("stop {array} before"));
        std::fs::write(&state, "clear")
            .with_context(|| format!("stopping {array} by {}", state.display()))?;
        failpoint::hit(&format!("stop {array} after"));
    }
    settle(system)
}

/// Overwrites both ends of every partition and then of the disk, and has the kernel forget the partitions. `disk` is
/// what the facts say now; whatever uses it, or is not as the facts say, makes this a refusal before the first byte.
pub fn clear(system: &System, disk: &Disk) -> Result<()> {
    let shown = disk.path.display();
    settle(system)?;
    if disk.in_use() {
        return Err(Class::Refused.error(format!(
            "{shown} is still in use by {}: nothing was written; stop that by hand, then start again",
            disk.mounts.iter().chain(&disk.holders).cloned().collect::<Vec<_>>().join(", ")
        )));
    }
    // The kernel grants this only if nothing at all has claimed the disk or a part of it. What is opened here is what is
    // written to, whatever the names mean later.
    let mut file =
        open(system, &disk.path, OFlag::O_EXCL).map_err(|error| taken(disk, &error.to_string()))?;
    let parts_numbers = disk.partitions.iter().map(|part| part.number.as_str());
    let numbers: Vec<&str> = parts_numbers.chain([disk.number.as_str()]).collect();
    let writers = writers::find(&system.root, &numbers);
    if !writers.is_empty() {
        return Err(taken(disk, &format!("{} writes to it", writers.join(", "))));
    }
    let mut parts = Vec::new();
    for part in &disk.partitions {
        let opened = open(system, &part.path, OFlag::empty());
        let mut file = opened.map_err(|error| taken(disk, &format!("{}: {error}", part.path.display())))?;
        is_as_told(&mut file, &part.path, &part.number, part.size, &part.contents)?;
        parts.push((file, part));
    }
    is_as_told(&mut file, &disk.path, &disk.number, disk.size, &disk.contents)?;
    for (mut file, part) in parts {
        wipe_ends(&mut file, &part.path, part.size)?;
    }
    wipe_ends(&mut file, &disk.path, disk.size)?;
    drop(file);
    forget_partitions(system, disk)
}

fn taken(disk: &Disk, why: &str) -> anyhow::Error {
    Class::Refused.error(format!(
        "{} can't be had for this installation alone ({why}): nothing was written; find out what uses it, then start again",
        disk.path.display()
    ))
}

/// Refuses if what now answers to the name of a disk that was cleared is not that disk, blank at both ends.
pub fn is_cleared(system: &System, disk: &Disk) -> Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .open(system.root.path(&disk.path.to_string_lossy()))
        .with_context(|| format!("opening {}", disk.path.display()))?;
    is_as_told(&mut file, &disk.path, &disk.number, disk.size, &Contents::Read(Vec::new()))
}

fn open(system: &System, path: &Path, flags: OFlag) -> std::io::Result<File> {
    let path = system.root.path(&path.to_string_lossy());
    OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)
}

/// Refuses if an open device is not the one that was decided about.
fn is_as_told(file: &mut File, path: &Path, number: &str, size: u64, contents: &Contents) -> Result<()> {
    let reading = || format!("reading {}", path.display());
    let (found, end) =
        (device_number(file).with_context(reading)?, file.seek(SeekFrom::End(0)).with_context(reading)?);
    let what = if found.as_deref() != Some(number) {
        format!("it is the device {}, wanted {number}", found.as_deref().unwrap_or("of no number"))
    } else if end != size {
        format!("it has {end} bytes, wanted {size}")
    } else if Contents::Read(signatures::scan(file, size).with_context(reading)?) != *contents {
        "what is on it has changed".to_owned()
    } else {
        return Ok(());
    };
    Err(Class::Refused.error(format!(
        "{} is not what was decided about ({what}): it was not written to; start again",
        path.display()
    )))
}

/// The one place of the installer that writes to a raw disk: zeroes over the first and the last MiB.
///
/// That takes in GPT's second copy, every version of md's superblock and all four ZFS labels but for parts that say
/// nothing alone (`crate::signatures`).
fn wipe_ends(file: &mut File, path: &Path, size: u64) -> Result<()> {
    let shown = path.display();
    let head = size.min(END);
    let tail = size.saturating_sub(END).max(head);
    failpoint::hit(&format!("wipe {shown} before"));
    for (at, length) in [(tail, size - tail), (0, head)] {
        let zeroes = vec![0; usize::try_from(length)?];
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.write_all(&zeroes))
            .with_context(|| format!("clearing {length} bytes at {at} of {shown}"))?;
        failpoint::hit(&format!("wipe {shown} at {at}"));
    }
    file.sync_all().with_context(|| format!("syncing {shown}"))?;
    failpoint::hit(&format!("wipe {shown} after"));
    Ok(())
}

fn forget_partitions(system: &System, disk: &Disk) -> Result<()> {
    let call = Call::new("blockdev").args(["--rereadpt".into(), disk.path.to_string_lossy()]);
    let mut last = None;
    for _ in 0..ATTEMPTS {
        settle(system)?;
        match system.runner.run(&call) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
        std::thread::sleep(PAUSE);
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no attempt was made")))
        .with_context(|| format!("having the kernel forget the partitions of {}", disk.path.display()))
}

/// Waits until udev is done with what was closed or removed; it opens devices then. No udev, no waiting. Fails only if we
/// are asked to stop.
fn settle(system: &System) -> Result<()> {
    let call = Call::new("udevadm").args(["settle", "--timeout=10"]).limit(Duration::from_secs(30));
    match system.runner.run(&call) {
        Err(error) if Class::of(&error) == Class::Interrupted => Err(error),
        _ => Ok(()),
    }
}
