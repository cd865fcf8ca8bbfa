//! The stand-in's cluster-wide lock of storage.cfg (PC data/PVE/Cluster.pm `$cfs_lock` of March 2014, read; pve-3.2-tools.md 2.5).

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};

use crate::host::Host;

const LOCKS: &str = "/etc/pve/priv/lock";
const NAME: &str = "file-storage_cfg";

/// How long the lock is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs `job` with the lock.
pub fn held(host: &Host, job: impl FnOnce() -> Result<()>) -> Result<()> {
    let (folder, lock) = (host.path(LOCKS), host.path(&format!("{LOCKS}/{NAME}")));
    let message = format!("can't aquire cfs lock '{NAME}'");
    // It is there already but for the first time.
    let _ = std::fs::create_dir(&folder);
    if !folder.is_dir() {
        bail!("{message}: pve cluster filesystem not online.");
    }
    let start = Instant::now();
    while std::fs::create_dir(&lock).is_err() {
        if start.elapsed() < Duration::from_millis(1) {
            eprint!("trying to aquire cfs lock '{NAME}' ...");
        }
        if start.elapsed() >= LIMIT {
            eprintln!();
            if !is_quorate(host) {
                bail!("{message}: no quorum!");
            }
            // The vendor's takes it away also from somebody who still has it.
            let _ = std::fs::remove_dir(&lock);
            bail!("got lock request timeout");
        }
        // Asks the cluster to take away one that nobody renews.
        let _ = std::fs::File::open(&lock).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH));
        std::thread::sleep(Duration::from_secs(1));
    }
    let done = job();
    let _ = std::fs::remove_dir(&lock);
    done
}

/// PVE's own test: the owner may write to the link.
fn is_quorate(host: &Host) -> bool {
    let link = host.path("/etc/pve/local").symlink_metadata();
    link.is_ok_and(|found| found.permissions().mode() & 0o200 != 0)
}
