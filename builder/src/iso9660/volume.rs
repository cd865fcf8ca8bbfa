//! Volume descriptors (ECMA-119 section 8) and the El Torito boot catalog.

use super::source::{Source, le16, le32, read_range};
use super::{BLOCK, damaged};
use anyhow::Result;

/// Block of the first volume descriptor; the 16 blocks before it are the system area (MBR and such).
const FIRST_DESCRIPTOR: u64 = 16;
/// No image has more descriptors than this; a longer row is an endless one.
const MAX_DESCRIPTORS: u64 = 64;

/// What the volume descriptors say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Volume label.
    pub label: String,
    /// Blocks of 2048 bytes that the volume says it has. The file may be longer.
    pub blocks: u32,
    /// Creation date as 16 digits `YYYYMMDDhhmmsscc` (UTC offset left out).
    pub created: String,
    /// Modification date, as `created`.
    pub modified: String,
    /// First block and length in bytes of the root directory.
    pub root: (u32, u32),
    /// Whether a Joliet tree exists beside the Rock Ridge one.
    pub joliet: bool,
    /// The boot catalog, where there is one.
    pub boot: Option<BootCatalog>,
}

/// El Torito boot catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootCatalog {
    /// Block of the catalog.
    pub block: u32,
    /// Boot images in the order of the catalog.
    pub images: Vec<BootImage>,
}

/// One boot image of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootImage {
    /// 0 = BIOS, 0xEF = UEFI.
    pub platform: u8,
    /// Whether the entry is marked bootable.
    pub bootable: bool,
    /// 0 = no emulation.
    pub media: u8,
    /// Number of 512-byte sectors that the BIOS loads.
    pub sectors: u16,
    /// First block of the image.
    pub block: u32,
}

/// Reads the descriptors.
pub fn read(source: &dyn Source) -> Result<Volume> {
    let mut primary = None;
    let mut joliet = false;
    let mut catalog = None;
    for index in 0..MAX_DESCRIPTORS {
        let offset = (FIRST_DESCRIPTOR + index) * BLOCK;
        let block = read_range(source, offset, BLOCK, BLOCK, "a volume descriptor")?;
        if block.get(1..6) != Some(b"CD001") {
            return Err(damaged(&format!("found no ISO 9660 volume descriptor at byte {offset}")));
        }
        match block.first() {
            Some(0) if block[7..].starts_with(b"EL TORITO SPECIFICATION") => catalog = le32(&block, 71),
            Some(1) if primary.is_none() => primary = Some(primary_fields(&block)?),
            Some(2) if block[88..].starts_with(b"%/") => joliet = true,
            Some(255) => break,
            _ => {}
        }
    }
    let Some(mut volume) = primary else {
        return Err(damaged("it has no primary volume descriptor"));
    };
    volume.joliet = joliet;
    volume.boot = catalog.map(|block| read_catalog(source, block)).transpose()?;
    Ok(volume)
}

fn primary_fields(block: &[u8]) -> Result<Volume> {
    let field = || damaged("its primary volume descriptor is short");
    let block_size = le16(block, 128).ok_or_else(field)?;
    if u64::from(block_size) != BLOCK {
        return Err(damaged(&format!("its block size is {block_size}, wanted {BLOCK}")));
    }
    Ok(Volume {
        label: text(&block[40..72]),
        blocks: le32(block, 80).ok_or_else(field)?,
        created: text(&block[813..829]),
        modified: text(&block[830..846]),
        root: (le32(block, 158).ok_or_else(field)?, le32(block, 166).ok_or_else(field)?),
        joliet: false,
        boot: None,
    })
}

/// The catalog is a row of 32-byte records in one block: validation, initial entry, then sections.
fn read_catalog(source: &dyn Source, block: u32) -> Result<BootCatalog> {
    let bytes = read_range(source, u64::from(block) * BLOCK, BLOCK, BLOCK, "the boot catalog")?;
    let mut records = bytes.chunks_exact(32);
    let validation = records.next().unwrap_or_default();
    if validation.first() != Some(&1) || validation.get(30..32) != Some(&[0x55, 0xAA]) {
        return Err(damaged("its boot catalog has no validation entry"));
    }
    let mut platform = validation[1];
    let mut images = Vec::new();
    for record in records {
        match record[0] {
            0x90 | 0x91 => platform = record[1],
            0x88 => images.push(image(record, platform, true)),
            0x00 if images.is_empty() && record[1..].iter().any(|&byte| byte != 0) => {
                images.push(image(record, platform, false));
            }
            0x44 => {}
            _ => break,
        }
    }
    Ok(BootCatalog { block, images: images.into_iter().flatten().collect() })
}

fn image(record: &[u8], platform: u8, bootable: bool) -> Option<BootImage> {
    Some(BootImage {
        platform,
        bootable,
        media: record[1],
        sectors: le16(record, 6)?,
        block: le32(record, 8)?,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned()
}
