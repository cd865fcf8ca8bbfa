//! `cias export-vms`: brings the management folders up to date, on the Master. Cron starts it on every node.

use anyhow::{Context, Result};

use super::copy::{self, Way};
use super::{FILES, OWN, SHARED, guests, names, network};
use crate::cluster::{members, roster};
use crate::keepalived::health;
use crate::log::Log;
use crate::moosefs::steps::mount::{Mounted, mounted};
use crate::notify::Event;
use crate::outcome::{self, Class};
use crate::runner::Host;
use crate::site::Site;
use crate::system::{Sysroot, System};
use crate::{files, journal, node, notify, run};

/// Two would copy the same.
const LOCK: &str = "/run/cias/export-vms.lock";

/// Does it for the command line. What is to be said of it.
pub fn run(root: &Sysroot) -> Result<String> {
    root.needs_root("cias export-vms")?;
    for file in [run::LOG, LOCK].map(|file| root.path(file)) {
        files::make_folder(file.parent().context("a file has a folder")?, 0o755)?;
    }
    let log = Log::to_file(&root.path(run::LOG))?;
    let site = node::load_site(root)?;
    // Commands are not logged: most of them find nothing to do, every few minutes.
    let host = Host::new(|_| ());
    let system = System { root: root.clone(), runner: &host, log: &log };
    let result = export(&system, &site);
    if let Err(error) = &result {
        log.note(&format!("error: export-vms: {error:#}"));
        // Cron throws away what it says.
        if !matches!(Class::of(error), Class::TryLater | Class::Interrupted) {
            let here = notify::here(root);
            notify::tell_once(
                &system,
                &site,
                Event::step_failed(&site, &here, "export-vms", &format!("{error:#}")),
            );
        }
    }
    result
}

pub(super) fn export(system: &System, site: &Site) -> Result<String> {
    if let Err(error) = health::is_master(system, site) {
        return match Class::of(&error) {
            Class::TryLater => {
                Ok(format!("this node is not the Master, so that nothing is to be done: {error:#}"))
            }
            _ => Err(error),
        };
    }
    let _turn = files::lock(&system.root.path(LOCK), || {
        "another `cias export-vms` is at work on this node: wait until it has ended".to_owned()
    })?;
    let wanted = Wanted::of(&system.root, site)?;
    for todo in wanted.todo(&system.root) {
        system.log.note(&format!("export-vms: {todo}"));
    }
    wanted.write(&system.root)?;
    let own = journal::read(&system.root)?.and_then(|state| state.place).map(|place| place.address);
    let nodes = roster::read(&system.root)?;
    let mut failed = Vec::new();
    let others = nodes.iter().filter(|row| row.online && Some(row.address) != own);
    let mut count = 0;
    for row in others {
        match copy::copy(system, Way::To(row.address)) {
            Ok(names) if names.is_empty() => count += 1,
            Ok(names) => {
                count += 1;
                system.log.note(&format!("export-vms: copied {} to {}", names.join(", "), row.name));
            }
            Err(error) if Class::of(&error) == Class::Interrupted => return Err(error),
            Err(error) => {
                let error = error.context(row.name.clone());
                system.log.note(&format!("warning: export-vms: {error:#}"));
                failed.push(Err(error));
            }
        }
    }
    outcome::all(failed)?;
    if !wanted.is_shared {
        return Err(Class::TryLater.error(format!(
            "{SHARED}: found MooseFS not mounted, wanted it there, too; {OWN} is up to date on {count} other nodes: `cias status` tells why it is not mounted"
        )));
    }
    Ok(format!("{} are up to date in {OWN}, {SHARED} and on {count} other nodes", FILES.join(" and ")))
}

/// The Master's folders as they should be.
pub struct Wanted {
    /// Texts of the files, in the order of [`FILES`].
    texts: Vec<String>,
    /// Is `MooseFS` mounted, so that there is a second folder?
    pub is_shared: bool,
}

impl Wanted {
    /// From the cluster's file system and the site file; before there is a cluster there are no guests.
    pub fn of(root: &Sysroot, site: &Site) -> Result<Self> {
        let found = root.text(&format!("{OWN}/{}", network::NAME)).ok();
        let network = network::corrected(found.as_deref(), site).or(found).unwrap_or_default();
        let texts = vec![
            network,
            if members::is_mounted(root) { guests::text(root)? } else { guests::HEAD.to_owned() },
        ];
        Ok(Self { texts, is_shared: mounted(root) == Mounted::MooseFs })
    }

    /// The folders that are there, and the files in them with their texts.
    fn files(&self) -> impl Iterator<Item = (String, &String)> {
        let folders = [OWN, SHARED].into_iter().take(if self.is_shared { 2 } else { 1 });
        folders
            .flat_map(move |folder| FILES.iter().map(move |name| format!("{folder}/{name}")).zip(&self.texts))
    }

    /// What is to be done, one sentence each.
    pub fn todo(&self, root: &Sysroot) -> Vec<String> {
        let differs = |(path, text): &(String, &String)| !files::is(&root.path(path), text, 0o644);
        let mut todo: Vec<String> =
            self.files().filter(differs).map(|(path, _)| format!("write {path}")).collect();
        if self.is_shared {
            todo.extend(
                names::missing(root, SHARED).map(|(path, target)| format!("lead {path} to {target}")),
            );
        }
        todo
    }

    /// Does it.
    pub fn write(&self, root: &Sysroot) -> Result<()> {
        files::make_folder(&root.path(OWN), 0o755)?;
        if self.is_shared {
            files::make_folder(&root.path(SHARED), 0o755)?;
            names::lead(root, SHARED)?;
        }
        for (path, text) in self.files() {
            files::write_if_changed(&root.path(&path), text, 0o644)?;
        }
        Ok(())
    }
}
