//! What a server that was installed by hand needs before its identity: Proxmox VE has run on it under another name, and its database
//! holds that name. Afterwards it is as the unattended installation leaves one: services held back, a database without nodes.
//!
//! The steps are in the journal before the first of them begins, and `cias run` goes on with them, so a power cut is made good by the
//! next boot.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cluster::{MOUNT, MOUNTED};
use crate::files;
use crate::identity::{HELD, HELD_LIST};
use crate::outcome::Class;
use crate::runner::Call;
use crate::site::Site;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};

/// The stage's name.
pub const STAGE: &str = "setup";

/// Files of the old database that go into the new one, if they are there; nothing in them names the node.
const KEPT: [&str; 4] = ["user.cfg", "datacenter.cfg", "storage.cfg", "vzdump.cron"];
const KEYS: &str = "priv/authorized_keys";
/// What is kept, in one file, so that it is there as a whole or not at all.
const KEEP: &str = "/var/lib/cias/kept.json";
/// Where the new database's files are laid out for `create_pmxcfs_db` (docs/facts.md 10).
const LAID: &str = "/var/lib/cias/fresh";
/// The new database is in its place.
const RENEWED: &str = "/var/lib/cias/database-renewed";
const DATABASE: &str = "/var/lib/pve-cluster/config.db";
const FRESH: &str = "/var/lib/pve-cluster/config.db.cias-new";
/// The old one stays, for a person who misses something.
const BEFORE: &str = "/var/lib/pve-cluster/config.db.before-cias";
const ROOT_KEYS: &str = "/root/.ssh/authorized_keys";

/// The steps, in their order.
pub fn steps(site: &Site) -> Vec<Box<dyn Step>> {
    vec![
        Box::new(Keep),
        Box::new(Hold),
        Box::new(Stop),
        Box::new(Keys(site.site.ssh_keys.clone())),
        Box::new(Renew),
    ]
}

/// Does `service` start by itself in a runlevel?
pub fn starts(root: &Sysroot, service: &str) -> bool {
    let links = (2..=5).flat_map(|level| root.names(&format!("/etc/rc{level}.d")));
    let mut started = links.filter_map(|link| link.strip_prefix('S').map(ToOwned::to_owned));
    root.has(&format!("/etc/init.d/{service}"))
        && started.any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()) == service)
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    files: BTreeMap<String, String>,
    keys: String,
}

fn kept(root: &Sysroot) -> Result<Kept> {
    serde_json::from_str(&root.text(KEEP)?).with_context(|| format!("reading {KEEP}"))
}

/// Copies what must outlive the old database.
struct Keep;

impl Step for Keep {
    fn name(&self) -> &'static str {
        "keep users and settings"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        if system.root.has(KEEP) {
            return Ok(Finding::done());
        }
        if !system.root.has(MOUNTED) {
            return Err(Class::TryLater.error(format!(
                "{MOUNT} is not mounted, and users and settings are still to be kept from it: `service pve-cluster start`, then `cias run`"
            )));
        }
        let there = KEPT.into_iter().chain([KEYS]).filter(|name| system.root.has(&format!("{MOUNT}/{name}")));
        Ok(Finding {
            todo: there.map(|name| format!("keep {MOUNT}/{name}")).chain([format!("write {KEEP}")]).collect(),
            warnings: Vec::new(),
        })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let read = |name: &str| {
            let path = format!("{MOUNT}/{name}");
            system.root.has(&path).then(|| system.root.text(&path)).transpose()
        };
        let mut kept = Kept { keys: read(KEYS)?.unwrap_or_default(), ..Kept::default() };
        for name in KEPT {
            kept.files.extend(read(name)?.map(|text| (name.to_owned(), text)));
        }
        let text = serde_json::to_string_pretty(&kept).context("writing JSON")? + "\n";
        files::write(&system.root.path(KEEP), text, 0o600)?;
        Ok(Vec::new())
    }
}

/// Keeps the services from starting, as the package does under the installer. Identity releases them.
struct Hold;

impl Step for Hold {
    fn name(&self) -> &'static str {
        "hold the services of Proxmox VE back"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let started = HELD.into_iter().rev().filter(|service| starts(&system.root, service));
        Ok(Finding {
            todo: started.map(|service| format!("keep {service} from starting in its runlevels")).collect(),
            warnings: Vec::new(),
        })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let root = &system.root;
        let there: Vec<&str> =
            HELD.into_iter().rev().filter(|service| root.has(&format!("/etc/init.d/{service}"))).collect();
        files::write(&root.path(HELD_LIST), there.join("\n") + "\n", 0o644)?;
        // Those that need others come first: insserv does not disable what an enabled script requires.
        for service in there.into_iter().filter(|service| starts(root, service)) {
            system.runner.run(&Call::new("update-rc.d").args([service, "disable"]))?;
        }
        Ok(Vec::new())
    }
}

/// Stops them, the cluster file system last.
struct Stop;

impl Step for Stop {
    fn name(&self) -> &'static str {
        "stop the services of Proxmox VE"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let mounted = system.root.has(MOUNTED);
        Ok(if mounted {
            Finding::todo(format!("stop all that use {MOUNT}, and unmount it"))
        } else {
            Finding::done()
        })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let there =
            HELD.into_iter().rev().filter(|service| system.root.has(&format!("/etc/init.d/{service}")));
        for service in there {
            let output = system.runner.outcome(&Call::new("invoke-rc.d").args([service, "stop"]))?;
            if output.code != 0 {
                // What counts is that the file system is gone, and the next look finds that out.
                warnings.push(format!("{service} did not stop: {}", output.complaint()));
            }
        }
        Ok(warnings)
    }
}

/// Gives root a plain list of keys again: a link leads into the old database. PVE imports the list when it makes the link anew
/// (docs/facts.md 16).
struct Keys(Vec<String>);

impl Keys {
    fn wanted(&self, root: &Sysroot) -> Result<String> {
        let there = if is_link(root) { String::new() } else { root.text(ROOT_KEYS).unwrap_or_default() };
        let kept = kept(root)?.keys;
        let mut lines: Vec<&str> = Vec::new();
        for line in kept.lines().chain(there.lines()).chain(self.0.iter().map(String::as_str)) {
            if !line.trim().is_empty() && !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines.push("");
        Ok(lines.join("\n"))
    }
}

fn is_link(root: &Sysroot) -> bool {
    root.path(ROOT_KEYS).is_symlink()
}

impl Step for Keys {
    fn name(&self) -> &'static str {
        "keep root's keys"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let root = &system.root;
        // Before anything is kept, as in a plan, the keys are still where they were.
        let done =
            root.has(KEEP) && !is_link(root) && files::is(&root.path(ROOT_KEYS), self.wanted(root)?, 0o600);
        Ok(if done {
            Finding::done()
        } else {
            Finding::todo(format!("write {ROOT_KEYS} with the keys that open this node now, and the site's"))
        })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let root = &system.root;
        if !root.has("/root/.ssh") {
            files::make_folder(&root.path("/root/.ssh"), 0o700)?;
        }
        files::write(&root.path(ROOT_KEYS), self.wanted(root)?, 0o600)?;
        Ok(Vec::new())
    }
}

/// Replaces the database by one that knows no node.
struct Renew;

impl Step for Renew {
    fn name(&self) -> &'static str {
        "make a fresh database of the cluster file system"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let sentences =
            [format!("rename {DATABASE} to {BEFORE}"), format!("make {DATABASE} with what was kept")];
        let done = system.root.has(RENEWED);
        Ok(Finding { todo: if done { Vec::new() } else { sentences.into() }, warnings: Vec::new() })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let root = &system.root;
        let (laid, fresh) = (root.path(LAID), root.path(FRESH));
        files::make_folder(&laid, 0o700)?;
        for (name, text) in kept(root)?.files {
            files::write(&laid.join(name), text, 0o600)?;
        }
        files::remove(&fresh)?;
        let call =
            Call::new("create_pmxcfs_db").arg(laid.display().to_string()).arg(fresh.display().to_string());
        system.runner.run(&call)?;
        // SQLite's own files belong to the database that they stand beside, and go first.
        if !root.has(BEFORE) {
            for end in ["-wal", "-shm", ""] {
                if root.has(&format!("{DATABASE}{end}")) {
                    files::rename(
                        &root.path(&format!("{DATABASE}{end}")),
                        &root.path(&format!("{BEFORE}{end}")),
                    )?;
                }
            }
        }
        files::rename(&fresh, &root.path(DATABASE))?;
        files::write(&root.path(RENEWED), "", 0o644)?;
        Ok(Vec::new())
    }
}
