//! Folders that are kept from run to run as long as what they were made from is the same.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cias_firstboot::files;
use cias_firstboot::outcome::Class;
use nix::fcntl::Flock;

use crate::base::{key, remove};
use crate::wait;

/// Holds the key of what is there, and is written last: a folder without it is half-made.
const KEY: &str = "made-from";

/// The longest that another process may take to make the same: an installation and the forming of a cluster.
const OTHERS: Duration = Duration::from_hours(1);

/// Makes `folder` with what `make` puts into it, unless it was made from the same `parts` before. Another lab that makes it is
/// waited for.
pub fn ensure(folder: &Path, parts: &[Vec<u8>], make: impl FnOnce() -> Result<()>) -> Result<()> {
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above).with_context(|| format!("making {}", above.display()))?;
    }
    let _locked = lock(folder)?;
    let (file, wanted) = (folder.join(KEY), key::of(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    if std::fs::read_to_string(&file).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    remove(folder)?;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    make()?;
    std::fs::write(&file, wanted).with_context(|| format!("writing {}", file.display()))
}

/// Keeps other labs from making what is to be at `path`, until it is dropped; another one that makes it is waited for.
pub fn lock(path: &Path) -> Result<Flock<File>> {
    let busy = || format!("{} is being made by another lab", path.display());
    let lock = path.with_extension("lock");
    let locked = wait::until(OTHERS, || match files::lock(&lock, busy) {
        Err(error) if Class::of(&error) == Class::TryLater => Ok(None),
        locked => locked.map(Some),
    })?;
    locked.with_context(busy)
}

/// Has it made afresh the next time.
pub fn forget(folder: &Path) -> Result<()> {
    remove(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_labs_make_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("x");
        let made = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    ensure(&folder, &[vec![1]], || {
                        made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        std::fs::write(folder.join("content"), "x").map_err(Into::into)
                    })
                    .unwrap();
                    assert!(folder.join("content").exists());
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn it_is_made_once_for_the_same_parts_and_afresh_for_others_or_when_it_failed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("x");
        let made = |parts: &[&str], ok: bool| {
            let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
            let mut made = false;
            let result = ensure(&folder, &parts, || {
                assert!(std::fs::read_dir(&folder).unwrap().next().is_none(), "leftovers");
                std::fs::write(folder.join("content"), "x").unwrap();
                made = true;
                anyhow::ensure!(ok, "failed");
                Ok(())
            });
            assert_eq!(result.is_ok(), ok);
            made
        };
        for (parts, ok, wanted) in [
            (&["a", "b"][..], true, true),
            (&["a", "b"], true, false),
            (&["ab"], false, true),
            (&["ab"], true, true),
            (&["ab"], true, false),
        ] {
            assert_eq!(made(parts, ok), wanted, "{parts:?}");
        }
    }
}
