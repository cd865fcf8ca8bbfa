//! The folder in which an image grows: beside the output, so that the last step is a rename; readable only by us;
//! gone when it goes out of scope.

use anyhow::{Context, Result};
use cias_firstboot::files;
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::Class;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What is said of a disk that takes no more. Sources: glibc, errno(3); xorriso, before it begins to write.
const FULL: [&str; 3] = ["No space left on device", "Disk quota exceeded", "exceeds free space on media"];

/// Refuses an output that must not be replaced: one of the `inputs`, a device, a link, or anything without `force`.
pub fn check<'a>(out: &Path, force: bool, inputs: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    let shown = out.display();
    let Ok(found) = out.symlink_metadata() else { return Ok(()) };
    if !force {
        return Err(exists(out));
    }
    if !found.is_file() {
        return Err(Class::Refused.error(format!("{shown} is no plain file; choose another --out")));
    }
    for input in inputs {
        let same = |input: std::fs::Metadata| (input.dev(), input.ino()) == (found.dev(), found.ino());
        if input.metadata().is_ok_and(same) {
            return Err(Class::Refused.error(format!(
                "{shown} is the same file as {}, which is read; choose another --out",
                input.display()
            )));
        }
    }
    Ok(())
}

fn exists(out: &Path) -> anyhow::Error {
    Class::Refused.error(format!("{} exists already; give --force to replace it", out.display()))
}

/// An open workplace.
#[derive(Debug)]
pub struct Workplace {
    /// Removes everything when dropped.
    folder: TempDir,
    /// The growing image.
    pub image: PathBuf,
    /// The same, open for writing.
    pub file: File,
    /// Folder for the files to be added.
    pub stage: PathBuf,
}

impl Workplace {
    /// Makes a workplace beside `out`.
    pub fn new(out: &Path) -> Result<Self> {
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let making = || format!("making a temporary folder in {}", parent.display());
        let parent = parent.canonicalize().with_context(making)?;
        let folder = tempfile::Builder::new()
            .prefix(".cias-build-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .with_context(making)?;
        let image = folder.path().join("image.iso");
        let stage = folder.path().join("stage");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&image)
            .with_context(making)?;
        files::make_folder(&stage, 0o700)?;
        Ok(Self { folder, image, file, stage })
    }

    /// Makes the image durable and moves it to `out`, where without `force` nothing may be, also not since the start.
    pub fn finish(&self, out: &Path, force: bool, interrupt: &Interrupt) -> Result<()> {
        self.file.sync_all().with_context(|| format!("syncing {}", self.image.display()))?;
        // The last moment: from now on there is a result.
        interrupt.check()?;
        let moved = if force { std::fs::rename(&self.image, out) } else { self.rename_if_free(out)? };
        moved.with_context(|| format!("renaming the image to {}", out.display()))?;
        files::sync_folder_of(out)
    }

    /// Renames unless something is there; the error of the rename itself is inside.
    fn rename_if_free(&self, out: &Path) -> Result<std::io::Result<()>> {
        match rustix::fs::renameat_with(CWD, &self.image, CWD, out, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => Err(exists(out)),
            // A file system or a kernel that can't do it in one step gets two.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match out.symlink_metadata() {
                Ok(_) => Err(exists(out)),
                Err(_) => Ok(std::fs::rename(&self.image, out)),
            },
            moved => Ok(moved.map_err(Into::into)),
        }
    }

    /// The sentence for `error` if it means that the disk is full.
    pub fn full(&self, error: &anyhow::Error) -> Option<anyhow::Error> {
        let text = format!("{error:#}");
        let parent = self.folder.path().parent().unwrap_or(Path::new("/")).display();
        FULL.iter().any(|what| text.contains(what)).then(|| {
            Class::Failed.error(format!(
                "{error}: {parent}: the disk is full; make room there or choose another --out"
            ))
        })
    }

    /// Removes the workplace. Dropping does so, too, but can't tell when it fails.
    pub fn close(self) -> Result<()> {
        let path = self.folder.path().to_owned();
        self.folder.close().with_context(|| {
            format!("removing {}, which may hold secrets: remove it yourself", path.display())
        })
    }
}
