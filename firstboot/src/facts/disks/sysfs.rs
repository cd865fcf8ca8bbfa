//! Reads disks from sysfs (kernel 2.6.32: no `diskseq`, no `wwid`, a serial number only for virtio).

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};

use super::stack::Stack;
use super::{Contents, Disk, Partition, Source};
use crate::signatures::{self, Kind};

/// SCSI device type of CD and DVD drives.
const CD: &str = "5";

pub(super) fn disks(source: &Source) -> Result<Vec<Disk>> {
    let stack = Stack::read(source)?;
    let names: Vec<String> = stack
        .block_names()
        .filter(|name| source.also.iter().any(|also| also == name) || is_disk(source, name))
        .map(ToOwned::to_owned)
        .collect();
    // A dying disk may keep its reader waiting for minutes; the others need not wait with it.
    let mut disks = thread::scope(|scope| {
        let started: Vec<_> = names.iter().map(|name| scope.spawn(|| disk(source, &stack, name))).collect();
        started
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread that read a disk panicked"))?)
            .collect::<Result<Vec<Disk>>>()
    })?;
    disks.retain(|disk| disk.size > 0);
    disks.sort_by(|a, b| natural(&a.name).cmp(&natural(&b.name)));
    Ok(disks)
}

/// `sdb` before `sdaa`: the kernel counts with letters.
fn natural(name: &str) -> (usize, &str) {
    (name.len(), name)
}

/// RAM disks, loops, md, dm and their like have no `device`; CD drives and floppies are no disks.
fn is_disk(source: &Source, name: &str) -> bool {
    let base = source.at("/sys/block").join(name);
    base.join("device").exists()
        && !["sr", "scd", "fd", "mtdblock"].iter().any(|prefix| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
        })
        && !name.contains("boot")
        && attribute(&base, "device/type").as_deref() != Some(CD)
}

fn disk(source: &Source, stack: &Stack, name: &str) -> Result<Disk> {
    let base = source.at("/sys/block").join(name);
    let udev = (source.udev)(name)?;
    let told = |key: &str| udev.get(key).filter(|value| !value.is_empty()).cloned();
    let size = size_of(&base).with_context(|| format!("reading the size of {name}"))?;
    let number = stack.number(name);
    let contents = contents(source, name, &number, size);
    let usage = stack.usage(name);
    let partitions: Vec<Partition> = stack
        .partitions(name)
        .iter()
        .map(|part| partition(source, stack, name, part))
        .collect::<Result<_>>()?;
    let on_partitions = partitions.iter().flat_map(|part| part.contents.signatures());
    let iso = contents.signatures().iter().chain(on_partitions).any(|found| found.kind == Kind::Iso9660);
    let path = std::fs::canonicalize(&base).unwrap_or_else(|_| base.clone());
    let way = || path.components().filter_map(|part| part.as_os_str().to_str());
    let external = way().any(|part| numbered(part, "usb") || numbered(part, "fw"));
    let networked = way().any(|part| numbered(part, "session") || part.starts_with("rport-"));
    let locked = |base: &Path| attribute(base, "ro").as_deref() == Some("1");
    Ok(Disk {
        name: name.replace('!', "/"),
        path: node(name),
        number,
        size,
        serial: attribute(&base, "serial")
            .or_else(|| attribute(&base, "device/serial"))
            .or_else(|| told("ID_SCSI_SERIAL"))
            .or_else(|| told("ID_SERIAL_SHORT"))
            .or_else(|| told("ID_SERIAL")),
        wwn: told("ID_WWN_WITH_EXTENSION").or_else(|| told("ID_WWN")),
        model: attribute(&base, "device/model").or_else(|| told("ID_MODEL")),
        rotational: attribute(&base, "queue/rotational").as_deref() != Some("0"),
        removable: external || attribute(&base, "removable").as_deref() == Some("1"),
        networked,
        read_only: locked(&base) || stack.partitions(name).iter().any(|part| locked(&base.join(part))),
        system: usage.system,
        boot_medium: usage.iso || iso,
        mounts: usage.mounts,
        swap: usage.swap,
        holders: usage.holders,
        together: usage.together,
        partitions,
        contents,
    })
}

fn partition(source: &Source, stack: &Stack, disk: &str, name: &str) -> Result<Partition> {
    let base = source.at("/sys/block").join(disk).join(name);
    let size = size_of(&base).with_context(|| format!("reading the size of {name}"))?;
    let number = stack.number(name);
    let contents = contents(source, name, &number, size);
    Ok(Partition { name: name.replace('!', "/"), path: node(name), number, size, contents })
}

fn contents(source: &Source, name: &str, number: &str, size: u64) -> Contents {
    let read = File::open(source.at(node(name))).and_then(|mut file| {
        if let Some(found) = device_number(&file)?.filter(|found| found != number) {
            let text = format!("it is another device than the kernel says: found {found}, wanted {number}");
            return Err(std::io::Error::other(text));
        }
        signatures::scan(&mut file, size)
    });
    match read {
        Ok(found) => Contents::Read(found),
        Err(error) => Contents::Unreadable(error.to_string()),
    }
}

/// `MAJOR:MINOR` of an open block device; nothing for any other file.
pub(crate) fn device_number(file: &File) -> std::io::Result<Option<String>> {
    let found = file.metadata()?;
    let (major, minor) = (nix::sys::stat::major(found.rdev()), nix::sys::stat::minor(found.rdev()));
    Ok(found.file_type().is_block_device().then(|| format!("{major}:{minor}")))
}

/// The device node of a kernel name, which has `!` for `/`.
fn node(name: &str) -> std::path::PathBuf {
    Path::new("/dev").join(name.replace('!', "/"))
}

/// sysfs counts in units of 512 bytes whatever the sector size is.
fn size_of(base: &Path) -> Result<u64> {
    let path = base.join("size");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let units: u64 = text.trim().parse().with_context(|| format!("reading {}", path.display()))?;
    Ok(units * 512)
}

/// An attribute without blanks around it; an empty one, or one that this kernel does not have, is nothing.
fn attribute(base: &Path, name: &str) -> Option<String> {
    let text = std::fs::read(base.join(name)).ok()?;
    let text: String = String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn numbered(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
}
