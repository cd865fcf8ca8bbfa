//! Whose turn it is at the disks: one process at a time looks into file systems or writes to disks.
//!
//! Two at once would mount at the same folder and take one disk's files for another's, and one that only looks would make
//! a disk of the other's be in use.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::files;
use crate::outcome::Class;

/// How long another process may be at the disks before this one gives up; a look takes seconds, formatting much longer.
pub const LIMIT: Duration = Duration::from_mins(1);

/// More file systems than one were never left at the folder.
const LAYERS: u32 = 4;

/// How often a file system is unmounted that is busy.
const ATTEMPTS: u32 = 20;

/// Between two attempts. A command that another thread starts at this moment has our open files, too, until it runs, and
/// nothing tells when that is.
const PAUSE: Duration = Duration::from_millis(100);

/// The turn, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Turn {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl Turn {
    /// Waits for the turn, at most for `limit`. `folder` is where file systems are mounted for a look; the lock is that of
    /// the folder around it, so that a look leaves nothing behind. What a killed look left mounted is taken off.
    pub fn take(folder: &Path, limit: Duration) -> Result<Self> {
        let around = folder.parent().unwrap_or(folder);
        if !around.is_dir() {
            files::make_folder(around, 0o700)?;
        }
        let file = File::open(around).with_context(|| format!("opening {}", around.display()))?;
        let (tell, hear) = mpsc::channel();
        // Only a thread can wait for a lock and a clock. If nobody hears it any more the lock goes with what it said.
        thread::spawn(move || drop(tell.send(lock(file))));
        let lock = hear.recv_timeout(limit).map_err(|_| {
            Class::TryLater.error(format!(
                "another cias is at work on the disks (it has locked {}): wait until it is done, then try again",
                around.display()
            ))
        })?;
        let lock = lock.with_context(|| format!("locking {}", around.display()))?;
        let turn = Self { folder: folder.to_owned(), _lock: lock };
        turn.tidy()?;
        Ok(turn)
    }

    /// Where file systems are mounted for a look.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Unmounts what is mounted for the look. No command does it: none is run any more once we are asked to stop.
    pub fn take_off(&self) -> Result<()> {
        let mut last = Errno::EBUSY;
        for _ in 0..ATTEMPTS {
            match nix::mount::umount(&self.folder) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            thread::sleep(PAUSE);
        }
        Err(Class::Refused.error(format!(
            "what is mounted at {} for a look does not come off ({last}): find out what uses it, then start again",
            self.folder.display()
        )))
    }

    /// Takes off what a look that was killed left mounted.
    pub fn tidy(&self) -> Result<()> {
        let shown = self.folder.display();
        for _ in 0..LAYERS {
            if !is_mount_point(&self.folder).with_context(|| format!("looking at {shown}"))? {
                return Ok(());
            }
            self.take_off()?;
        }
        Err(Class::Refused
            .error(format!("something is mounted at {shown} again and again: find out what does that")))
    }
}

fn lock(mut file: File) -> Result<Flock<File>, Errno> {
    loop {
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => return Ok(lock),
            Err((again, Errno::EINTR)) => file = again,
            Err((_, error)) => return Err(error),
        }
    }
}

/// A folder with a file system of its own.
fn is_mount_point(folder: &Path) -> std::io::Result<bool> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        found => Ok(found?.dev() != std::fs::metadata(folder.join(".."))?.dev()),
    }
}
