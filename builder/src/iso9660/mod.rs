//! A small reader of ISO 9660 images with Rock Ridge names: list, read, and say where bytes lie.
//!
//! It reads what the vendor's images need and no more: one primary volume, System Use entries `CE SP PX NM SL
//! CL RE ZF`, several extents per file, El Torito. It does not read Joliet names, UDF, sparse files or time
//! stamps. Images are untrusted: every length is checked against the image before memory is asked for, and
//! every walk has a budget.

mod content;
mod directory;
mod rockridge;
mod source;
mod volume;
mod zisofs;

pub use content::Content;
pub use source::{FileSource, Source};
pub use volume::{BootCatalog, BootImage, Volume};
pub use zisofs::{MAGIC as ZISOFS_MAGIC, Zisofs};

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a block.
pub const BLOCK: u64 = 2048;
/// Links that are followed before a path is called a loop.
const MAX_LINKS: usize = 16;

/// A piece of the image that holds bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// First block.
    pub block: u32,
    /// Length in bytes.
    pub bytes: u64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link with its target.
    Link(String),
    /// A device, socket or pipe.
    Special,
}

/// One entry of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Absolute path inside the image.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, without the file type.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Where the stored bytes are.
    pub extents: Vec<Extent>,
    /// Set if the stored bytes are compressed.
    pub zisofs: Option<Zisofs>,
}

impl Entry {
    fn root((block, bytes): (u32, u32)) -> Self {
        Self {
            path: "/".to_owned(),
            kind: Kind::Directory,
            mode: 0o555,
            uid: 0,
            gid: 0,
            extents: vec![Extent { block, bytes: bytes.into() }],
            zisofs: None,
        }
    }

    /// Name without its directory.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Stored length in bytes.
    pub fn stored_size(&self) -> u64 {
        self.extents.iter().map(|extent| extent.bytes).sum()
    }

    /// Length in bytes as the installer's kernel sees it.
    pub fn size(&self) -> u64 {
        self.zisofs.map_or_else(|| self.stored_size(), |zisofs| zisofs.size.into())
    }
}

/// An opened image: its descriptors and its whole tree.
pub struct Image {
    source: Box<dyn Source>,
    volume: Volume,
    entries: BTreeMap<String, Entry>,
    rock_ridge: bool,
}

impl Image {
    /// Opens the image at `path` and reads its tree.
    pub fn open(path: &Path) -> Result<Self> {
        let reading = || format!("reading the ISO image {}", path.display());
        let file = File::open(path)
            .map_err(|error| {
                Class::BadInput.error(format!("the image can't be opened: {error}; check the path"))
            })
            .with_context(reading)?;
        Self::from_source(Box::new(FileSource::new(file)?)).with_context(reading)
    }

    /// Reads the tree of an image that is a [`Source`].
    pub fn from_source(source: Box<dyn Source>) -> Result<Self> {
        let volume = volume::read(source.as_ref())?;
        let bytes = u64::from(volume.blocks) * BLOCK;
        source::check_range(source.as_ref(), 0, bytes, "the volume")?;
        let (entries, rock_ridge) = directory::walk(source.as_ref(), volume.root)?;
        Ok(Self { source, volume, entries, rock_ridge })
    }

    /// What the volume descriptors say.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Whether names and modes come from Rock Ridge. Without it the tree can't be a root file system.
    pub fn rock_ridge(&self) -> bool {
        self.rock_ridge
    }

    /// Length of the image in bytes.
    pub fn size(&self) -> u64 {
        self.source.size()
    }

    /// All entries in the order of their paths.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entry at exactly this path; links are not followed.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entries directly inside `directory`, in the order of their names.
    pub fn children<'a>(&'a self, directory: &str) -> impl Iterator<Item = &'a Entry> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        self.entries
            .range(prefix.clone()..)
            .map(|(_, entry)| entry)
            .take_while({
                let prefix = prefix.clone();
                move |entry| entry.path.starts_with(&prefix)
            })
            .filter(move |entry| {
                !entry.path[prefix.len()..].is_empty() && !entry.path[prefix.len()..].contains('/')
            })
    }

    /// The entry that `path` leads to when links inside the image are followed.
    pub fn resolve(&self, path: &str) -> Option<&Entry> {
        let mut links = 0;
        let mut pending: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at = "/".to_owned();
        while let Some(part) = pending.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.truncate(at.rfind('/').unwrap_or(0).max(1));
                    continue;
                }
                _ => {}
            }
            let next = format!("{}/{part}", at.trim_end_matches('/'));
            let entry = self.entries.get(&next)?;
            if let Kind::Link(target) = &entry.kind {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                if target.starts_with('/') {
                    "/".clone_into(&mut at);
                }
                pending.extend(target.split('/').rev().map(str::to_owned));
            } else {
                at = next;
            }
        }
        self.entries.get(&at)
    }

    /// The stored bytes of a file, compressed ones as they are.
    pub fn stored<'a>(&'a self, entry: &'a Entry) -> Content<'a> {
        Content::new(self.source.as_ref(), &entry.extents)
    }

    /// The bytes of a file as the installer's kernel shows them.
    pub fn reader<'a>(&'a self, entry: &'a Entry) -> Result<Box<dyn Read + 'a>> {
        let stored = self.stored(entry);
        Ok(match entry.zisofs {
            Some(parameters) => Box::new(
                zisofs::Unpack::new(stored, parameters).with_context(|| format!("reading {}", entry.path))?,
            ),
            None => Box::new(stored),
        })
    }

    /// Reads a whole small file (see [`Image::reader`]); more than `limit` bytes are an error.
    pub fn read(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>> {
        if entry.kind != Kind::File {
            return Err(Class::BadInput.error(format!("{} is not a regular file", entry.path)));
        }
        if entry.size() > limit {
            return Err(damaged(&format!(
                "{} has {} bytes, more than the {limit} that make sense",
                entry.path,
                entry.size()
            )));
        }
        let mut bytes = Vec::new();
        self.reader(entry)?
            .take(limit)
            .read_to_end(&mut bytes)
            .with_context(|| format!("reading {}", entry.path))?;
        Ok(bytes)
    }

    /// Raw bytes of the image: `bytes` at `offset`, at most `limit`.
    pub fn raw(&self, offset: u64, bytes: u64, limit: u64) -> Result<Vec<u8>> {
        source::read_range(self.source.as_ref(), offset, bytes, limit, "a range of the image")
    }
}

/// An error that says that the image is not what it should be.
fn damaged(what: &str) -> anyhow::Error {
    Class::BadInput.error(format!(
        "the image is damaged or no ISO 9660 image: {what}; get it again and compare its checksum"
    ))
}

/// What one walk over an image may use up, so that a hostile image ends in an error instead of a long wait.
struct Budget {
    entries: u32,
    bytes: u64,
}

impl Budget {
    /// Ten times what the largest of the vendor's images needs.
    fn new() -> Self {
        Self { entries: 500_000, bytes: 256 << 20 }
    }

    fn count_entry(&mut self) -> Result<()> {
        self.entries = self.entries.checked_sub(1).ok_or_else(|| damaged("it has more than 500000 files"))?;
        Ok(())
    }

    fn spend(&mut self, bytes: u64) -> Result<()> {
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or_else(|| damaged("its directories are longer than 256 MiB"))?;
        Ok(())
    }
}
