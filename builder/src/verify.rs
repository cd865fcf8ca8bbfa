//! Reads a finished image back and compares it with what it was made from.

use crate::copy::hash;
use crate::iso9660::{BLOCK, Entry, Image, Kind};
use crate::plan::{Added, BootFiles, Plan};
use crate::progress::Phase;
use anyhow::{Context, Result, bail, ensure};
use cias_firstboot::interrupt::Interrupt;
use std::collections::{BTreeMap, BTreeSet};

/// Offset in a hybrid MBR of the loader's place, a u32 in units of 512 bytes. Source: syslinux, utils/isohybrid.c.
const MBR_LOADER: u64 = 432;
/// Bytes 8 to 63 of isolinux.bin are the boot information table, rewritten with every place.
const BOOT_INFO: std::ops::Range<usize> = 8..64;
/// Block of the volume descriptor, and where in it the root's record stands.
const DESCRIPTOR: u64 = 16;
const ROOT: std::ops::Range<usize> = 156..190;
/// Largest boot loader.
const MAX_LOADER: u64 = 1 << 20;

/// Fails unless `made` is `source` with exactly `plan` applied.
pub fn compare(
    source: &Image,
    made: &Image,
    plan: &Plan,
    boot: &BootFiles,
    interrupt: &Interrupt,
    phase: &mut Phase,
) -> Result<()> {
    tree(source, made, plan, boot)?;
    for added in &plan.added {
        let entry = entry(made, added)?;
        let (found, _) = hash(&mut made.reader(entry)?, interrupt, phase)?;
        ensure!(found == crate::copy::hash_bytes(&added.bytes), "{} reads back otherwise", added.path);
    }
    for moved in &plan.moved {
        let (from, to) = (source.get(&moved.from), made.get(&moved.to));
        let (from, to) = from.zip(to).with_context(|| format!("finding {}", moved.to))?;
        let (wanted, _) = hash(&mut source.stored(from), interrupt, phase)?;
        let (found, _) = hash(&mut made.stored(to), interrupt, phase)?;
        ensure!(found == wanted, "{} reads back otherwise", moved.to);
    }
    boots(source, made, boot)
}

/// The entry of an added file; its kind, mode and owner are what they have to be.
pub fn entry<'a>(made: &'a Image, added: &Added) -> Result<&'a Entry> {
    let entry = made.get(&added.path).with_context(|| format!("{} is missing", added.path))?;
    ensure!(
        entry.kind == Kind::File && entry.mode == added.mode && (entry.uid, entry.gid) == (0, 0),
        "{} is {:?}, mode {:04o}, owner {}:{}",
        added.path,
        entry.kind,
        entry.mode,
        entry.uid,
        entry.gid
    );
    Ok(entry)
}

/// Every entry but ours is as it was: kind, mode, owner, place, compression.
pub fn tree(source: &Image, made: &Image, plan: &Plan, boot: &BootFiles) -> Result<()> {
    let mut wanted: BTreeMap<&str, &Entry> =
        source.entries().map(|entry| (entry.path.as_str(), entry)).collect();
    for moved in &plan.moved {
        if let Some(entry) = wanted.remove(moved.from.as_str()) {
            wanted.insert(&moved.to, entry);
        }
    }
    let folders = plan.new_folders(source);
    let ours: BTreeSet<&str> = plan
        .added
        .iter()
        .map(|added| added.path.as_str())
        .chain(folders.iter().map(String::as_str))
        .collect();
    let catalog = catalog_path(source);
    for entry in made.entries().filter(|entry| !ours.contains(entry.path.as_str())) {
        let path = entry.path.as_str();
        let Some(before) = wanted.remove(path) else {
            bail!("{path} is on the new image but not on the old one")
        };
        let rewritten = entry.kind == Kind::Directory || path == boot.loader || Some(path) == catalog;
        let same = entry.kind == before.kind
            && (path == "/" || (entry.mode, entry.uid, entry.gid) == (before.mode, before.uid, before.gid))
            && entry.zisofs == before.zisofs
            && (rewritten || entry.kind != Kind::File || entry.extents == before.extents);
        ensure!(same, "{path} was {before:?} and became {entry:?}");
    }
    for folder in &folders {
        let entry = made.get(folder).with_context(|| format!("finding {folder}"))?;
        let found = (entry.mode, entry.uid, entry.gid);
        ensure!(found == (0o755, 0, 0), "{folder} was written with mode {:04o}", entry.mode);
    }
    match wanted.keys().find(|path| !ours.contains(*path)) {
        Some(path) => bail!("{path} is missing on the new image"),
        None => Ok(()),
    }
}

fn catalog_path(image: &Image) -> Option<&str> {
    let block = image.volume().boot.as_ref()?.block;
    let at = |entry: &&Entry| {
        entry.kind == Kind::File && entry.extents.first().is_some_and(|extent| extent.block == block)
    };
    image.entries().find(at).map(|entry| entry.path.as_str())
}

/// The BIOS, and an MBR that was hybrid before, find the boot loader, which is the vendor's.
pub fn boots(source: &Image, made: &Image, boot: &BootFiles) -> Result<()> {
    let missing = || format!("finding {}", boot.loader);
    let before = source.get(&boot.loader).with_context(missing)?;
    let after = made.get(&boot.loader).with_context(missing)?;
    let block = after.extents.first().with_context(missing)?.block;
    let (mut old, mut new) = (source.read(before, MAX_LOADER)?, made.read(after, MAX_LOADER)?);
    let table = boot_info(made, &new, block);
    ensure!(
        table.is_some() && table.as_deref() == new.get(BOOT_INFO),
        "{} does not know its own place: its boot information table reads back otherwise",
        boot.loader
    );
    for loader in [&mut old, &mut new] {
        if let Some(table) = loader.get_mut(BOOT_INFO) {
            table.fill(0);
        }
    }
    ensure!(old == new, "{} reads back otherwise", boot.loader);
    let images = |image: &Image| {
        let catalog = image.volume().boot.as_ref();
        let keys = catalog.into_iter().flat_map(|catalog| &catalog.images);
        keys.map(|entry| (entry.platform, entry.bootable, entry.media, entry.sectors)).collect::<Vec<_>>()
    };
    let path = catalog_path(made).unwrap_or("the boot catalog");
    ensure!(images(source) == images(made), "{path} was changed: {:?}", images(made));
    let found =
        made.volume().boot.iter().flat_map(|catalog| &catalog.images).any(|entry| entry.block == block);
    ensure!(found, "{path} does not point to {}", boot.loader);
    ensure!(is_plain_catalog(source, made)?, "{path} reads back otherwise");
    ensure!(
        source.volume().label == made.volume().label,
        "the volume label became {:?}",
        made.volume().label
    );
    if is_hybrid(source)? {
        let code = |image: &Image| image.raw(0, MBR_LOADER, MBR_LOADER);
        ensure!(code(source)? == code(made)?, "the boot code of the MBR changed");
        let place = made.raw(MBR_LOADER, 4, 4)?;
        let wanted = u32::try_from(u64::from(block) * BLOCK / 512)?;
        ensure!(place == wanted.to_le_bytes(), "the MBR does not point to {}", boot.loader);
    }
    Ok(())
}

/// The boot information table that a loader at `block` has to carry: the block of the volume descriptor, its own
/// block, its length, the sum of its 32-bit words behind the table. Source: xorriso, man page, `boot_info_table`.
fn boot_info(made: &Image, loader: &[u8], block: u32) -> Option<Vec<u8>> {
    let descriptor = u32::from_le_bytes(loader.get(8..12)?.try_into().ok()?);
    let root = |block: u64| made.raw(block * BLOCK, BLOCK, BLOCK).ok().map(|found| found[ROOT].to_vec());
    // A grown image has a descriptor of its own before its new tree.
    if root(descriptor.into())? != root(DESCRIPTOR)? {
        return None;
    }
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
    let sum = loader[BOOT_INFO.end..].chunks(4).map(word).fold(0, u32::wrapping_add);
    let length = u32::try_from(loader.len()).ok()?;
    let mut table: Vec<u8> =
        [descriptor, block, length, sum].iter().flat_map(|number| number.to_le_bytes()).collect();
    table.resize(BOOT_INFO.len(), 0);
    Some(table)
}

/// Whether the boot catalog is well-formed where [`crate::iso9660`] does not look: the check sum of its first entry,
/// and behind the place of the loader what the vendor's had. Source: El Torito 1.0, sections 2.1 and 2.2.
fn is_plain_catalog(source: &Image, made: &Image) -> Result<bool> {
    let raw = |image: &Image| {
        let block = image.volume().boot.as_ref().context("finding the boot catalog")?.block;
        image.raw(u64::from(block) * BLOCK, BLOCK, BLOCK)
    };
    let (old, new) = (raw(source)?, raw(made)?);
    let words = new[..32].chunks(2).map(|word| u16::from_le_bytes([word[0], word[1]]));
    let several = made.volume().boot.as_ref().is_some_and(|catalog| catalog.images.len() > 1);
    let end = if several { 64 } else { new.len() };
    Ok(words.fold(0, u16::wrapping_add) == 0 && old[32..40] == new[32..40] && old[44..end] == new[44..end])
}

/// Whether the image has an isohybrid MBR: its signature, and the place of its own loader.
pub fn is_hybrid(image: &Image) -> Result<bool> {
    let mbr = image.raw(0, 512, 512)?;
    let place = u32::from_le_bytes([mbr[432], mbr[433], mbr[434], mbr[435]]);
    let loader = image.volume().boot.as_ref().and_then(|catalog| catalog.images.first());
    let expected = loader.map(|entry| u64::from(entry.block) * BLOCK / 512);
    Ok(mbr[510..] == [0x55, 0xAA] && expected == Some(u64::from(place)))
}
