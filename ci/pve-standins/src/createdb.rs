//! A stand-in for `create_pmxcfs_db`: every regular file of a folder goes into the root of a database (pve-3.2-tools.md 6).

use std::path::Path;

use anyhow::{Context, Result};

use crate::args::Args;
use crate::db::store;
use crate::pmxcfs::import;

/// Adds the files.
pub fn run(args: &Args) -> Result<u8> {
    let [folder, file] = args.words.as_slice() else {
        eprintln!("usage: create_pmxcfs_db DIR FILE");
        return Ok(255);
    };
    let file = Path::new(file);
    let mut tree = store::load(file)?.unwrap_or_default();
    let entries = std::fs::read_dir(folder).with_context(|| format!("listing {folder}"))?;
    let mut entries =
        entries.collect::<std::io::Result<Vec<_>>>().with_context(|| format!("listing {folder}"))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let bytes =
                std::fs::read(entry.path()).with_context(|| format!("reading {}", entry.path().display()))?;
            import(&mut tree, &entry.file_name().to_string_lossy(), bytes)?;
        }
    }
    std::fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))
        .context("making the database's folder")?;
    store::save(file, &tree)?;
    Ok(0)
}
