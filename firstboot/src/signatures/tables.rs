//! Partition tables.

use super::{Ends, Kind, Signature};

pub(super) fn find(ends: &Ends) -> Vec<Signature> {
    let mut found = gpt(ends);
    found.extend(dos(ends));
    found
}

/// Both copies: a table whose first copy was overwritten comes back from the second.
fn gpt(ends: &Ends) -> Vec<Signature> {
    [512, 4096]
        .into_iter()
        .flat_map(|sector| [sector, ends.size.saturating_sub(sector)])
        .filter(|at| ends.holds(*at, b"EFI PART"))
        .map(|at| Signature::new(Kind::Gpt, at))
        .collect()
}

/// 55 AA ends the boot sector of FAT and NTFS as well, and a boot loader alone has no entries; so the four entries
/// must make sense, too: an empty one is all zero, the status of another is 00 or 80.
fn dos(ends: &Ends) -> Option<Signature> {
    let boot_sector = ends.holds(3, b"NTFS    ")
        || ends.holds(3, b"EXFAT   ")
        || ends.holds(0x36, b"FAT")
        || ends.holds(0x52, b"FAT32");
    if !ends.holds(510, &[0x55, 0xaa]) || boot_sector {
        return None;
    }
    let sane = (0..4_u64).all(|entry| {
        ends.at(446 + 16 * entry, 16).is_some_and(|bytes| {
            bytes.iter().all(|byte| *byte == 0) || (matches!(bytes[0], 0 | 0x80) && bytes[4] != 0)
        })
    });
    sane.then(|| Signature::new(Kind::DosTable, 510))
}
