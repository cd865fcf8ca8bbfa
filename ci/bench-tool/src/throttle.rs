//! A limit of bytes written per second for some block devices, by the kernel's I/O controller.
//!
//! Version 1 has limits at its root that hold for all writers, also the kernel's own threads. Version 2 charges cached
//! writes to the cgroup that made them, so this process moves into one of its own for as long as the limit holds.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;

use crate::loops::Loop;

/// Limits that end when it goes out of scope.
#[derive(Debug)]
pub struct Throttle {
    file: PathBuf,
    /// What is written to `file` at the end.
    free: Vec<String>,
    /// Version 2: our own cgroup and the one that this process came from.
    moved: Option<(PathBuf, PathBuf)>,
}

/// The I/O controller of this machine.
#[derive(Debug, PartialEq)]
enum Controller {
    /// Version 1, where it is mounted.
    Blkio(PathBuf),
    /// Version 2, where it is mounted.
    Unified(PathBuf),
}

impl Throttle {
    /// Limits each of `disks` to `rate` bytes per second.
    pub fn new(disks: &[Loop], rate: u64) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/mounts").context("reading /proc/mounts")?;
        let lacking = || {
            Class::MissingTool.error(
                "the kernel has no I/O controller that limits writes (cgroup v1 `blkio.throttle` or v2 `io`); use a \
                 kernel with CONFIG_BLK_DEV_THROTTLING",
            )
        };
        let numbers = disks.iter().map(Loop::number).collect::<Result<Vec<_>>>()?;
        let controller = controller(&mounts, |point| {
            fs::read_to_string(point.join("cgroup.controllers")).unwrap_or_default()
        });
        let mut throttle = match controller.ok_or_else(lacking)? {
            Controller::Blkio(point) => {
                Self { file: point.join("blkio.throttle.write_bps_device"), free: Vec::new(), moved: None }
            }
            Controller::Unified(point) => Self::unified(&point)?,
        };
        if !throttle.file.exists() {
            return Err(lacking());
        }
        for number in numbers {
            let (set, free) = match throttle.moved {
                None => (format!("{number} {rate}"), format!("{number} 0")),
                Some(_) => (format!("{number} wbps={rate}"), format!("{number} wbps=max")),
            };
            // Noted first, so that whatever was set is freed.
            throttle.free.push(free);
            write(&throttle.file, &set)?;
        }
        Ok(throttle)
    }

    fn unified(point: &Path) -> Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").context("reading /proc/self/cgroup")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).context("finding our own cgroup")?;
        // Beside the mount's root: the file that lends the controller must not be in a cgroup with processes.
        write(&point.join("cgroup.subtree_control"), "+io")?;
        let folder = point.join(format!("cias-bench-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let throttle = Self {
            file: folder.join("io.max"),
            free: Vec::new(),
            moved: Some((folder.clone(), point.join(own))),
        };
        write(&folder.join("cgroup.procs"), &std::process::id().to_string())?;
        Ok(throttle)
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // Nobody is left to be told, and the limits end with their devices at the latest.
        for line in &self.free {
            let _ = write(&self.file, line);
        }
        if let Some((folder, before)) = &self.moved {
            let _ = write(&before.join("cgroup.procs"), &std::process::id().to_string());
            let _ = fs::remove_dir(folder);
        }
    }
}

/// These files take one line for each write, and are not there to be replaced by a rename.
fn write(path: &Path, line: &str) -> Result<()> {
    fs::write(path, line).with_context(|| format!("writing {line:?} to {}", path.display()))
}

/// The controller in what `/proc/mounts` says; `offers` gives the controllers of a mount of version 2.
fn controller(mounts: &str, offers: impl Fn(&Path) -> String) -> Option<Controller> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind, options) = (Path::new(words.next()?), words.next()?, words.next()?);
        match kind {
            "cgroup" if options.split(',').any(|option| option == "blkio") => {
                Some(Controller::Blkio(point.to_owned()))
            }
            "cgroup2" if offers(point).split_ascii_whitespace().any(|offered| offered == "io") => {
                Some(Controller::Unified(point.to_owned()))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_io_controller_is_found_in_either_version() {
        let old = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                   cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n\
                   cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let blkio = format!("{old}cgroup /sys/fs/cgroup/blkio cgroup rw,relatime,blkio 0 0\n");
        let new = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let found = |mounts: &str, offered: &str| controller(mounts, |_| offered.to_owned());
        assert_eq!(found(old, "hugetlb"), None);
        assert_eq!(found(&blkio, "hugetlb"), Some(Controller::Blkio("/sys/fs/cgroup/blkio".into())));
        assert_eq!(found(new, "cpu memory"), None);
        assert_eq!(found(new, "cpu io memory\n"), Some(Controller::Unified("/sys/fs/cgroup".into())));
    }
}
