//! The one way to write a file: a temporary file beside it, fsync, rename, fsync of the folder.
//!
//! A reader, or a boot after a power cut, sees either the old file or the new one, never a part.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::failpoint;
use crate::outcome::Class;

/// Replaces `path` by a file of `mode` that holds `bytes`; the file is on the disk when this returns.
///
/// The mode is set while the file is still empty, so that a secret is never readable by others.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    replace(path, bytes.as_ref(), mode, None)
}

/// As [`write()`], but the file, which must be there, keeps its mode and its owner.
pub fn rewrite(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let found = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    replace(path, bytes.as_ref(), found.mode() & 0o7777, Some((found.uid(), found.gid())))
}

/// As [`write()`], for more than memory should hold: `fill` writes the content.
pub fn write_by(path: &Path, mode: u32, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    replace_by(path, mode, None, fill)
}

/// A file without a name in `folder`, gone when it is closed, for what must be measured before it is passed on.
pub fn scratch(folder: &Path) -> Result<File> {
    let path = folder.join(format!(".scratch.cias-{}", std::process::id()));
    failpoint::hit("scratch before");
    let file = create(&path, OpenOptions::new().read(true))?;
    std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    failpoint::hit("scratch after");
    Ok(file)
}

fn replace(path: &Path, bytes: &[u8], mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    replace_by(path, mode, owner, |file| file.write_all(bytes).context("writing its content"))
}

fn replace_by(
    path: &Path,
    mode: u32,
    owner: Option<(u32, u32)>,
    fill: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    let shown = path.display();
    failpoint::hit(&format!("write {shown} before"));
    let temporary = temporary_beside(path);
    let written = write_temporary(&temporary, mode, fill)
        .and_then(|()| match owner {
            Some((user, group)) => chown(&temporary, Some(user), Some(group)).context("setting its owner"),
            None => Ok(()),
        })
        .and_then(|()| std::fs::rename(&temporary, path).with_context(|| format!("renaming onto {shown}")));
    if written.is_err() {
        // The first error is the one to report; the leftover may not even exist.
        let _ = std::fs::remove_file(&temporary);
    }
    written.with_context(|| format!("writing {shown}"))?;
    sync_folder_of(path)?;
    failpoint::hit(&format!("write {shown} after"));
    Ok(())
}

/// Replaces a file on the cluster's file system, which knows neither owners nor modes (docs/facts.md 15): a temporary file beside it,
/// rename. The folders that it lies in are made. When this returns, the cluster has it; without quorum it is [`Class::TryLater`].
pub fn write_shared(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let shown = path.display();
    failpoint::hit(&format!("write {shown} before"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!("{name}.tmp.{}", std::process::id()));
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = folder
        .and_then(|()| std::fs::write(&temporary, bytes))
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EACCES) => Class::TryLater.error(NO_QUORUM),
            _ => anyhow::Error::new(error),
        });
    if written.is_err() {
        // The first error is the one to report; the leftover may not even exist.
        let _ = std::fs::remove_file(&temporary);
    }
    written.with_context(|| format!("writing {shown}"))?;
    failpoint::hit(&format!("write {shown} after"));
    Ok(())
}

/// Why the cluster's file system takes nothing.
pub const NO_QUORUM: &str = "the cluster has no quorum, so /etc/pve cannot be written: switch on more of its nodes, `pvecm status` counts them";

/// As [`write()`], but leaves a file alone that already has this content and mode. Returns whether it wrote.
pub fn write_if_changed(path: &Path, bytes: impl AsRef<[u8]>, mode: u32) -> Result<bool> {
    let same = is(path, bytes.as_ref(), mode);
    if !same {
        write(path, bytes, mode)?;
    }
    Ok(!same)
}

/// Is `path` a plain file of `mode` that holds `bytes`?
pub fn is(path: &Path, bytes: impl AsRef<[u8]>, mode: u32) -> bool {
    std::fs::read(path).is_ok_and(|found| found == bytes.as_ref())
        && std::fs::symlink_metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o7777 == mode)
}

/// Makes `path` and its missing parents as folders; the last one gets `mode`.
pub fn make_folder(path: &Path, mode: u32) -> Result<()> {
    let shown = path.display();
    failpoint::hit(&format!("mkdir {shown} before"));
    std::fs::create_dir_all(path).with_context(|| format!("making the folder {shown}"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {shown}"))?;
    failpoint::hit(&format!("mkdir {shown} after"));
    Ok(())
}

/// Removes a file; one that is not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let shown = path.display();
    failpoint::hit(&format!("remove {shown} before"));
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {shown}"));
        }
        _ => {}
    }
    failpoint::hit(&format!("remove {shown} after"));
    Ok(())
}

/// Gives a file another name in its folder; one of that name is replaced.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let shown = from.display();
    failpoint::hit(&format!("rename {shown} before"));
    std::fs::rename(from, to).with_context(|| format!("renaming {shown} to {}", to.display()))?;
    sync_folder_of(to)?;
    failpoint::hit(&format!("rename {shown} after"));
    Ok(())
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub fn remove_folder(path: &Path) -> Result<()> {
    let shown = path.display();
    failpoint::hit(&format!("remove {shown} before"));
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {shown}"));
        }
        _ => {}
    }
    failpoint::hit(&format!("remove {shown} after"));
    Ok(())
}

/// Gives a file or folder to an account and its group.
pub fn give(path: &Path, (user, group): (u32, u32)) -> Result<()> {
    let shown = path.display();
    failpoint::hit(&format!("give {shown} before"));
    chown(path, Some(user), Some(group))
        .with_context(|| format!("giving {shown} to the account {user}:{group}"))?;
    failpoint::hit(&format!("give {shown} after"));
    Ok(())
}

/// Has the file at `from` also be there as `to`, in the same file system.
pub fn link(from: &Path, to: &Path) -> Result<()> {
    let shown = from.display();
    failpoint::hit(&format!("link {shown} before"));
    std::fs::hard_link(from, to).with_context(|| format!("linking {shown} to {}", to.display()))?;
    failpoint::hit(&format!("link {shown} after"));
    Ok(())
}

/// Leads `path`, which must not be there, to `target`, as it is read from the folder of `path`.
pub fn lead(path: &Path, target: &str) -> Result<()> {
    let shown = path.display();
    failpoint::hit(&format!("lead {shown} before"));
    std::os::unix::fs::symlink(target, path).with_context(|| format!("leading {shown} to {target}"))?;
    failpoint::hit(&format!("lead {shown} after"));
    Ok(())
}

/// Locks the file at `path`, an empty one that nothing reads, until the answer is dropped. If another process has it, that is
/// [`Class::TryLater`] with the sentence `busy`.
pub fn lock(path: &Path, busy: impl FnOnce() -> String) -> Result<Flock<File>> {
    flock(path, FlockArg::LockExclusiveNonblock).map_err(|error| match error.downcast_ref() {
        Some(&Errno::EWOULDBLOCK) => Class::TryLater.error(busy()),
        _ => error,
    })
}

/// As [`lock()`], but waits for the other process; for locks that are held only while a file or a few are written.
pub fn lock_in_turn(path: &Path) -> Result<Flock<File>> {
    flock(path, FlockArg::LockExclusive)
}

fn flock(path: &Path, how: FlockArg) -> Result<Flock<File>> {
    let shown = path.display();
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("opening {shown}"))?;
    Flock::lock(file, how).map_err(|(_, error)| error).with_context(|| format!("locking {shown}"))
}

/// Makes the entries of the folder that holds `path` durable.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .with_context(|| format!("syncing the folder {}", folder.display()))
}

/// Always the same name, so that the next write of the file takes away what a power cut left.
fn temporary_beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.cias-new", path.file_name().unwrap_or_default().to_string_lossy()))
}

fn write_temporary(temporary: &Path, mode: u32, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let mut new = create(temporary, &mut OpenOptions::new())?;
    new.set_permissions(std::fs::Permissions::from_mode(mode)).context("setting its mode")?;
    fill(&mut new)?;
    new.sync_all().context("syncing it")
}

/// A new file that only we can read.
fn create(path: &Path, options: &mut OpenOptions) -> Result<File> {
    // What an earlier power cut left must not stop us, nor lend us its mode.
    let _ = std::fs::remove_file(path);
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("creating {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_content_and_mode_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "old").unwrap();
        write(&path, "new", 0o600).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unchanged_file_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        assert!(write_if_changed(&path, "a", 0o644).unwrap());
        assert!(!write_if_changed(&path, "a", 0o644).unwrap());
        assert!(write_if_changed(&path, "a", 0o600).unwrap());
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        let error = write(&path, "x", 0o644).unwrap_err();
        assert!(format!("{error:#}").contains("taken"), "{error:#}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
