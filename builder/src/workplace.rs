//! The folder in which an image grows: beside the output, so that the last step is a rename; readable only by us;
//! gone when it goes out of scope.

use anyhow::{Context, Result};
use cias_firstboot::files;
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An open workplace.
#[derive(Debug)]
pub struct Workplace {
    /// Removes everything when dropped.
    _folder: TempDir,
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
        Ok(Self { _folder: folder, image, file, stage })
    }

    /// Makes the image durable and moves it to `out`.
    pub fn finish(self, out: &Path) -> Result<()> {
        self.file.sync_all().with_context(|| format!("syncing {}", self.image.display()))?;
        std::fs::rename(&self.image, out)
            .with_context(|| format!("renaming the image to {}", out.display()))?;
        files::sync_folder_of(out)
    }
}
