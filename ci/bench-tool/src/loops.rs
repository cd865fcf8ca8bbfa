//! Loop devices and mounts that go when they go out of scope.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::runner::{Call, Host, Runner};

/// Runs `program`, for people who prepare a machine: any exit code but 0 is an error.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    let limit = std::time::Duration::from_mins(20);
    Ok(Host::unchecked(|_| ()).run(&Call::new(program).args(args.iter().copied()).limit(limit))?.stdout)
}

/// A loop device on a sparse file of its own.
#[derive(Debug)]
pub struct Loop {
    /// As `loop3`.
    pub name: String,
    image: PathBuf,
}

impl Loop {
    /// A device of `bytes` bytes on the new file `image`; one whose partitions can be read anew, as a disk's.
    pub fn new(image: &Path, bytes: u64) -> Result<Self> {
        let file = fs::File::create(image).with_context(|| format!("making {}", image.display()))?;
        file.set_len(bytes).with_context(|| format!("sizing {}", image.display()))?;
        let shown = image.to_string_lossy();
        let device = run("losetup", &["--partscan", "--find", "--show", &shown])?;
        let name = device.trim().trim_start_matches("/dev/").to_owned();
        Ok(Self { name, image: image.to_owned() })
    }

    /// As `/dev/loop3`.
    pub fn device(&self) -> String {
        format!("/dev/{}", self.name)
    }

    /// Major and minor number, as `7:3`.
    pub fn number(&self) -> Result<String> {
        let path = format!("/sys/block/{}/dev", self.name);
        Ok(fs::read_to_string(&path).with_context(|| format!("reading {path}"))?.trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // Nobody is left to be told; a device that is still mounted goes with its last user.
        let _ = run("losetup", &["--detach", &self.device()]);
        let _ = fs::remove_file(&self.image);
    }
}

/// Bytes that were written to the block device `name` since the machine started. What lies in the cache is written
/// first.
pub fn written(name: &str) -> Result<u64> {
    let device = format!("/dev/{name}");
    fs::File::open(&device).and_then(|file| file.sync_all()).with_context(|| format!("syncing {device}"))?;
    let path = format!("/sys/block/{name}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // The seventh number: sectors of 512 bytes, whatever the device's own are. Source: Linux, block/stat.rst.
    let sectors: u64 = text
        .split_ascii_whitespace()
        .nth(6)
        .and_then(|word| word.parse().ok())
        .with_context(|| format!("finding the written sectors in {path}"))?;
    Ok(sectors * 512)
}

/// A mounted file system.
#[derive(Debug)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
}

impl Mount {
    /// Mounts `device` at the new folder `point`.
    pub fn new(device: &str, point: &Path) -> Result<Self> {
        fs::create_dir_all(point).with_context(|| format!("making {}", point.display()))?;
        run("mount", &[device, &point.to_string_lossy()])?;
        Ok(Self { point: point.to_owned() })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Nobody is left to be told; the folder below target/ can be unmounted by hand.
        let _ = run("umount", &[&self.point.to_string_lossy()]);
    }
}
