//! The ledger on the cluster's file system: one file for each row of addresses, so that all of them stay below its limit of
//! 128 KiB a file (docs/facts.md 15).

use std::io::ErrorKind;

use anyhow::{Context, Result};

use super::{FOLDER, members};
use crate::agent::published;
use crate::files;
use crate::hello::ledger::Ledger;
use crate::outcome::Class;
use crate::system::Sysroot;

/// The folder of the rows' files.
fn folder() -> String {
    format!("{FOLDER}/ledger")
}

/// Reads all of it; empty before anything was given. Without the cluster's file system that is [`Class::TryLater`]: "nothing was
/// given" and "not to be seen" are different.
pub fn read(root: &Sysroot) -> Result<Ledger> {
    if !members::is_mounted(root) {
        return Err(Class::TryLater.error(
            "the cluster's file system is not mounted at /etc/pve, so the ledger cannot be read: `service pve-cluster status` tells why",
        ));
    }
    let mut ledger = Ledger::default();
    let folder = folder();
    // What is not there yet is empty; what cannot be looked at is not.
    let mut rows = match std::fs::read_dir(root.path(&folder)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ledger),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(not_root()),
        entries => entries
            .and_then(|entries| {
                entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()
            })
            .with_context(|| format!("reading {folder}"))?,
    };
    rows.sort();
    for name in rows.iter().filter_map(|name| name.to_str()).filter(|name| name.parse::<u8>().is_ok()) {
        let file = format!("{folder}/{name}");
        let text = std::fs::read_to_string(root.path(&file)).with_context(|| format!("reading {file}"))?;
        ledger.read(&file, &text)?;
    }
    Ok(ledger)
}

/// Why somebody else sees none of it.
pub fn not_root() -> anyhow::Error {
    Class::Failed.error("only root may read the ledger, which says who is in the cluster: use su or sudo")
}

/// Writes what changed since `before`. When this returns, the cluster has it; without quorum it is [`Class::TryLater`].
fn write(root: &Sysroot, before: &Ledger, after: &Ledger) -> Result<()> {
    let (old, new) = (before.files()?, after.files()?);
    for (row, text) in new.iter().filter(|(row, text)| old.get(row) != Some(text)) {
        files::write_shared(&root.path(&format!("{}/{row}", folder())), text)?;
    }
    Ok(())
}

/// Whoever changes the ledger on this node holds the lock on this file. Other nodes do not change it: they are not the Master.
const LOCK: &str = "/run/cias/ledger.lock";

/// Reads the ledger, changes it and writes what changed, while no other process of this node does. Nothing is written if
/// `change` fails. When this returns, the cluster has it.
pub fn change<T>(root: &Sysroot, change: impl FnOnce(&mut Ledger) -> Result<T>) -> Result<T> {
    files::make_folder(&root.path(published::FOLDER), 0o755)?;
    let _turn = files::lock_in_turn(&root.path(LOCK))?;
    let before = read(root)?;
    let mut after = before.clone();
    let value = change(&mut after)?;
    write(root, &before, &after)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::MachineId;
    use crate::hello::ledger::State;
    use crate::site::{Who, from_text, tests::example};
    use crate::tree::Tree;

    #[test]
    fn what_was_given_is_read_again_and_only_changed_rows_are_written() {
        let tree = Tree::from_text("/etc/pve/local -> nodes/a\n");
        let root = tree.root();
        let site = from_text(&example()).unwrap();
        let empty = read(&root).unwrap();
        assert_eq!(empty, Ledger::default());
        let mut ledger = empty.clone();
        let who = Who { macs: vec!["52:54:00:00:00:01".into()], serial: None };
        let (place, _) = ledger.grant(MachineId([1; 16]), &who, &site).unwrap();
        write(&root, &empty, &ledger).unwrap();
        assert_eq!(read(&root).unwrap(), ledger);
        let untouched = root.path("/etc/pve/priv/cias/ledger/1");
        let text = std::fs::read_to_string(&untouched).unwrap();
        std::fs::remove_file(&untouched).unwrap();
        write(&root, &ledger, &ledger).unwrap();
        assert!(!untouched.exists());
        std::fs::write(&untouched, text).unwrap();
        let mut retired = ledger.clone();
        retired.set(place.address, State::Retired);
        write(&root, &ledger, &retired).unwrap();
        assert!(read(&root).unwrap().is_retired(place.address));
    }

    #[test]
    fn changes_at_once_lose_nothing_and_one_that_fails_writes_nothing() {
        let tree = Tree::from_text("/etc/pve/local -> nodes/a\n");
        let (root, site) = (tree.root(), from_text(&example()).unwrap());
        std::thread::scope(|scope| {
            for byte in 1..=8 {
                let (root, site) = (&root, &site);
                scope.spawn(move || {
                    let who = Who { macs: vec![format!("52:54:00:00:00:{byte:02x}")], serial: None };
                    change(root, |ledger| ledger.grant(MachineId([byte; 16]), &who, site)).unwrap();
                });
            }
        });
        assert_eq!(read(&root).unwrap().entries().count(), 8);
        let failed = change(&root, |ledger| {
            ledger.set(site.address_of((1, 1)), State::Retired);
            anyhow::bail!("no") as Result<()>
        });
        assert!(failed.is_err() && !read(&root).unwrap().is_retired(site.address_of((1, 1))));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_no_empty_ledger() {
        let tree = Tree::from_text("/etc/pve/local -> nodes/a\n/etc/pve/priv/cias/ledger = no folder\n");
        let error = read(&tree.root()).unwrap_err();
        assert!(error.to_string().contains("reading /etc/pve/priv/cias/ledger"), "{error}");
    }

    #[test]
    fn an_unmounted_file_system_is_no_empty_ledger() {
        let tree = Tree::from_text("/etc/pve/\n");
        let error = read(&tree.root()).unwrap_err();
        assert_eq!(Class::of(&error), Class::TryLater);
    }
}
