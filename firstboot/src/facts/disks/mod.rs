//! Disks: what there is, what is on it and what uses it, from sysfs, `/proc` and the disks' own ends.

mod stack;
mod sysfs;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::outcome::Class;
use crate::runner::{Call, Runner};
use crate::signatures::Signature;
use crate::system::Sysroot;

pub(crate) use sysfs::device_number;

/// What was read from both ends of a disk or partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    /// Every signature; none at all means blank.
    Read(Vec<Signature>),
    /// Why it could not be read.
    Unreadable(String),
}

impl Contents {
    /// The signatures, none if unreadable.
    pub fn signatures(&self) -> &[Signature] {
        match self {
            Self::Read(found) => found,
            Self::Unreadable(_) => &[],
        }
    }
}

/// A partition as the kernel sees it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// The kernel's name, as `sda1`.
    pub name: String,
    /// Its device node.
    pub path: PathBuf,
    /// The kernel's number of it, `MAJOR:MINOR`.
    pub number: String,
    /// Size in bytes.
    pub size: u64,
    /// What is on it.
    pub contents: Contents,
}

/// A disk: anything below `/sys/block` that has hardware behind it and is no CD or floppy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact that sysfs has as a flag")]
pub struct Disk {
    /// The kernel's name with `/` for `!`, as `sda` or `cciss/c0d0`.
    pub name: String,
    /// Its device node.
    pub path: PathBuf,
    /// The kernel's number of it, `MAJOR:MINOR`.
    pub number: String,
    /// Size in bytes.
    pub size: u64,
    /// Serial number of the unit, if it tells one.
    pub serial: Option<String>,
    /// World wide name of the unit, if it has one.
    pub wwn: Option<String>,
    /// Model, if it tells one.
    pub model: Option<String>,
    /// Does it spin?
    pub rotational: bool,
    /// Its medium can be taken out, or it hangs on USB or `FireWire`.
    pub removable: bool,
    /// It is reached over iSCSI or Fibre Channel, so that other servers may reach it, too.
    pub networked: bool,
    /// The kernel does not write to it or to one of its partitions.
    pub read_only: bool,
    /// `/`, `/boot`, `/usr` or `/var` lies on it.
    pub system: bool,
    /// The running installer came from it, or it carries an ISO image and could have.
    pub boot_medium: bool,
    /// Mount points of what lies on it, through RAID and LVM as well.
    pub mounts: Vec<String>,
    /// It holds active swap, through RAID and LVM as well.
    pub swap: bool,
    /// Devices that the kernel built on it or on its partitions (LVM, md, crypt, multipath), and on those, by name; what
    /// stands on another one comes after it.
    pub holders: Vec<String>,
    /// Other devices that one of the holders stands on, too, by name.
    pub together: Vec<String>,
    /// Its partitions.
    pub partitions: Vec<Partition>,
    /// What is on the disk as a whole, such as a partition table.
    pub contents: Contents,
}

impl Disk {
    /// Every signature on the disk and on its partitions.
    pub fn signatures(&self) -> impl Iterator<Item = &Signature> {
        let parts = self.partitions.iter().flat_map(|partition| partition.contents.signatures());
        self.contents.signatures().iter().chain(parts)
    }

    /// May both be ways to one unit?
    pub fn may_be(&self, other: &Self) -> bool {
        let same = |mine: &Option<String>, theirs: &Option<String>| mine.is_some() && mine == theirs;
        same(&self.serial, &other.serial) || same(&self.wwn, &other.wwn)
    }

    /// The first partition that can't be read, and why.
    pub fn unreadable_partition(&self) -> Option<(&Path, &str)> {
        self.partitions.iter().find_map(|part| match &part.contents {
            Contents::Unreadable(why) => Some((part.path.as_path(), why.as_str())),
            Contents::Read(_) => None,
        })
    }

    /// Is any of it in use now?
    pub fn in_use(&self) -> bool {
        self.system || self.swap || !self.mounts.is_empty() || !self.holders.is_empty()
    }

    /// As it is shown in tables: `/dev/sda, 1000.2 GB, model "WDC", serial "X"`.
    pub fn describe(&self) -> String {
        let named = |name: &str, value: &Option<String>| {
            value.as_ref().map_or(String::new(), |value| format!(", {name} {value:?}"))
        };
        format!(
            "{}, {}{}{}",
            self.path.display(),
            human(self.size),
            named("model", &self.model),
            named("serial", &self.serial)
        )
    }
}

/// Bytes in GB with one digit, as disks are sold.
pub fn human(bytes: u64) -> String {
    format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
}

/// Answers with what udev knows about the block device of a kernel name.
type Udev<'a> = Box<dyn Fn(&str) -> Result<BTreeMap<String, String>> + Sync + 'a>;

/// Where disks are looked for.
pub struct Source<'a> {
    /// `/` on a machine; a folder with `sys`, `proc` and `dev` in a test.
    pub root: PathBuf,
    /// Knows what the sysfs of 2.6.32 does not tell.
    pub udev: Udev<'a>,
    /// Names that count as disks although they have no hardware behind them; empty on a machine.
    pub also: Vec<String>,
}

impl<'a> Source<'a> {
    /// This machine, with udev's answers fetched by `runner`.
    pub fn machine(runner: &'a dyn Runner) -> Self {
        Self { root: PathBuf::from("/"), udev: Box::new(|name| properties(runner, name)), also: Vec::new() }
    }

    /// The same below another root.
    #[must_use]
    pub fn below(self, root: &Sysroot) -> Self {
        Self { root: root.path("/"), ..self }
    }

    /// All disks, in the order of their names.
    pub fn disks(&self) -> Result<Vec<Disk>> {
        sysfs::disks(self)
    }

    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// A machine without udev, or a device that it does not know, has no properties: the serial number is then unknown. Once
/// we are asked to stop nothing would have one, and a second way to a disk would look like another disk.
fn properties(runner: &dyn Runner, name: &str) -> Result<BTreeMap<String, String>> {
    let call =
        Call::new("udevadm").args(["info", "--query=property"]).arg(format!("--path=/sys/block/{name}"));
    let stdout = match runner.run(&call) {
        Ok(output) => output.stdout,
        Err(error) if Class::of(&error) == Class::Interrupted => return Err(error),
        Err(_) => String::new(),
    };
    let pairs = stdout.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}
