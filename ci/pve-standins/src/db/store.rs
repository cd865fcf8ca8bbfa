//! A stand-in's config.db: one line that says what it is, then the whole database as JSON. The vendor's is `SQLite`; nothing
//! but the stand-ins reads this. It is always replaced as a whole: written aside, synced, renamed.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::Tree;

const TITLE: &str = "pve-standins pmxcfs database 1\n";

/// Reads the database; none if there is no file.
pub fn load(path: &Path) -> Result<Option<Tree>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| format!("reading {}", path.display()))?,
    };
    let body = text
        .strip_prefix(TITLE)
        .with_context(|| format!("{}: found no line {:?} at its beginning", path.display(), TITLE.trim()))?;
    let tree: Tree = serde_json::from_str(body).with_context(|| format!("parsing {}", path.display()))?;
    Ok(Some(tree))
}

/// Replaces the database.
pub fn save(path: &Path, tree: &Tree) -> Result<()> {
    let body = serde_json::to_string(tree).context("writing the database as JSON")?;
    replace(path, &[TITLE.as_bytes(), body.as_bytes()].concat(), 0o600)
}

/// Replaces any file: written aside, synced, renamed.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(&aside);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::{Op, Stamp};
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_with_its_guests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.db");
        assert!(load(&path).unwrap().is_none());
        let (mut tree, stamp) = (Tree::default(), Stamp { writer: 1, time: 5 });
        for name in ["nodes", "nodes/a", "nodes/a/qemu-server"] {
            tree.apply(&Op::Mkdir(name.into()), stamp).unwrap();
        }
        let file = "nodes/a/qemu-server/100.conf";
        tree.apply(&Op::Create(file.into()), stamp).unwrap();
        tree.apply(&Op::Write(file.into(), 0, vec![0, 255, b'x']), stamp).unwrap();
        save(&path, &tree).unwrap();
        let again = load(&path).unwrap().unwrap();
        assert_eq!(again.mark(), tree.mark());
        assert_eq!(again.read(file).unwrap(), [0, 255, b'x']);
        assert_eq!(again.vms.ids[&100].node, "a");
        std::fs::write(&path, "something else").unwrap();
        assert!(load(&path).is_err(), "another file is not taken for an empty database");
    }
}
