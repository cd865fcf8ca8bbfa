//! What is on a disk: an own reader of on-disk signatures, so that a decision never hangs on which `blkid` there is.
//!
//! It reads the first and the last MiB and nothing else: every signature it knows lies there. Anything that is not
//! zero in those two places and that it does not know is [`Kind::Unknown`], so a disk counts as blank only if both
//! ends are. The layouts come from the file systems' own headers in the Linux kernel.

mod filesystems;
mod members;
mod tables;

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use serde::Serialize;

/// How much of each end of a disk is read, and what clearing a disk overwrites, in bytes.
pub const END: u64 = 1 << 20;

/// What a signature stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// ext2 (no journal).
    Ext2,
    /// ext3.
    Ext3,
    /// ext4, or an external journal of any ext.
    Ext4,
    /// XFS.
    Xfs,
    /// Swap space.
    Swap,
    /// NTFS or exFAT.
    Ntfs,
    /// btrfs.
    Btrfs,
    /// FAT12, FAT16 or FAT32.
    Vfat,
    /// An ISO 9660 image, such as an installation stick.
    Iso9660,
    /// LUKS, version 1 or 2.
    Luks,
    /// A physical volume of LVM 2.
    LvmPv,
    /// A member of a Linux software RAID, metadata 0.90 or 1.x.
    MdRaid,
    /// A member of a firmware RAID: Intel's, or SNIA DDF.
    FirmwareRaid,
    /// A label of ZFS.
    Zfs,
    /// A GUID partition table, first or second copy.
    Gpt,
    /// A DOS partition table.
    DosTable,
    /// Bytes that are not zero and that no reader knows.
    Unknown,
}

impl Kind {
    /// Is the disk a part of something that other disks may be parts of, too, or a key's owner's only copy?
    pub fn is_member(self) -> bool {
        matches!(self, Self::LvmPv | Self::MdRaid | Self::FirmwareRaid | Self::Zfs | Self::Luks)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Swap => "swap",
            Self::Ntfs => "ntfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Iso9660 => "iso9660",
            Self::Luks => "LUKS",
            Self::LvmPv => "LVM physical volume",
            Self::MdRaid => "md RAID member",
            Self::FirmwareRaid => "firmware RAID member",
            Self::Zfs => "ZFS label",
            Self::Gpt => "GPT",
            Self::DosTable => "DOS partition table",
            Self::Unknown => "unknown data",
        })
    }
}

/// The volume group, array or pool that a member belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its name; may be empty for md 0.90.
    pub name: String,
    /// What is the same on all its members; empty if a volume group can't be read.
    pub id: String,
    /// How many members it has, where each of them says so (btrfs).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

/// One signature that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// What it stands for.
    pub kind: Kind,
    /// Where it begins, in bytes from the start of the disk or partition.
    pub offset: u64,
    /// The label, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The UUID as the tools of the file system print it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Of members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

impl Signature {
    /// As [`Kind::is_member`]; file systems over several disks count, too.
    pub fn is_member(&self) -> bool {
        self.kind.is_member() || self.group.as_ref().is_some_and(|group| group.of > Some(1))
    }

    fn new(kind: Kind, offset: u64) -> Self {
        Self { kind, offset, label: None, uuid: None, group: None }
    }

    fn label(mut self, bytes: Option<&[u8]>) -> Self {
        self.label = bytes.map(text).filter(|label| !label.is_empty());
        self
    }

    fn uuid(mut self, bytes: Option<&[u8]>) -> Self {
        self.uuid = bytes.map(uuid);
        self
    }

    fn group(mut self, name: impl Into<String>, id: impl Into<String>) -> Self {
        // They reach the screen.
        let plain = |text: String| text.chars().filter(|c| !c.is_control()).collect();
        self.group = Some(Group { name: plain(name.into()), id: plain(id.into()), of: None });
        self
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.kind)?;
        if let Some(label) = &self.label {
            write!(out, " {label:?}")?;
        }
        match &self.group {
            Some(group) if !group.name.is_empty() => write!(out, " of {:?}", group.name),
            _ => Ok(()),
        }
    }
}

/// Both ends of a disk or partition, in memory.
struct Ends {
    size: u64,
    head: Vec<u8>,
    /// Where the tail begins, in bytes; the size of the disk if the head holds it all.
    tail_at: u64,
    tail: Vec<u8>,
}

impl Ends {
    /// `length` bytes at `offset`, if both ends hold them all.
    fn at(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let (base, bytes) = if offset >= self.tail_at { (self.tail_at, &self.tail) } else { (0, &self.head) };
        let start = usize::try_from(offset.checked_sub(base)?).ok()?;
        bytes.get(start..start.checked_add(length)?)
    }

    fn holds(&self, offset: u64, magic: &[u8]) -> bool {
        self.at(offset, magic.len()) == Some(magic)
    }

    fn u32(&self, offset: u64) -> Option<u32> {
        Some(u32::from_le_bytes(self.at(offset, 4)?.try_into().ok()?))
    }

    fn u64(&self, offset: u64) -> Option<u64> {
        Some(u64::from_le_bytes(self.at(offset, 8)?.try_into().ok()?))
    }
}

/// Finds every signature on a disk or partition of `size` bytes; nothing found means that both ends are zero.
pub fn scan(disk: &mut (impl Read + Seek), size: u64) -> io::Result<Vec<Signature>> {
    let head = read(disk, 0, size.min(END))?;
    let tail_at = size.saturating_sub(END).max(size.min(END));
    let tail = read(disk, tail_at, size - tail_at)?;
    let ends = Ends { size, head, tail_at, tail };
    let mut found = filesystems::find(&ends);
    found.extend(members::find(&ends));
    found.extend(tables::find(&ends));
    if found.is_empty()
        && let Some(at) = first_not_zero(&ends)
    {
        found.push(Signature::new(Kind::Unknown, at));
    }
    Ok(found)
}

fn read(disk: &mut (impl Read + Seek), offset: u64, length: u64) -> io::Result<Vec<u8>> {
    disk.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    disk.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn first_not_zero(ends: &Ends) -> Option<u64> {
    let first = |bytes: &[u8]| bytes.iter().position(|byte| *byte != 0).map(|at| at as u64);
    first(&ends.head).or_else(|| first(&ends.tail).map(|at| ends.tail_at + at))
}

/// Bytes up to the first zero, without blanks at the end and without control characters.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text: String = String::from_utf8_lossy(&bytes[..end]).chars().filter(|c| !c.is_control()).collect();
    text.trim_end().to_owned()
}

/// 16 bytes as 8-4-4-4-12 hexadecimal digits.
pub fn uuid(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            out.push('-');
        }
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
    out
}

#[cfg(test)]
mod tests;
