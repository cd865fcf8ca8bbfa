//! File systems and swap.

use super::{Ends, Group, Kind, Signature, uuid};

/// Features that the ext3 driver of 2.6.32 does not mount; a file system with one of them is ext4.
const NOT_EXT3_INCOMPATIBLE: u32 = !(0x2 | 0x4 | 0x10);
const NOT_EXT3_READ_ONLY: u32 = !(0x1 | 0x2 | 0x4);
const HAS_JOURNAL: u32 = 0x4;

pub(super) fn find(ends: &Ends) -> Vec<Signature> {
    [ext(ends), xfs(ends), swap(ends), ntfs(ends), btrfs(ends), vfat(ends), iso9660(ends)]
        .into_iter()
        .flatten()
        .collect()
}

fn ext(ends: &Ends) -> Option<Signature> {
    const AT: u64 = 1024;
    if !ends.holds(AT + 0x38, &[0x53, 0xef]) {
        return None;
    }
    let (compatible, incompatible) = (ends.u32(AT + 0x5c)?, ends.u32(AT + 0x60)?);
    let read_only = ends.u32(AT + 0x64)?;
    let kind = if incompatible & NOT_EXT3_INCOMPATIBLE != 0 || read_only & NOT_EXT3_READ_ONLY != 0 {
        Kind::Ext4
    } else if compatible & HAS_JOURNAL != 0 {
        Kind::Ext3
    } else {
        Kind::Ext2
    };
    Some(Signature::new(kind, AT).uuid(ends.at(AT + 0x68, 16)).label(ends.at(AT + 0x78, 16)))
}

fn xfs(ends: &Ends) -> Option<Signature> {
    ends.holds(0, b"XFSB").then(|| Signature::new(Kind::Xfs, 0).uuid(ends.at(32, 16)).label(ends.at(108, 12)))
}

/// The magic ends the first page, so it moves with the page size of the machine that made it.
fn swap(ends: &Ends) -> Option<Signature> {
    [4096_u64, 8192, 16384, 65536].into_iter().find_map(|page| {
        let magic = ends.at(page - 10, 10)?;
        let swap = matches!(magic, b"SWAPSPACE2" | b"SWAP-SPACE" | b"S1SUSPEND\0" | b"S2SUSPEND\0");
        swap.then(|| Signature::new(Kind::Swap, page - 10).uuid(ends.at(0x40c, 16)).label(ends.at(0x41c, 16)))
    })
}

fn ntfs(ends: &Ends) -> Option<Signature> {
    let known = ends.holds(3, b"NTFS    ") || ends.holds(3, b"EXFAT   ");
    known.then(|| Signature::new(Kind::Ntfs, 3))
}

/// One file system may lie on many disks; each carries its id and how many they are.
fn btrfs(ends: &Ends) -> Option<Signature> {
    const AT: u64 = 64 << 10;
    if !ends.holds(AT + 64, b"_BHRfS_M") {
        return None;
    }
    let id = ends.at(AT + 32, 16)?;
    let mut found = Signature::new(Kind::Btrfs, AT).uuid(Some(id)).label(ends.at(AT + 0x12b, 256));
    found.group = Some(Group { name: String::new(), id: uuid(id), of: ends.u64(AT + 136) });
    Some(found)
}

fn vfat(ends: &Ends) -> Option<Signature> {
    if !ends.holds(510, &[0x55, 0xaa]) {
        return None;
    }
    let label_at = if ends.holds(0x52, b"FAT32") {
        0x47
    } else if ends.holds(0x36, b"FAT1") || ends.holds(0x36, b"FAT ") {
        0x2b
    } else {
        return None;
    };
    Some(Signature::new(Kind::Vfat, 0).label(ends.at(label_at, 11)))
}

fn iso9660(ends: &Ends) -> Option<Signature> {
    const AT: u64 = 32 << 10;
    ends.holds(AT + 1, b"CD001").then(|| Signature::new(Kind::Iso9660, AT).label(ends.at(AT + 40, 32)))
}
