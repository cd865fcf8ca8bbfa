//! The step *define the storages and the backup schedules*, on the founder: the cluster's file system gives them to all nodes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::config::{self, Deed, Storage};
use super::schedule;
use crate::cluster::members;
use crate::files;
use crate::moosefs::detect;
use crate::moosefs::steps::mount::POINT;
use crate::runner::Call;
use crate::site::Site;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};

const CONFIG: &str = "/etc/pve/storage.cfg";
const SCHEDULE: &str = "/etc/pve/vzdump.cron";

/// Where the job of the original plan looks for archives, and what is there.
const DUMP: (&str, &str) = ("/mnt/mfs/dump", "backup/dump");

/// How long `pvesm` may take: it looks at the storage that it defines.
const LIMIT: Duration = Duration::from_mins(2);

/// The step.
pub struct Storages {
    site: Site,
}

impl Storages {
    /// For the cluster of the site.
    pub fn new(site: &Site) -> Self {
        Self { site: site.clone() }
    }

    fn deeds(&self, root: &Sysroot) -> Result<(Vec<Deed>, Vec<String>)> {
        let wanted = config::wanted(&self.site, detect::dialect(root)?.is_some());
        Ok(config::deeds(&defined(root)?, wanted))
    }

    fn schedule(&self, root: &Sysroot) -> Result<Option<Vec<u8>>> {
        let read = || std::fs::read(root.path(SCHEDULE)).with_context(|| format!("reading {SCHEDULE}"));
        let text = root.has(SCHEDULE).then(read).transpose()?;
        // Both name storages on it.
        if detect::dialect(root)?.is_none() {
            return Ok(None);
        }
        Ok(schedule::corrected(text.as_deref(), &self.site.backup))
    }
}

/// All storages; none, before one was defined, or before there is a cluster.
fn defined(root: &Sysroot) -> Result<BTreeMap<String, Storage>> {
    Ok(if root.has(CONFIG) { config::parse(&root.text(CONFIG)?) } else { BTreeMap::new() })
}

/// What is at the place of the link for the original plan's job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dump {
    /// The link, or no `MooseFS` to have it on.
    Done,
    /// Nothing, or a link that leads elsewhere.
    ToLead,
    /// Somebody's own: it is no link, and may have archives in it.
    Taken,
}

fn dump(root: &Sysroot) -> Result<Dump> {
    let path = root.path(DUMP.0);
    if detect::dialect(root)?.is_none() {
        return Ok(Dump::Done);
    }
    // An absolute link to the same place is as good.
    let leads_to = |target: &Path| Path::new(POINT).join(target);
    Ok(match std::fs::read_link(&path) {
        Ok(found) if leads_to(&found) == leads_to(Path::new(DUMP.1)) => Dump::Done,
        Err(_) if root.has(DUMP.0) => Dump::Taken,
        Ok(_) | Err(_) => Dump::ToLead,
    })
}

fn taken(root: &Sysroot) -> String {
    let found = if root.path(DUMP.0).is_dir() { "a folder" } else { "a file" };
    format!(
        "{}: found {found}, wanted a link to {}, where archives are looked for: it is left alone; move it elsewhere, and `cias run` makes the link",
        DUMP.0, DUMP.1
    )
}

impl Step for Storages {
    fn name(&self) -> &'static str {
        "define the storages and the backup schedules"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let root = &system.root;
        let (deeds, mut warnings) = self.deeds(root)?;
        let mut todo: Vec<String> = deeds.iter().map(Deed::sentence).collect();
        if self.schedule(root)?.is_some() {
            todo.push(format!("write the two backup schedules to {SCHEDULE}"));
        }
        match dump(root)? {
            Dump::Done => {}
            Dump::ToLead => todo.push(format!("lead {} to {}", DUMP.0, DUMP.1)),
            Dump::Taken => warnings.push(taken(root)),
        }
        warnings.extend(config::disabled(&defined(root)?, &self.site));
        Ok(Finding { todo, warnings })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let root = &system.root;
        members::needs_mounted(root)?;
        for deed in self.deeds(root)?.0 {
            for words in deed.words() {
                let call = Call::new("pvesm").args(words).limit(LIMIT);
                system.runner.run(&call).with_context(|| deed.sentence())?;
            }
        }
        if let Some(text) = self.schedule(root)? {
            files::write_shared(&root.path(SCHEDULE), text)?;
        }
        if dump(root)? == Dump::ToLead {
            files::make_folder(&root.path("/mnt/mfs/backup/dump"), 0o755)?;
            files::remove(&root.path(DUMP.0))?;
            files::lead(&root.path(DUMP.0), DUMP.1)?;
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::moosefs::detect::tests::status;
    use crate::moosefs::dialect::ALL;
    use crate::outcome::Class;
    use crate::runner::Output;
    use crate::runner::fake::Fake;
    use crate::site::from_text;
    use crate::site::tests::example;
    use crate::tree::Tree;

    /// A member of a cluster with an own storage, on which `MooseFS` is installed, and mounted.
    fn node() -> Tree {
        node_with("")
    }

    /// The same, and this line of a tree.
    fn node_with(line: &str) -> Tree {
        let text = "/etc/pve/local -> nodes/m\n/mnt/mfs/backup/\n/var/lib/dpkg/status = x\n";
        let tree = Tree::from_text(&format!("{text}{line}"));
        std::fs::write(tree.root().path("/var/lib/dpkg/status"), status(ALL[0], "1.6.27-5")).unwrap();
        std::fs::write(tree.root().path(CONFIG), "dir: own\n\tpath /srv\n").unwrap();
        tree
    }

    /// A stand-in of pvesm that writes the file, as docs/facts.md 19 says.
    fn pvesm(tree: &Tree) -> Fake {
        let path = tree.root().path(CONFIG);
        Fake::default().answers("pvesm", move |line| {
            let words: Vec<&str> = line.split(' ').skip(1).collect();
            let [deed, id, options @ ..] = words.as_slice() else { panic!("{line}") };
            let mut all = config::parse(&std::fs::read_to_string(&path).unwrap());
            assert_eq!(all.contains_key(*id), *deed == "set", "{line}");
            let storage = all.entry((*id).to_owned()).or_default();
            for pair in options.chunks(2) {
                match pair[0].trim_start_matches('-') {
                    "type" => pair[1].clone_into(&mut storage.kind),
                    name => drop(storage.values.insert(name.to_owned(), pair[1].to_owned())),
                }
            }
            let section = |(id, storage): (&String, &Storage)| {
                let values = storage.values.iter().map(|(name, value)| format!("\t{name} {value}\n"));
                format!("{}: {id}\n{}\n", storage.kind, values.collect::<Vec<_>>().concat())
            };
            std::fs::write(&path, all.iter().map(section).collect::<Vec<_>>().concat()).unwrap();
            Output::default()
        })
    }

    fn storages() -> Storages {
        let nas = "[[nas]]\nname = \"nas-1\"\naddress = \"10.253.1.1\"\n";
        Storages::new(&from_text(&format!("{}{nas}", example())).unwrap())
    }

    #[test]
    fn all_of_it_is_there_afterwards_and_a_second_look_finds_nothing_to_do() {
        let (tree, log) = (node(), Log::silent());
        let fake = pvesm(&tree);
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let step = storages();
        assert_eq!(step.check(&system).unwrap().todo.len(), 5);
        assert!(step.apply(&system).unwrap().is_empty());
        assert_eq!(step.check(&system).unwrap(), Finding::done());
        let found = defined(&system.root).unwrap();
        let ids: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(ids, ["a_mfs", "mfs-backup", "nas-1", "own"]);
        assert_eq!(found["nas-1"].values["disable"], "0");
        assert_eq!(system.root.link_name(DUMP.0).as_deref(), Some("dump"));
        assert!(system.root.path(DUMP.0).is_dir());
        assert!(system.root.text(SCHEDULE).unwrap().contains("--storage mfs-backup"));
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_put_right() {
        for (target, is_wrong) in [("old/dump", true), ("/srv/dump", true), ("/mnt/mfs/backup/dump", false)] {
            let (tree, log) = (node_with(&format!("/mnt/mfs/dump -> {target}\n")), Log::silent());
            let fake = pvesm(&tree);
            let system = System { root: tree.root(), runner: &fake, log: &log };
            let todo = storages().check(&system).unwrap().todo;
            assert_eq!(todo.contains(&"lead /mnt/mfs/dump to backup/dump".to_owned()), is_wrong, "{todo:?}");
            storages().apply(&system).unwrap();
            assert_eq!(storages().check(&system).unwrap(), Finding::done());
            let found = std::fs::read_link(tree.root().path(DUMP.0)).unwrap();
            assert_eq!(found, Path::new(if is_wrong { DUMP.1 } else { target }));
        }
    }

    #[test]
    fn what_is_no_link_stays_with_a_warning_and_stops_nothing() {
        for (line, what) in [("/mnt/mfs/dump/mine = x\n", "a folder"), ("/mnt/mfs/dump = mine\n", "a file")] {
            let (tree, log) = (node_with(line), Log::silent());
            let fake = pvesm(&tree);
            let system = System { root: tree.root(), runner: &fake, log: &log };
            assert_eq!(storages().check(&system).unwrap().todo.len(), 4);
            assert!(storages().apply(&system).unwrap().is_empty());
            let wanted = format!(
                "/mnt/mfs/dump: found {what}, wanted a link to backup/dump, where archives are looked for: it is left alone; move it elsewhere, and `cias run` makes the link"
            );
            assert_eq!(
                storages().check(&system).unwrap(),
                Finding { todo: Vec::new(), warnings: vec![wanted] }
            );
            assert!(system.root.link_name(DUMP.0).is_none() && system.root.has(DUMP.0));
        }
    }

    #[test]
    fn without_moosefs_only_the_nas_is_defined() {
        let (tree, log) = (node(), Log::silent());
        std::fs::write(tree.root().path("/var/lib/dpkg/status"), "").unwrap();
        let fake = pvesm(&tree);
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let todo = storages().check(&system).unwrap().todo;
        assert_eq!(todo, ["define the storage nas-1 (nfs, server 10.253.1.1, export /nas-1)"]);
        storages().apply(&system).unwrap();
        assert!(!system.root.has(SCHEDULE) && !system.root.has(DUMP.0));
    }

    #[test]
    fn before_the_clusters_file_system_is_there_it_is_planned_and_too_early() {
        let (tree, log, fake) = (Tree::from_text("/etc/pve/\n"), Log::silent(), Fake::default());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let todo = storages().check(&system).unwrap().todo;
        assert_eq!(todo, ["define the storage nas-1 (nfs, server 10.253.1.1, export /nas-1)"]);
        assert_eq!(Class::of(&storages().apply(&system).unwrap_err()), Class::TryLater);
    }
}
