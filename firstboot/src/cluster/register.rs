//! The ledger on the cluster's file system: one file for each row of addresses, so that all of them stay below its limit of
//! 128 KiB a file (docs/facts.md 15).

use anyhow::{Context, Result};

use super::{FOLDER, members};
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
    for name in root.names(&folder).into_iter().filter(|name| name.parse::<u8>().is_ok()) {
        let file = format!("{folder}/{name}");
        let text = std::fs::read_to_string(root.path(&file)).with_context(|| format!("reading {file}"))?;
        ledger.read(&file, &text)?;
    }
    Ok(ledger)
}

/// Whoever holds the lock on this file changes the ledger.
const LOCK: &str = "/run/cias/ledger.lock";

/// Reads the ledger, has it changed, and writes what changed; no other process of this node does so meanwhile. Only the Master's node
/// changes it.
pub fn change<T>(root: &Sysroot, change: impl FnOnce(&mut Ledger) -> T) -> Result<T> {
    let _lock = files::lock_in_turn(&root.path(LOCK))?;
    let before = read(root)?;
    let mut after = before.clone();
    let result = change(&mut after);
    write(root, &before, &after)?;
    Ok(result)
}

/// Writes what changed since `before`. When this returns, the cluster has it; without quorum it is [`Class::TryLater`].
fn write(root: &Sysroot, before: &Ledger, after: &Ledger) -> Result<()> {
    let (old, new) = (before.files()?, after.files()?);
    for (row, text) in new.iter().filter(|(row, text)| old.get(row) != Some(text)) {
        files::write_shared(&root.path(&format!("{}/{row}", folder())), text)?;
    }
    Ok(())
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
    fn an_unmounted_file_system_is_no_empty_ledger() {
        let tree = Tree::from_text("/etc/pve/\n");
        let error = read(&tree.root()).unwrap_err();
        assert_eq!(Class::of(&error), Class::TryLater);
    }
}
