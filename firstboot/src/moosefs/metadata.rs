//! Files of metadata: how old one is stands in its first bytes (docs/facts.md 18).

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, bail};

use super::DATA;
use crate::system::Sysroot;

/// A file system with nothing in it, the whole file.
pub const EMPTY: &[u8] = b"MFSM NEW";

/// What the metadata server keeps while it runs, and what is left of it where it did not end by itself.
pub const RUNNING: &str = "metadata.mfs.back";

/// What it leaves when it ends, and the only thing that it starts from.
pub const ENDED: &str = "metadata.mfs";

/// What a metalogger fetched.
pub const FETCHED: &str = "metadata_ml.mfs.back";

/// How much of a file tells its version.
const HEADER: usize = 24;

/// The version that the file of these first bytes has: the number of changes that are in it. An empty file system has none of them.
pub fn version(bytes: &[u8]) -> Result<u64> {
    if bytes == EMPTY {
        return Ok(0);
    }
    let number = |at: usize| {
        let field = bytes.get(at..at + 8).and_then(|field| <[u8; 8]>::try_from(field).ok());
        field.map(u64::from_be_bytes).context("it ends within its header")
    };
    match bytes.get(..8).unwrap_or(bytes) {
        b"MFSM 1.5" | b"MFSM 1.6" | b"MFSM 1.7" => number(12),
        [b'M', b'F', b'S', b'M', b' ', b'2'..=b'4', b'.', b'0'..=b'9'] => number(8),
        other => {
            bail!("found {:?} as its first bytes, wanted MFSM and a version", String::from_utf8_lossy(other))
        }
    }
}

/// The version of a file in [`DATA`]; nothing if it is not there.
pub fn version_of(root: &Sysroot, name: &str) -> Result<Option<u64>> {
    let path = format!("{DATA}/{name}");
    if !root.has(&path) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let file = File::open(root.path(&path)).with_context(|| format!("reading {path}"))?;
    file.take(HEADER as u64).read_to_end(&mut bytes).with_context(|| format!("reading {path}"))?;
    version(&bytes).map(Some).with_context(|| format!("reading {path}"))
}

/// Can it be restored from? 1.6.27 skips the log of a file whose version is 0, and 3.0's first one is no base at all: both then make an empty
/// file system of it, without an error.
pub fn is_a_base(version: Option<u64>) -> bool {
    version.is_some_and(|version| version > 1)
}

/// Those of a folder's `names` that say that metadata is known there, be it unusable. The package's own sample is none.
pub fn known<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let is_known = |name: &&str| {
        name.starts_with("metadata") && !["metadata.mfs.empty", "metadata.crc"].contains(name)
            || name.starts_with("changelog")
    };
    names.into_iter().filter(is_known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    /// The first bytes of files that 1.6.27 and 3.0.117 wrote, after 4 and 8 changes and, by 1.6.27, after none.
    const OLD: &[u8] = b"MFSM 1.5\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x02";
    const OLD_FIRST: &[u8] = b"MFSM 1.5\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01";
    const NEW: &[u8] = b"MFSM 2.0\x00\x00\x00\x00\x00\x00\x00\x08\x6b\x0b\x3e\xeb\x5c\x3f\xbb\x29";

    #[test]
    fn the_version_is_where_each_dialect_has_it() {
        for (bytes, wanted) in [
            (OLD, Some(4)),
            (OLD_FIRST, Some(0)),
            (NEW, Some(8)),
            (EMPTY, Some(0)),
            (&OLD[..18], None),
            (&NEW[..8], None),
            (b"", None),
            (b"MFSM 9.9aaaaaaaaaaaaaaaa", None),
            (b"MFSX 1.5aaaaaaaaaaaaaaaa", None),
        ] {
            assert_eq!(version(bytes).ok(), wanted, "{bytes:?}");
        }
        let bases = [None, Some(0), Some(1), Some(2), Some(8)].map(is_a_base);
        assert_eq!(bases, [false, false, false, true, true]);
    }

    #[test]
    fn a_file_that_is_not_there_has_none_and_a_damaged_one_is_named() {
        let tree = Tree::from_text("/var/lib/mfs/metadata.mfs = x\n");
        assert_eq!(version_of(&tree.root(), RUNNING).unwrap(), None);
        let error = version_of(&tree.root(), ENDED).unwrap_err();
        assert!(format!("{error:#}").contains("reading /var/lib/mfs/metadata.mfs: found \"x"), "{error:#}");
        std::fs::write(tree.root().path("/var/lib/mfs/metadata.mfs"), NEW).unwrap();
        assert_eq!(version_of(&tree.root(), ENDED).unwrap(), Some(8));
    }

    #[test]
    fn whatever_may_be_metadata_is_known() {
        let names = [
            "metadata.mfs.empty",
            ".mfsmaster.lock",
            "stats.mfs",
            "sessions.mfs",
            "metadata_ml.tmp",
            "metadata.mfs.back.1",
            "changelog_ml.0.mfs",
            "metadata.crc",
            "old.5",
        ];
        assert_eq!(known(names), ["metadata_ml.tmp", "metadata.mfs.back.1", "changelog_ml.0.mfs"]);
    }
}
