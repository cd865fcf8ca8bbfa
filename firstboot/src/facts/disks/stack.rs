//! How block devices stand on each other, and what is mounted or swapped on at the top.
//!
//! A mounted LVM volume makes every disk below it used. The kernel tells the way down by `slaves/` and the way up
//! by `holders/`; partitions hang below their disk.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::Source;

/// Folders whose file systems make a disk the system's.
const SYSTEM: [&str; 4] = ["/", "/boot", "/usr", "/var"];

/// One block device or partition.
#[derive(Debug, Default)]
struct Device {
    /// The disk, if this is a partition.
    disk: Option<String>,
    /// What this is built on.
    slaves: Vec<String>,
    /// What is built on this.
    holders: Vec<String>,
    /// `MAJOR:MINOR`.
    number: String,
    /// The name that device mapper gave, as in `/dev/mapper/NAME`.
    mapped: Option<String>,
}

/// A file system that is mounted.
#[derive(Debug)]
struct Mount {
    number: String,
    source: String,
    point: String,
    kind: String,
}

/// All block devices, and what is mounted and swapped on.
pub(super) struct Stack {
    devices: BTreeMap<String, Device>,
    mounts: Vec<(Vec<String>, Mount)>,
    swaps: Vec<String>,
}

/// What uses one disk.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub system: bool,
    pub iso: bool,
    pub mounts: Vec<String>,
    pub swap: bool,
    pub holders: Vec<String>,
    pub together: Vec<String>,
}

impl Stack {
    pub(super) fn read(source: &Source) -> Result<Self> {
        let mut stack = Self { devices: devices(source)?, mounts: Vec::new(), swaps: Vec::new() };
        let path = source.at("/proc/self/mountinfo");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        stack.mounts = text
            .lines()
            .filter_map(mount)
            .map(|mut mount| {
                mount.point = below(&source.root, mount.point);
                let by_number = stack.devices.iter().find(|(_, device)| device.number == mount.number);
                let name =
                    by_number.map(|(name, _)| name.clone()).or_else(|| stack.named(source, &mount.source));
                (name.map_or(Vec::new(), |name| stack.disks_below(&name)), mount)
            })
            .collect();
        let path = source.at("/proc/swaps");
        // A kernel without swap has no such file.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        stack.swaps = text
            .lines()
            .skip(1)
            .filter_map(|line| stack.named(source, &unescape(line.split_whitespace().next()?)))
            .flat_map(|name| stack.disks_below(&name))
            .collect();
        Ok(stack)
    }

    /// Names of whole devices, no partitions.
    pub(super) fn block_names(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().filter(|(_, device)| device.disk.is_none()).map(|(name, _)| name.as_str())
    }

    pub(super) fn partitions(&self, disk: &str) -> Vec<String> {
        let mut found: Vec<String> = self
            .devices
            .iter()
            .filter(|(_, device)| device.disk.as_deref() == Some(disk))
            .map(|(name, _)| name.clone())
            .collect();
        found.sort_by_key(|name| (name.len(), name.clone()));
        found
    }

    pub(super) fn usage(&self, disk: &str) -> Usage {
        let mut usage = Usage { swap: self.swaps.iter().any(|name| name == disk), ..Usage::default() };
        for (_, mount) in self.mounts.iter().filter(|(disks, _)| disks.iter().any(|name| name == disk)) {
            let iso = mount.kind == "iso9660";
            usage.iso |= iso;
            usage.system |= !iso && SYSTEM.contains(&mount.point.as_str());
            usage.mounts.push(mount.point.clone());
        }
        usage.holders = self.above(disk);
        let below = usage.holders.iter().flat_map(|name| self.disks_below(name));
        let others: BTreeSet<String> = below.filter(|name| name != disk).collect();
        usage.together = others.into_iter().collect();
        usage
    }

    /// The device that a path such as `/dev/sda1`, `/dev/mapper/pve-root` or a link to one means.
    fn named(&self, source: &Source, path: &str) -> Option<String> {
        if let Some(mapped) = path.strip_prefix("/dev/mapper/")
            && let Some((name, _)) =
                self.devices.iter().find(|(_, device)| device.mapped.as_deref() == Some(mapped))
        {
            return Some(name.clone());
        }
        let real = std::fs::canonicalize(source.at(path)).ok();
        let root = std::fs::canonicalize(&source.root).ok()?;
        let inside = real.and_then(|real| Some(real.strip_prefix(root).ok()?.to_string_lossy().into_owned()));
        let text = inside.map_or_else(|| path.to_owned(), |inside| format!("/{inside}"));
        let name = text.strip_prefix("/dev/")?.replace('/', "!");
        self.devices.contains_key(&name).then_some(name)
    }

    pub(super) fn number(&self, name: &str) -> String {
        self.devices.get(name).map(|device| device.number.clone()).unwrap_or_default()
    }

    /// All that is built on `disk` and its partitions, the lower ones first.
    fn above(&self, disk: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut open = vec![disk.to_owned()];
        // No stack is higher than there are devices.
        for _ in 0..self.devices.len() {
            let part = |device: &Device| device.disk.as_ref().is_some_and(|disk| open.contains(disk));
            let own = self.devices.iter().filter(|(name, device)| open.contains(name) || part(device));
            let next: BTreeSet<String> = own.flat_map(|(_, device)| device.holders.iter().cloned()).collect();
            // What is reached on a longer way as well stands higher.
            found.retain(|name| !next.contains(name));
            found.extend(next.iter().cloned());
            open = next.into_iter().collect();
        }
        found
    }

    /// The devices at the bottom below `name`, itself if nothing is.
    fn disks_below(&self, name: &str) -> Vec<String> {
        let (mut bottom, mut seen, mut open) = (Vec::new(), BTreeSet::new(), vec![name.to_owned()]);
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let Some(device) = self.devices.get(&name) else { continue };
            if let Some(disk) = &device.disk {
                open.push(disk.clone());
            } else if device.slaves.is_empty() {
                bottom.push(name);
            } else {
                open.extend(device.slaves.iter().cloned());
            }
        }
        bottom
    }
}

fn devices(source: &Source) -> Result<BTreeMap<String, Device>> {
    let base = source.at("/sys/block");
    let mut found = BTreeMap::new();
    for name in names(&base).with_context(|| format!("reading {}", base.display()))? {
        let folder = base.join(&name);
        for part in names(&folder).unwrap_or_default() {
            if folder.join(&part).join("partition").exists() || is_partition_name(&name, &part) {
                found.insert(part.clone(), device(&folder.join(&part), Some(name.clone())));
            }
        }
        found.insert(name, device(&folder, None));
    }
    Ok(found)
}

/// Kernels before 2.6.33 have no `partition` attribute; the name says it.
fn is_partition_name(disk: &str, entry: &str) -> bool {
    entry.strip_prefix(disk).is_some_and(|rest| {
        let digits = rest.strip_prefix('p').unwrap_or(rest);
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
    })
}

fn device(folder: &std::path::Path, disk: Option<String>) -> Device {
    let read =
        |name: &str| std::fs::read_to_string(folder.join(name)).ok().map(|text| text.trim().to_owned());
    Device {
        disk,
        slaves: names(&folder.join("slaves")).unwrap_or_default(),
        holders: names(&folder.join("holders")).unwrap_or_default(),
        number: read("dev").unwrap_or_default(),
        mapped: read("dm/name"),
    }
}

fn names(folder: &std::path::Path) -> std::io::Result<Vec<String>> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// A line of mountinfo: ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS] - TYPE SOURCE OPTIONS.
fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (number, _root, point) = (left.next()?, left.next()?, left.next()?);
    let mut right = right.split(' ');
    Some(Mount {
        number: number.to_owned(),
        point: unescape(point),
        kind: right.next()?.to_owned(),
        source: unescape(right.next()?),
    })
}

/// A mount point as it is seen from `root`; those elsewhere stay as they are.
fn below(root: &std::path::Path, point: String) -> String {
    let inside = std::path::Path::new(&point).strip_prefix(root).ok();
    inside.map(|inside| format!("/{}", inside.display())).unwrap_or(point)
}

/// The kernel writes blanks, tabs, newlines and backslashes in octal.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}
