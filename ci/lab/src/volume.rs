//! A file in the root of an installed disk, read and changed without starting the system, by e2fsprogs' debugfs.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cias_firstboot::runner::{Call, Host, Runner};

/// Partitions and extents of LVM begin at multiples of it, in bytes.
const STEP: u64 = 1 << 20;

/// Where the super block is in its file system, and its magic number in it. Source: the kernel's fs/ext2/ext2.h.
const SUPER: u64 = 1024;
const MAGIC: [u8; 2] = [0x53, 0xef];
const MAGIC_AT: usize = 56;

/// The file `path` in one of the file systems of `image`, which nobody uses meanwhile.
pub struct Inside<'a> {
    image: &'a Path,
    path: &'a str,
    offset: u64,
}

impl<'a> Inside<'a> {
    /// Finds the file system of the image that has the file.
    pub fn find(image: &'a Path, path: &'a str) -> Result<Self> {
        for offset in file_systems(image)? {
            let inside = Self { image, path, offset };
            if inside.read().is_ok_and(|text| !text.is_empty()) {
                return Ok(inside);
            }
        }
        anyhow::bail!("found no {path} on {}, wanted an installed system", image.display())
    }

    /// Its text.
    pub fn read(&self) -> Result<String> {
        self.debugfs(&["-R", &format!("cat {}", self.path)])
    }

    /// Puts another text in its place, with the mode 0600.
    pub fn write(&self, text: &str) -> Result<()> {
        let beside = PathBuf::from(format!("{}.file", self.image.display()));
        cias_firstboot::files::write(&beside, text, 0o600)?;
        let (path, shown) = (self.path, beside.display());
        for line in
            [format!("rm {path}"), format!("write {shown} {path}"), format!("sif {path} mode 0100600")]
        {
            self.debugfs(&["-w", "-R", &line])?;
        }
        crate::base::remove(&beside)?;
        // Its exit code is 0 whatever becomes of a command.
        ensure!(self.read()? == text, "debugfs did not write {path} into {}", self.image.display());
        Ok(())
    }

    fn debugfs(&self, args: &[&str]) -> Result<String> {
        let image = format!("{}?offset={}", self.image.display(), self.offset);
        let call = Call::new("debugfs").args(args.iter().copied()).arg(image);
        Ok(Host::unchecked(|_| ()).run(&call)?.stdout)
    }
}

/// Where file systems of the ext family begin.
fn file_systems(image: &Path) -> Result<Vec<u64>> {
    let reading = || format!("reading {}", image.display());
    let file = File::open(image).with_context(reading)?;
    let size = file.metadata().with_context(reading)?.len();
    let mut found = Vec::new();
    for offset in (0..size / STEP).map(|step| step * STEP) {
        let mut start = [0; MAGIC_AT + 2];
        file.read_exact_at(&mut start, offset + SUPER).with_context(reading)?;
        if start[MAGIC_AT..] == MAGIC {
            found.push(offset);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_in_the_second_file_system_and_changed() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("disk");
        let tree = folder.path().join("tree/etc");
        std::fs::create_dir_all(&tree).unwrap();
        std::fs::write(tree.join("file"), "old\n").unwrap();
        File::create(&image).unwrap().set_len(32 << 20).unwrap();
        let host = Host::unchecked(|_| ());
        for (offset, more) in [(1, None), (11, Some(folder.path().join("tree")))] {
            let mut call =
                Call::new("mkfs.ext3").args(["-q", "-F", "-E", &format!("offset={}", offset * STEP)]);
            if let Some(tree) = &more {
                call = call.args(["-d", &tree.display().to_string()]);
            }
            host.run(&call.args([image.display().to_string(), "8M".to_owned()])).unwrap();
        }
        let inside = Inside::find(&image, "/etc/file").unwrap();
        assert_eq!(inside.offset, 11 * STEP);
        assert_eq!(inside.read().unwrap(), "old\n");
        let new = "new\n".repeat(5000);
        inside.write(&new).unwrap();
        assert_eq!(inside.read().unwrap(), new);
        let shown = inside.debugfs(&["-R", "stat /etc/file"]).unwrap();
        assert!(shown.contains("Mode:  0600"), "{shown}");
        assert!(Inside::find(&image, "/etc/other").is_err());
    }
}
