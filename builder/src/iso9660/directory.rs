//! Directory records (ECMA-119 section 9) and the walk over all directories.

use super::rockridge::{self, Attributes};
use super::source::{Source, check_range, le32, read_range};
use super::{BLOCK, Budget, Entry, Extent, Kind, damaged};
use anyhow::Result;
use std::collections::{BTreeMap, HashSet};

/// Longest directory, in bytes: some 200 000 records.
const MAX_DIRECTORY: u64 = 32 << 20;
/// Longest path.
const MAX_PATH: usize = 4096;
/// Shortest record: 33 bytes and a name of one.
const MIN_RECORD: usize = 34;

const FLAG_DIRECTORY: u8 = 0x02;
const FLAG_ASSOCIATED: u8 = 0x04;
const FLAG_MORE_EXTENTS: u8 = 0x80;

/// All entries of the tree below the directory at `root`, by path, and whether Rock Ridge was found.
pub fn walk(source: &dyn Source, root: (u32, u32)) -> Result<(BTreeMap<String, Entry>, bool)> {
    let mut budget = Budget::new();
    let skip = root_skip(source, root.0, &mut budget)?;
    let mut entries = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut pending = vec![(String::new(), root.0, root.1)];
    entries.insert("/".to_owned(), Entry::root(root));
    while let Some((path, block, bytes)) = pending.pop() {
        if !seen.insert(block) {
            return Err(damaged(&format!("directory {path}/ contains itself")));
        }
        for entry in list(source, &path, (block, bytes), skip.unwrap_or(0), &mut budget)? {
            if entry.kind == Kind::Directory {
                let extent = entry.extents.first().copied().unwrap_or_default();
                let bytes = u32::try_from(extent.bytes).unwrap_or(u32::MAX);
                pending.push((entry.path.clone(), extent.block, bytes));
            }
            let path = entry.path.clone();
            if entries.insert(path.clone(), entry).is_some() {
                return Err(damaged(&format!("it has two entries named {path}")));
            }
        }
    }
    Ok((entries, skip.is_some()))
}

/// The `SP` entry in the root's first record says that the System Use Sharing Protocol is used.
fn root_skip(source: &dyn Source, block: u32, budget: &mut Budget) -> Result<Option<u8>> {
    let bytes = read_range(source, u64::from(block) * BLOCK, BLOCK, BLOCK, "the root directory")?;
    let length = usize::from(bytes[0]);
    let Some(record) = bytes.get(..length).filter(|record| record.len() >= MIN_RECORD) else {
        return Err(damaged("its root directory starts with a broken record"));
    };
    Ok(rockridge::parse(source, &record[MIN_RECORD..], budget)?.skip)
}

/// The entries of one directory, without `.`, `..` and relocated copies.
fn list(
    source: &dyn Source,
    parent: &str,
    (block, length): (u32, u32),
    skip: u8,
    budget: &mut Budget,
) -> Result<Vec<Entry>> {
    budget.spend(length.into())?;
    let what = format!("directory {parent}/");
    let bytes = read_range(source, u64::from(block) * BLOCK, length.into(), MAX_DIRECTORY, &what)?;
    let mut entries = Vec::new();
    let mut parts: Vec<Extent> = Vec::new();
    for record in records(&bytes, &what)? {
        let extent = Extent {
            block: le32(record, 2).unwrap_or_default(),
            bytes: le32(record, 10).unwrap_or_default().into(),
        };
        let flags = record[25];
        let name_length = usize::from(record[32]);
        let Some(name) = record.get(33..33 + name_length) else {
            return Err(damaged(&format!("{what} has a record whose name is cut off")));
        };
        if matches!(name, [] | [0 | 1]) || flags & FLAG_ASSOCIATED != 0 {
            continue;
        }
        parts.push(extent);
        if flags & FLAG_MORE_EXTENTS != 0 {
            continue;
        }
        let extents = std::mem::take(&mut parts);
        budget.count_entry()?;
        let area =
            record.get(33 + name_length + (1 - name_length % 2) + usize::from(skip)..).unwrap_or_default();
        let attributes = rockridge::parse(source, area, budget)?;
        if !attributes.relocated {
            entries.push(entry(source, parent, name, flags, extents, attributes)?);
        }
    }
    Ok(entries)
}

/// Cuts a directory into its records. They never cross a block boundary; the rest of a block is zero.
fn records<'a>(bytes: &'a [u8], what: &str) -> Result<Vec<&'a [u8]>> {
    let mut found = Vec::new();
    for block in bytes.chunks(usize::try_from(BLOCK)?) {
        let mut rest = block;
        while let Some(&length) = rest.first().filter(|&&length| length != 0) {
            let length = usize::from(length);
            if length < MIN_RECORD || length > rest.len() {
                return Err(damaged(&format!("{what} has a record of {length} bytes")));
            }
            let (record, tail) = rest.split_at(length);
            found.push(record);
            rest = tail;
        }
    }
    Ok(found)
}

fn entry(
    source: &dyn Source,
    parent: &str,
    iso_name: &[u8],
    flags: u8,
    mut extents: Vec<Extent>,
    attributes: Attributes,
) -> Result<Entry> {
    let name = attributes.name.unwrap_or_else(|| plain_name(iso_name).to_vec());
    let name = String::from_utf8(name).unwrap_or_else(|error| {
        // Kept readable and unique enough; nothing that the builder touches has such a name.
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(damaged(&format!("directory {parent}/ has an entry with the name {name:?}")));
    }
    let path = format!("{parent}/{name}");
    if path.len() > MAX_PATH {
        return Err(damaged(&format!("a path is longer than {MAX_PATH} bytes")));
    }
    let directory = flags & FLAG_DIRECTORY != 0 || attributes.child.is_some();
    let (mode, uid, gid) =
        attributes.posix.unwrap_or(if directory { (0o040_555, 0, 0) } else { (0o100_444, 0, 0) });
    if let Some(block) = attributes.child {
        extents = vec![Extent { block, bytes: relocated_length(source, block)? }];
    }
    let kind = if directory {
        Kind::Directory
    } else if let Some(target) = attributes.target {
        Kind::Link(String::from_utf8_lossy(&target).into_owned())
    } else if mode & 0o170_000 == 0o100_000 {
        Kind::File
    } else {
        Kind::Special
    };
    if kind == Kind::File {
        extents.retain(|extent| extent.bytes > 0);
        for extent in &extents {
            check_range(source, u64::from(extent.block) * BLOCK, extent.bytes, &path)?;
        }
    }
    Ok(Entry {
        path,
        zisofs: attributes.zisofs.filter(|_| kind == Kind::File),
        kind,
        mode: mode & 0o7777,
        uid,
        gid,
        extents,
    })
}

/// Length of a relocated directory: its own first record says it.
fn relocated_length(source: &dyn Source, block: u32) -> Result<u64> {
    let what = "a relocated directory";
    let bytes = read_range(source, u64::from(block) * BLOCK, BLOCK, BLOCK, what)?;
    Ok(le32(&bytes, 10).unwrap_or_default().into())
}

/// The ISO name without version and without the dot of an empty extension.
fn plain_name(name: &[u8]) -> &[u8] {
    let name = name.split(|&byte| byte == b';').next().unwrap_or_default();
    name.strip_suffix(b".").unwrap_or(name)
}
