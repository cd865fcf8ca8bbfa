//! A node whose data disks are loop devices, brought up by the product's own step, with the bytes that each `mkfs.ext3`
//! wrote.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use cias_firstboot::disks::DataDisks;
use cias_firstboot::log::Log;
use cias_firstboot::runner::{Call, Host, Output, Runner};
use cias_firstboot::site::Site;
use cias_firstboot::step::Step;
use cias_firstboot::system::{Sysroot, System};

use crate::loops::{Loop, run, written};

/// One call of `mkfs.ext3` by the product.
#[derive(Clone, Debug)]
pub struct Format {
    /// Its arguments, the device last.
    pub args: Vec<String>,
    /// What it wrote to the device.
    pub bytes: u64,
}

/// A node with blank disks.
#[derive(Debug)]
pub struct Node {
    root: PathBuf,
    /// Its disks.
    pub disks: Vec<Loop>,
}

impl Node {
    /// A node below `work` with `count` disks of `bytes` bytes.
    pub fn new(work: &Path, count: usize, bytes: u64) -> Result<Self> {
        let root = work.join("disks");
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))?;
        }
        let mut node = Self { root, disks: Vec::new() };
        for folder in ["sys/block", "proc", "dev", "etc", "var/lib/cias", "images"] {
            let folder = node.root.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(node.root.join("etc/fstab"), "").context("writing an empty fstab")?;
        for name in ["proc/self", "proc/swaps"] {
            node.link(name)?;
        }
        for number in 0..count {
            let disk = Loop::new(&node.root.join(format!("images/{number}")), bytes)?;
            node.link(&format!("sys/block/{}", disk.name))?;
            node.link(&format!("dev/{}", disk.name))?;
            node.disks.push(disk);
        }
        Ok(node)
    }

    fn link(&self, name: &str) -> Result<()> {
        symlink(Path::new("/").join(name), self.root.join(name)).with_context(|| format!("linking /{name}"))
    }

    /// Brings all disks up as a boot does. Returns the seconds that it took and what was formatted.
    pub fn boot(&self, site: &Site) -> Result<(f64, Vec<Format>)> {
        let meter = Meter { host: Host::unchecked(|_| ()), formats: Mutex::default() };
        let log = Log::silent();
        let system = System { root: Sysroot::new(&self.root), runner: &meter, log: &log };
        let names = self.disks.iter().map(|disk| disk.name.clone()).collect();
        let step = DataDisks::new(site).with(names);
        let started = Instant::now();
        step.apply(&system)?;
        let seconds = started.elapsed().as_secs_f64();
        let left = step.check(&system)?;
        ensure!(
            left.todo.is_empty() && left.warnings.is_empty(),
            "bringing up the disks left {:?}, {:?}",
            left.todo,
            left.warnings
        );
        let formats = meter.formats.into_inner().unwrap_or_else(PoisonError::into_inner);
        ensure!(
            formats.len() == self.disks.len(),
            "{} of {} disks were formatted",
            formats.len(),
            self.disks.len()
        );
        Ok((seconds, formats))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| Path::new(point).starts_with(&self.root)) {
            // Nobody is left to be told; the disk's device then goes with the last unmount.
            let _ = run("umount", &[point]);
        }
    }
}

/// Runs commands, and counts what each `mkfs.ext3` writes.
struct Meter {
    host: Host<'static>,
    formats: Mutex<Vec<Format>>,
}

impl Runner for Meter {
    fn outcome(&self, call: &Call) -> Result<Output> {
        let device = call.arguments().last().and_then(|arg| arg.strip_prefix("/dev/"));
        let Some(device) = device.filter(|_| call.program() == "mkfs.ext3") else {
            return self.host.outcome(call);
        };
        let before = written(device)?;
        let output = self.host.outcome(call)?;
        let format = Format { args: call.arguments().to_vec(), bytes: written(device)? - before };
        self.formats.lock().unwrap_or_else(PoisonError::into_inner).push(format);
        Ok(output)
    }
}
