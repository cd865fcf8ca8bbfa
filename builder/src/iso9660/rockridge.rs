//! System Use entries (SUSP) and the Rock Ridge ones among them, plus zisofs' `ZF`.

use super::source::{Source, le32, read_range};
use super::zisofs::Zisofs;
use super::{BLOCK, Budget, damaged};
use anyhow::Result;

/// Continuation areas that one record may chain.
const MAX_CONTINUATIONS: usize = 32;
/// Longest file name: the kernel's own limit is 255.
const MAX_NAME: usize = 255;
/// Longest target of a symbolic link.
const MAX_TARGET: usize = 4096;

/// What the System Use area of one directory record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Rock Ridge name, if any.
    pub name: Option<Vec<u8>>,
    /// POSIX mode, owner and group, if given.
    pub posix: Option<(u32, u32, u32)>,
    /// Target of a symbolic link.
    pub target: Option<Vec<u8>>,
    /// Block of the directory that stands here (`CL`), if it was relocated.
    pub child: Option<u32>,
    /// Whether this is the relocated copy (`RE`), to be left out of listings.
    pub relocated: bool,
    /// zisofs parameters.
    pub zisofs: Option<Zisofs>,
    /// Bytes to skip at the start of each System Use area (`SP`, only in the root's first record).
    pub skip: Option<u8>,
}

/// Reads the entries in `area`, following continuations.
pub fn parse(source: &dyn Source, area: &[u8], budget: &mut Budget) -> Result<Attributes> {
    let mut found = Attributes::default();
    let mut link = Link::default();
    let mut next = scan(area, &mut found, &mut link)?;
    for _ in 0..MAX_CONTINUATIONS {
        let Some((block, offset, bytes)) = next else { break };
        budget.spend(u64::from(bytes))?;
        let start = u64::from(block) * BLOCK + u64::from(offset);
        let area = read_range(source, start, bytes.into(), 16 * BLOCK, "a continuation area")?;
        next = scan(&area, &mut found, &mut link)?;
    }
    if next.is_some() {
        return Err(damaged("a chain of continuation areas has no end"));
    }
    found.target = link.finish();
    Ok(found)
}

/// Reads one area; returns where it goes on.
fn scan(mut area: &[u8], found: &mut Attributes, link: &mut Link) -> Result<Option<(u32, u32, u32)>> {
    let mut next = None;
    while area.len() >= 4 {
        let length = usize::from(area[2]);
        if length < 4 || length > area.len() {
            break;
        }
        let (entry, rest) = area.split_at(length);
        area = rest;
        match &entry[..2] {
            b"ST" => break,
            b"CE" => next = continuation(entry),
            b"SP" => found.skip = entry.get(6).copied(),
            b"PX" => found.posix = posix(entry),
            b"NM" => add_name(entry, found)?,
            b"SL" => link.add(entry)?,
            b"CL" => found.child = le32(entry, 4),
            b"RE" => found.relocated = true,
            b"ZF" => found.zisofs = Zisofs::from_entry(entry),
            _ => {}
        }
    }
    Ok(next)
}

fn continuation(entry: &[u8]) -> Option<(u32, u32, u32)> {
    Some((le32(entry, 4)?, le32(entry, 12)?, le32(entry, 20)?))
}

fn posix(entry: &[u8]) -> Option<(u32, u32, u32)> {
    Some((le32(entry, 4)?, le32(entry, 20)?, le32(entry, 28)?))
}

fn add_name(entry: &[u8], found: &mut Attributes) -> Result<()> {
    let flags = entry.get(4).copied().unwrap_or_default();
    // Bits 1 and 2 mean "." and "..": those records are known by their ISO name.
    if flags & 0b110 != 0 {
        return Ok(());
    }
    let name = found.name.get_or_insert_default();
    name.extend_from_slice(entry.get(5..).unwrap_or_default());
    if name.len() > MAX_NAME {
        return Err(damaged(&format!("a file name is longer than {MAX_NAME} bytes")));
    }
    Ok(())
}

/// Builds the target of a symbolic link from the components of one or several `SL` entries.
#[derive(Default)]
struct Link {
    target: Vec<u8>,
    seen: bool,
    /// Whether the last component goes on in the next record.
    open: bool,
}

impl Link {
    fn add(&mut self, entry: &[u8]) -> Result<()> {
        self.seen = true;
        let mut rest = entry.get(5..).unwrap_or_default();
        while let [flags, length, tail @ ..] = rest {
            let Some((content, tail)) = tail.split_at_checked(usize::from(*length)) else {
                return Err(damaged("a symbolic link is cut off"));
            };
            rest = tail;
            if !self.open && !self.target.is_empty() && self.target.last() != Some(&b'/') {
                self.target.push(b'/');
            }
            match flags & 0b1110 {
                0b0010 => self.target.push(b'.'),
                0b0100 => self.target.extend_from_slice(b".."),
                0b1000 => self.target = b"/".to_vec(),
                _ => self.target.extend_from_slice(content),
            }
            self.open = flags & 1 != 0;
            if self.target.len() > MAX_TARGET {
                return Err(damaged(&format!("a symbolic link is longer than {MAX_TARGET} bytes")));
            }
        }
        Ok(())
    }

    fn finish(self) -> Option<Vec<u8>> {
        self.seen.then_some(self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(area: &[u8]) -> Attributes {
        let mut budget = Budget::new();
        parse(&Vec::new(), area, &mut budget).unwrap()
    }

    #[test]
    fn names_are_joined_from_their_parts() {
        let area = b"NM\x08\x01\x01abcNM\x07\x01\x00de";
        assert_eq!(attributes(area).name.as_deref(), Some(&b"abcde"[..]));
    }

    #[test]
    fn links_know_root_parent_and_continued_components() {
        let table: [(&[u8], &str); 4] = [
            (b"SL\x0c\x01\x00\x08\x00\x00\x03etc", "/etc"),
            (b"SL\x0c\x01\x00\x04\x00\x00\x03run", "../run"),
            (b"SL\x0a\x01\x01\x01\x03libSL\x0c\x01\x00\x00\x0264\x00\x01x", "lib64/x"),
            (b"SL\x07\x01\x00\x02\x00", "."),
        ];
        for (area, target) in table {
            assert_eq!(attributes(area).target.as_deref(), Some(target.as_bytes()));
        }
    }

    #[test]
    fn an_entry_longer_than_its_area_ends_the_scan() {
        assert_eq!(attributes(b"NM\xff\x01\x00abc"), Attributes::default());
    }
}
