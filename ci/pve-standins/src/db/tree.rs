//! A stand-in's tree of files and folders, with versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::vm::{self, VmList};
use super::{ROOT, split};

/// A folder, or a file with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A folder.
    Folder,
    /// A file.
    File(Arc<Vec<u8>>),
}

// A folder is null in the file, a file its bytes in base64.
impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Folder => serializer.serialize_none(),
            Self::File(bytes) => serializer.serialize_some(&STANDARD.encode(bytes.as_slice())),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(Self::Folder) };
        STANDARD.decode(text).map(|bytes| Self::File(Arc::new(bytes))).map_err(de::Error::custom)
    }
}

/// One file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The inode of its folder.
    pub parent: u64,
    /// Its name there.
    pub name: String,
    /// The database's version at its last change.
    pub version: u64,
    /// Who changed it.
    pub writer: u32,
    /// When, in seconds since 1970.
    pub mtime: u64,
    /// What is in it.
    pub content: Content,
}

/// The whole database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Tree {
    /// Counts all writes.
    pub version: u64,
    /// Who wrote last.
    pub writer: u32,
    /// When, in seconds since 1970.
    pub mtime: u64,
    /// Tells two histories apart; equal ones have equal content.
    pub digest: String,
    /// The guests; not kept in the file.
    pub vms: VmList,
    pub(super) entries: BTreeMap<u64, Entry>,
    pub(super) names: BTreeMap<(u64, String), u64>,
    pub(super) bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u64,
    writer: u32,
    mtime: u64,
    digest: String,
    entries: BTreeMap<u64, Entry>,
}

impl From<Tree> for Stored {
    fn from(tree: Tree) -> Self {
        let Tree { version, writer, mtime, digest, entries, .. } = tree;
        Self { version, writer, mtime, digest, entries }
    }
}

impl From<Stored> for Tree {
    fn from(stored: Stored) -> Self {
        let Stored { version, writer, mtime, digest, entries } = stored;
        let names = entries.iter().map(|(inode, entry)| ((entry.parent, entry.name.clone()), *inode));
        let names = names.collect();
        let bytes = entries.values().map(Entry::size).sum();
        let mut tree = Self { version, writer, mtime, digest, vms: VmList::default(), entries, names, bytes };
        for path in tree.paths() {
            if let Some((id, node, kind)) = vm::of_path(&path) {
                tree.vms.note(id, node, kind);
            }
        }
        tree
    }
}

impl Default for Tree {
    fn default() -> Self {
        let (entries, digest) = (BTreeMap::new(), String::new());
        Stored { version: 0, writer: 0, mtime: 0, digest, entries }.into()
    }
}

impl Entry {
    /// Bytes of a file.
    pub fn size(&self) -> usize {
        self.bytes().map_or(0, |bytes| bytes.len())
    }

    /// The bytes, if it is a file.
    pub const fn bytes(&self) -> Option<&Arc<Vec<u8>>> {
        match &self.content {
            Content::File(bytes) => Some(bytes),
            Content::Folder => None,
        }
    }

    /// Whether it is a folder.
    pub const fn is_folder(&self) -> bool {
        matches!(self.content, Content::Folder)
    }
}

impl Tree {
    /// The inode at `path`; the root has none of its own entry.
    pub fn find(&self, path: &str) -> Option<u64> {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.into_iter().try_fold(ROOT, |inode, part| self.child(inode, part))
    }

    /// The inode of `name` in the folder `parent`.
    pub fn child(&self, parent: u64, name: &str) -> Option<u64> {
        self.names.get(&(parent, name.to_owned())).copied()
    }

    /// The entry of an inode; none for the root.
    pub fn entry(&self, inode: u64) -> Option<&Entry> {
        self.entries.get(&inode)
    }

    /// The bytes of the file at `path`.
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        self.entry(self.find(path)?)?.bytes().map(|bytes| bytes.as_slice())
    }

    /// What is in a folder, by name.
    pub fn list(&self, parent: u64) -> impl Iterator<Item = (&str, u64)> {
        let from = (parent, String::new());
        let inside = self.names.range(from..).take_while(move |((found, _), _)| *found == parent);
        inside.map(|((_, name), inode)| (name.as_str(), *inode))
    }

    /// The path of an inode.
    pub fn path(&self, inode: u64) -> Option<String> {
        if inode == ROOT {
            return Some(String::new());
        }
        let entry = self.entry(inode)?;
        let parent = self.path(entry.parent)?;
        Some(if parent.is_empty() { entry.name.clone() } else { format!("{parent}/{}", entry.name) })
    }

    /// All paths.
    pub fn paths(&self) -> Vec<String> {
        self.entries.keys().filter_map(|inode| self.path(*inode)).collect()
    }

    /// The number of a guest that two files claim, which a daemon must not start with.
    pub fn duplicate(&self) -> Option<u32> {
        let mut seen = std::collections::BTreeSet::new();
        let ids = self.paths().into_iter().filter_map(|path| vm::of_path(&path).map(|(id, ..)| id));
        ids.into_iter().find(|id| !seen.insert(*id))
    }

    /// Which history this is, to compare two databases.
    pub fn mark(&self) -> Mark {
        Mark { version: self.version, mtime: self.mtime, digest: self.digest.clone() }
    }

    /// Bytes in all files.
    pub const fn used(&self) -> usize {
        self.bytes
    }

    /// How many files and folders.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn advance(&mut self, what: &[u8]) {
        self.version += 1;
        let hash = Sha256::new().chain_update(&self.digest).chain_update(what).finalize();
        self.digest = hash.iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    }

    pub(super) fn folder_of(&self, path: &str) -> Option<u64> {
        self.find(split(path).0)
    }
}

/// Version, time and history of a database: the order is that of the merge rule (pve-3.2-tools.md 2.6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// Counts all writes; the highest wins.
    pub version: u64,
    /// The newest write wins between equal versions.
    pub mtime: u64,
    /// Equal if and only if the histories are; between equal versions and times it only has to decide the same
    /// everywhere.
    pub digest: String,
}
