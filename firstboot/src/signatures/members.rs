//! Parts of something larger: LVM, RAID, ZFS, LUKS.

use super::{Ends, Kind, Signature, text, uuid};

pub(super) fn find(ends: &Ends) -> Vec<Signature> {
    let mut found: Vec<Signature> =
        [lvm(ends), luks(ends), zfs(ends), intel(ends), ddf(ends)].into_iter().flatten().collect();
    found.extend(md(ends));
    found
}

/// The label lies in one of the first four sectors and says where the header is.
fn lvm(ends: &Ends) -> Option<Signature> {
    (0..4_u64).map(|sector| sector * 512).find_map(|at| {
        if !ends.holds(at, b"LABELONE") || !ends.holds(at + 24, b"LVM2 001") {
            return None;
        }
        let header = at + u64::from(ends.u32(at + 20)?);
        let mut found = Signature::new(Kind::LvmPv, at);
        found.uuid = ends.at(header, 32).map(text);
        Some(match volume_group(ends, header + 40) {
            Membership::Of(name, id) => found.group(name, id),
            Membership::None => found,
            Membership::Hidden => found.group("", ""),
        })
    })
}

/// Whether a physical volume belongs to a group.
enum Membership {
    /// To the group of this name and id.
    Of(String, String),
    /// To none.
    None,
    /// Perhaps to one: it carries no metadata, or lies where it is not read.
    Hidden,
}

/// What the metadata says. `areas` is where the two lists of areas begin: data, then metadata, each ended by an entry of
/// zeroes.
fn volume_group(ends: &Ends, areas: u64) -> Membership {
    let mut at = areas;
    let mut lists_ended = 0;
    // The lists lie inside the header's sector, so there can't be more than 32 entries of 16 bytes.
    for _ in 0..32 {
        match ends.u64(at) {
            Some(0) => lists_ended += 1,
            Some(offset) if lists_ended == 1 => return metadata_text(ends, offset),
            Some(_) => {}
            None => break,
        }
        if lists_ended == 2 {
            break;
        }
        at += 16;
    }
    Membership::Hidden
}

/// The text starts as `NAME {\nid = "ID"\n`; its beginning is all that is wanted. It lies in a ring buffer behind the
/// 512 bytes of the area's header.
fn metadata_text(ends: &Ends, area: u64) -> Membership {
    const HEADER: u64 = 512;
    // An area that holds no text belongs to a physical volume that is in no group.
    let empty = ends.at(area.saturating_add(40), 16).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0));
    if empty && ends.holds(area + 4, b" LVM2 x[5A%r0N*>") {
        return Membership::None;
    }
    let text = || {
        const WANTED: u64 = 256;
        if !ends.holds(area.checked_add(4)?, b" LVM2 x[5A%r0N*>") {
            return None;
        }
        let (size, offset) = (ends.u64(area + 32)?, ends.u64(area + 40)?);
        if !(HEADER..size).contains(&offset) {
            return None;
        }
        let before_the_wrap = usize::try_from(WANTED.min(size - offset)).ok()?;
        let mut bytes = ends.at(area.checked_add(offset)?, before_the_wrap)?.to_vec();
        let rest = usize::try_from(WANTED).ok()? - before_the_wrap;
        bytes.extend(ends.at(area + HEADER, rest)?);
        let start = String::from_utf8_lossy(&bytes).into_owned();
        let (name, rest) = start.split_once(" {")?;
        let id = rest.split_once("id = \"")?.1.split_once('"')?.0;
        Some((name.to_owned(), id.to_owned()))
    };
    text().map_or(Membership::Hidden, |(name, id)| Membership::Of(name, id))
}

fn luks(ends: &Ends) -> Option<Signature> {
    ends.holds(0, b"LUKS\xba\xbe").then(|| {
        let mut found = Signature::new(Kind::Luks, 0);
        found.uuid = ends.at(168, 40).map(text);
        found
    })
}

/// Four labels of 256 KiB, two at each end; each has its ring of uberblocks in the second half.
fn zfs(ends: &Ends) -> Option<Signature> {
    const LABEL: u64 = 256 << 10;
    let last = (ends.size / LABEL).checked_sub(2)? * LABEL;
    [0, LABEL, last, last + LABEL].into_iter().find_map(|label| {
        let mut blocks = (LABEL / 2..LABEL).step_by(1024).map(|at| label + at);
        let magic = [0x0c_u8, 0xb1, 0xba, 0, 0, 0, 0, 0];
        let reversed = [0_u8, 0, 0, 0, 0, 0xba, 0xb1, 0x0c];
        blocks
            .any(|at| ends.holds(at, &magic) || ends.holds(at, &reversed))
            .then(|| Signature::new(Kind::Zfs, label))
    })
}

/// Metadata 1.1 is at the start, 1.2 at 4 KiB, 1.0 at least 8 KiB before the end, 0.90 in the last whole 64 KiB.
fn md(ends: &Ends) -> Vec<Signature> {
    const MAGIC: [u8; 4] = [0xfc, 0x4e, 0x2b, 0xa9];
    let one_zero = (ends.size / 512).checked_sub(16).map(|sectors| (sectors & !7) * 512);
    let mut found: Vec<Signature> = [Some(0), Some(4096), one_zero]
        .into_iter()
        .flatten()
        .filter(|at| ends.holds(*at, &MAGIC) && ends.u32(*at + 4) == Some(1))
        .map(|at| {
            let name = ends.at(at + 32, 32).map(text).unwrap_or_default();
            let id = ends.at(at + 16, 16).map(uuid).unwrap_or_default();
            Signature::new(Kind::MdRaid, at).uuid(ends.at(at + 168, 16)).group(name, id)
        })
        .collect();
    let old = (ends.size / (64 << 10)).checked_sub(1).map(|units| units * (64 << 10));
    if let Some(at) = old
        && ends.holds(at, &MAGIC)
        && ends.u32(at + 4) == Some(0)
    {
        let id: Vec<u8> = [20, 52, 56, 60]
            .into_iter()
            .filter_map(|word| ends.at(at + word, 4))
            .flatten()
            .copied()
            .collect();
        found.push(Signature::new(Kind::MdRaid, at).group("", uuid(&id)));
    }
    found
}

/// Intel's anchor stands in the last but one sector.
fn intel(ends: &Ends) -> Option<Signature> {
    let at = ends.size.checked_sub(1024)?;
    ends.holds(at, b"Intel Raid ISM Cfg Sig. ").then(|| {
        let family = ends.u32(at + 48).unwrap_or_default();
        Signature::new(Kind::FirmwareRaid, at).group("", format!("intel-{family:08x}"))
    })
}

/// The DDF anchor header stands in the last sector; its number is that of the set.
fn ddf(ends: &Ends) -> Option<Signature> {
    let at = ends.size.checked_sub(512)?;
    ends.holds(at, &[0xde, 0x11, 0xde, 0x11]).then(|| Signature::new(Kind::FirmwareRaid, at))
}
