//! The files of enrolment on the cluster's file system: the window, and one file for each machine, so that two nodes that
//! write at once lose nothing of each other's.

use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::policy::{Application, Book};
use crate::cluster::{FOLDER, members};
use crate::files;
use crate::hello::MachineId;
use crate::outcome::Class;
use crate::system::Sysroot;

/// Content of the window's file.
#[derive(Default, Serialize, Deserialize)]
struct Window {
    until: u64,
}

fn window() -> String {
    format!("{FOLDER}/enrol/window")
}

fn machines() -> String {
    format!("{FOLDER}/enrol/machines")
}

fn keys() -> String {
    format!("{FOLDER}/enrol/keys")
}

/// Now, in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Reads all of it. Without the cluster's file system that is [`Class::TryLater`].
pub fn read(root: &Sysroot) -> Result<Book> {
    if !members::is_mounted(root) {
        return Err(Class::TryLater.error(
            "the cluster's file system is not mounted at /etc/pve, so nobody knows who may join: `service pve-cluster status` tells why",
        ));
    }
    let until = if root.has(&window()) { parse::<Window>(root, &window())?.until } else { 0 };
    let mut book = Book { until, ..Book::default() };
    let folder = machines();
    // What is being written has another name beside it.
    for name in root.names(&folder).into_iter().filter(|name| !name.contains('.')) {
        let application: Application = parse(root, &format!("{folder}/{name}"))?;
        book.applications.insert(application.machine, application);
    }
    Ok(book)
}

fn parse<T: for<'a> Deserialize<'a>>(root: &Sysroot, file: &str) -> Result<T> {
    serde_json::from_str(&root.text(file)?).map_err(|error| {
        Class::BadInput.error(format!(
            "{file}: found what is no entry of enrolment ({error}): remove the file, then decide again with `cias enrol`"
        ))
    })
}

/// Opens the window until then, in seconds since 1970; 0 closes it.
pub fn set_window(root: &Sysroot, until: u64) -> Result<()> {
    put(root, &window(), &Window { until })
}

/// Writes what is known of a machine.
pub fn set(root: &Sysroot, application: &Application) -> Result<()> {
    put(root, &format!("{}/{}", machines(), application.machine), application)
}

/// The public key that a machine was let in with.
pub fn key_of(root: &Sysroot, machine: MachineId) -> Result<Option<String>> {
    let file = format!("{}/{machine}", keys());
    if root.has(&file) { parse(root, &file).map(Some) } else { Ok(None) }
}

/// Keeps it.
pub fn set_key(root: &Sysroot, machine: MachineId, key: &str) -> Result<()> {
    put(root, &format!("{}/{machine}", keys()), &key)
}

fn put(root: &Sysroot, file: &str, value: &impl Serialize) -> Result<()> {
    if !members::is_mounted(root) {
        return Err(Class::TryLater.error(
            "the cluster's file system is not mounted at /etc/pve, so nothing can be kept: `service pve-cluster status` tells why",
        ));
    }
    let text = serde_json::to_string(value).context("writing JSON")? + "\n";
    files::write_shared(&root.path(file), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrol::policy::Standing;
    use crate::site::Who;
    use crate::tree::Tree;

    #[test]
    fn what_was_kept_is_read_again() {
        let tree = Tree::from_text("/etc/pve/local -> nodes/a\n");
        let root = tree.root();
        assert_eq!(read(&root).unwrap(), Book::default());
        let application = Application {
            machine: MachineId([3; 16]),
            standing: Standing::Pending,
            name: "a".into(),
            address: [10, 254, 1, 1].into(),
            who: Who { macs: vec!["52:54:00:00:00:01".into()], serial: None },
            since: 5,
        };
        set(&root, &application).unwrap();
        set(&root, &Application { standing: Standing::Denied, ..application.clone() }).unwrap();
        set_window(&root, 99).unwrap();
        let book = read(&root).unwrap();
        assert_eq!((book.until, book.applications.len()), (99, 1));
        assert_eq!(book.applications[&application.machine].standing, Standing::Denied);
        std::fs::write(root.path("/etc/pve/priv/cias/enrol/window"), "x").unwrap();
        assert_eq!(Class::of(&read(&root).unwrap_err()), Class::BadInput);
    }

    #[test]
    fn without_the_clusters_file_system_nothing_is_known_and_nothing_kept() {
        let tree = Tree::from_text("/etc/pve/\n");
        assert_eq!(Class::of(&read(&tree.root()).unwrap_err()), Class::TryLater);
        assert_eq!(Class::of(&set_window(&tree.root(), 1).unwrap_err()), Class::TryLater);
        assert!(tree.root().names("/etc/pve").is_empty());
    }
}
