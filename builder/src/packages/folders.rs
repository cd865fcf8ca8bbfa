//! The packages that a build adds: what lies in the folders given.

use crate::plan::PACKAGES;
use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest package: all of them have to fit into the installer's memory.
const MAX_PACKAGE: u64 = 256 << 20;

/// Names and contents of all packages in `folders`, in the order of their names.
pub fn read_folders(folders: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for folder in folders {
        let shown = folder.display();
        let entries = std::fs::read_dir(folder).map_err(|error| {
            Class::BadInput.error(format!("--packages {shown}: {error}; give a folder that holds .deb files"))
        })?;
        let mut count = 0;
        for entry in entries {
            let path = entry.with_context(|| format!("listing {shown}"))?.path();
            if path.extension().is_none_or(|extension| extension != "deb") {
                continue;
            }
            let name = usable_name(&path)?;
            let size = std::fs::metadata(&path).with_context(|| format!("reading {}", path.display()))?.len();
            if size > MAX_PACKAGE {
                return Err(Class::BadInput.error(format!(
                    "{} has {size} bytes, wanted at most {MAX_PACKAGE}: the installer keeps packages in memory",
                    path.display()
                )));
            }
            let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            if found.insert(name.clone(), bytes).is_some() {
                return Err(
                    Class::BadInput.error(format!("{name} is in two folders of --packages; remove one"))
                );
            }
            count += 1;
        }
        if count == 0 {
            return Err(Class::BadInput.error(format!("--packages {shown} holds no .deb file")));
        }
    }
    Ok(found.into_iter().collect())
}

/// The vendor's installer puts the name into a shell line without quotes (docs/facts.md 3.5).
fn usable_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_usable(name) {
        return Err(Class::BadInput.error(format!(
            "{}: the name may hold only letters, digits and . _ + ~ -, because {PACKAGES} goes through a shell; rename it",
            path.display()
        )));
    }
    Ok(name.to_owned())
}

/// May a package's file have this name?
pub fn is_usable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._+~-".contains(c))
}
