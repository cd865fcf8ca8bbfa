//! `cias backup-gateway`: the newest archive of the gateway, on this node's own disk.
//!
//! The gateway is restored from there when its owner is dead, also where `MooseFS` is not mounted. Cron starts this on every node after the
//! schedule that makes the archives; a node that joins later does it once in the background.

pub mod choose;
pub mod step;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::members;
use crate::cluster::wait::await_until;
use crate::files;
use crate::log::Log;
use crate::moosefs;
use crate::outcome::Class;
use crate::runner::{Call, Host};
use crate::storage::schedule::GATEWAY;
use crate::system::{Sysroot, System};

const LOG: &str = "/var/log/cias/backup-gateway.log";

/// Two would write one file.
const LOCK: &str = "/run/cias/backup-gateway.lock";

/// Where vzdump puts the archives.
const FROM: &str = "/mnt/mfs/backup/dump";

/// Where the one that is kept lies. Its format is taken from the ending (docs/facts.md 19).
pub const KEPT: &str = "/var/lib/vz/dump/zentyal.tar.vma";

/// How long reading an archive's own configuration may take.
const LIMIT: Duration = Duration::from_mins(2);

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This one was taken.
    Taken(String),
    /// It is there already.
    Same(String),
    /// No archive is finished yet.
    Nothing,
}

/// Does it for the command line: a backup that is being made is waited for, as long as `wait`. What is to be said of it.
pub fn run(root: &Sysroot, wait: Duration) -> Result<String> {
    root.needs_root("cias backup-gateway")?;
    for file in [LOG, LOCK].map(|file| root.path(file)) {
        files::make_folder(file.parent().context("a file has a folder")?, 0o755)?;
    }
    let log = Log::to_file(&root.path(LOG))?;
    let host = Host::new(|line| log.note(line));
    let system = System { root: root.clone(), runner: &host, log: &log };
    Ok(match taken(&system, wait)? {
        Outcome::Taken(name) => format!("{KEPT} is {name} now"),
        Outcome::Same(name) => format!("{KEPT} is {name}, the newest one, already"),
        Outcome::Nothing => format!("{FROM} has no finished archive of the guest {GATEWAY} yet"),
    })
}

fn taken(system: &System, wait: Duration) -> Result<Outcome> {
    let _turn = files::lock(&system.root.path(LOCK), || {
        "another `cias backup-gateway` is at work on this node: wait until it has ended".to_owned()
    })?;
    if is_at_work(&system.root) && !wait.is_zero() {
        system
            .log
            .say(&format!("backup-gateway: waits for the backup of the guest {GATEWAY} that is being made"));
        let look = || (!is_at_work(&system.root)).then_some(());
        await_until(system.runner, wait, look)?;
    }
    gateway(system)
}

/// Takes the newest finished archive, unless it is there already.
fn gateway(system: &System) -> Result<Outcome> {
    let root = &system.root;
    if moosefs::steps::mount::mounted(root) != moosefs::steps::mount::Mounted::MooseFs {
        return Err(Class::TryLater.error(format!(
            "{FROM}: found MooseFS not mounted, wanted the archives of the gateway: `cias status` tells why it is not"
        )));
    }
    if is_at_work(root) {
        return Err(Class::TryLater.error(format!(
            "a backup of the guest {GATEWAY} is being made (its configuration has a lock): it is tried again"
        )));
    }
    let names = root.names(FROM);
    let Some(name) = choose::newest(&names) else { return Ok(Outcome::Nothing) };
    let source = root.path(&format!("{FROM}/{name}"));
    let size = std::fs::metadata(&source).with_context(|| format!("reading {}", source.display()))?.len();
    let kept = root.path(KEPT);
    let mark = root.path(&format!("{KEPT}.from"));
    let from = format!("{name} {size}\n");
    if files::is(&mark, &from, 0o644) && std::fs::metadata(&kept).is_ok_and(|kept| kept.len() == size) {
        return Ok(Outcome::Same(name.to_owned()));
    }
    is_an_archive(system, &source)?;
    // Whatever comes now, the mark no longer tells what lies there.
    files::remove(&mark)?;
    files::write_by(&kept, 0o600, |file| {
        let mut archive = File::open(&source).with_context(|| format!("opening {}", source.display()))?;
        let copied = std::io::copy(&mut archive, file).context("copying the archive")?;
        ensure!(
            copied == size && archive.read(&mut [0])? == 0,
            "{}: found {copied} bytes, wanted {size}: it changed meanwhile",
            source.display()
        );
        Ok(())
    })?;
    files::write(&mark, from, 0o644)?;
    Ok(Outcome::Taken(name.to_owned()))
}

/// Has it a configuration of a guest at its beginning?
fn is_an_archive(system: &System, path: &Path) -> Result<()> {
    let shown = path.display().to_string();
    let output = system.runner.outcome(&Call::new("vma").args(["config", &shown]).limit(LIMIT))?;
    if output.code == 0 && !output.stdout.trim().is_empty() {
        return Ok(());
    }
    Err(Class::Failed.error(format!(
        "{shown}: found no archive of a guest ({}), wanted one that vzdump has finished: the one that is kept stays; `vzdump {GATEWAY}` makes another",
        output.failure()
    )))
}

/// Has the guest a lock, wherever it is? vzdump sets one while it makes an archive.
fn is_at_work(root: &Sysroot) -> bool {
    let config = |node: &String| root.text(&format!("/etc/pve/nodes/{node}/qemu-server/{GATEWAY}.conf")).ok();
    members::is_mounted(root)
        && root.names("/etc/pve/nodes").iter().filter_map(config).any(|text| {
            // What stands below a heading is a snapshot's.
            text.lines().take_while(|line| !line.starts_with('[')).any(|line| line.starts_with("lock:"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::tree::Tree;

    const NAME: &str = "vzdump-qemu-100-2014_03_10-02_00_01.vma";

    fn node(config: &str) -> Tree {
        Tree::from_text(&format!(
            "/etc/pve/local -> nodes/m\n/run/cias/\n/proc/mounts = mfs#cias-pve-master:9421 /mnt/mfs fuse.mfs rw 0 0\n/var/lib/vz/dump/\n\
             /etc/pve/nodes/other/qemu-server/100.conf = {config}\n{FROM}/{NAME} = an archive\n"
        ))
    }

    fn vma() -> Fake {
        Fake::default().prints("vma config", "bootdisk: virtio0\n")
    }

    fn take(tree: &Tree, fake: &Fake) -> Result<Outcome> {
        taken(&System { root: tree.root(), runner: fake, log: &Log::silent() }, Duration::from_mins(1))
    }

    #[test]
    fn the_newest_archive_is_taken_once() {
        let (tree, fake) = (node("memory: 512"), vma());
        assert_eq!(take(&tree, &fake).unwrap(), Outcome::Taken(NAME.into()));
        assert_eq!(tree.root().text(KEPT).unwrap(), "an archive\n");
        assert_eq!(take(&tree, &fake).unwrap(), Outcome::Same(NAME.into()));
        // Of another size or cut off: it is taken again.
        std::fs::write(tree.root().path(KEPT), "an").unwrap();
        assert_eq!(take(&tree, &fake).unwrap(), Outcome::Taken(NAME.into()));
        let newer = NAME.replace("2014", "2015");
        std::fs::write(tree.root().path(&format!("{FROM}/{newer}")), "another").unwrap();
        assert_eq!(take(&tree, &fake).unwrap(), Outcome::Taken(newer));
        assert_eq!(tree.root().text(KEPT).unwrap(), "another");
    }

    #[test]
    fn nothing_is_taken_while_a_backup_is_made_or_where_nothing_is_mounted() {
        for (tree, wanted, waited) in [
            (node("memory: 512\\nlock: backup"), "has a lock", 60),
            (Tree::from_text("/etc/pve/local -> nodes/m\n/run/cias/\n/proc/mounts = x\n"), "not mounted", 0),
        ] {
            let fake = vma();
            let error = take(&tree, &fake).unwrap_err();
            assert_eq!(fake.rested().as_secs(), waited);
            assert_eq!(Class::of(&error), Class::TryLater);
            assert!(error.to_string().contains(wanted), "{error}");
        }
        let snapshot = node("memory: 512\\n[before]\\nlock: backup");
        assert!(matches!(take(&snapshot, &vma()).unwrap(), Outcome::Taken(_)));
    }

    #[test]
    fn what_is_no_archive_does_not_replace_the_one_that_is_kept() {
        let tree = node("memory: 512");
        std::fs::write(tree.root().path(KEPT), "the old one").unwrap();
        let fake = Fake::default().fails("vma config", 255, "unable to read header");
        let error = take(&tree, &fake).unwrap_err().to_string();
        assert!(error.contains("unable to read header") && error.contains(NAME), "{error}");
        assert_eq!(tree.root().text(KEPT).unwrap(), "the old one");
        std::fs::remove_file(tree.root().path(&format!("{FROM}/{NAME}"))).unwrap();
        assert_eq!(take(&tree, &fake).unwrap(), Outcome::Nothing);
    }
}
