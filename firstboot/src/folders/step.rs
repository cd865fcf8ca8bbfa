//! The step *keep the management folders*: the founder writes them, every other node gets the files from the Master.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::copy::{self, Way};
use super::export::Wanted;
use super::{FILES, OWN, names};
use crate::cluster::{members, roster};
use crate::crontab::Table;
use crate::files;
use crate::journal::Role;
use crate::outcome::Class;
use crate::site::Site;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};

/// What it says stands in the log, and most often it is that this node is not the Master.
const CRON: Table = Table {
    path: "/etc/cron.d/cias-export",
    line: "*/5 * * * * root export PATH=/usr/sbin:/usr/bin:/sbin:/bin; test ! -x /usr/sbin/cias-firstboot || cias-firstboot export-vms >/dev/null 2>&1",
    command: "export-vms",
};

/// The step.
pub struct Folders {
    site: Site,
    role: Role,
}

impl Folders {
    /// For a node of this role in the cluster of the site.
    pub fn new(site: &Site, role: Role) -> Self {
        Self { site: site.clone(), role }
    }

    /// Whom the files come from.
    fn master(&self, root: &Sysroot) -> Result<Ipv4Addr> {
        let nodes = roster::read(root)?;
        let master = nodes.iter().find(|row| row.online && row.role == "Master");
        Ok(master.map_or(self.site.network.founder, |row| row.address))
    }
}

impl Step for Folders {
    fn name(&self) -> &'static str {
        "keep the management folders"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let root = &system.root;
        let mut finding = Finding::default();
        finding
            .todo
            .extend(names::missing(root, OWN).map(|(path, target)| format!("lead {path} to {target}")));
        if CRON.is_due(root)? {
            finding.todo.push(format!(
                "write {}: the Master brings the folders up to date every 5 minutes",
                CRON.path
            ));
        }
        if self.role == Role::Founder {
            finding.todo.extend(Wanted::of(root, &self.site)?.todo(root));
            return Ok(finding);
        }
        if !members::is_mounted(root) {
            finding.todo.extend(FILES.iter().map(|name| format!("copy {OWN}/{name} from the Master")));
            return Ok(finding);
        }
        let master = self.master(root)?;
        match copy::differing(system, Way::From(master)) {
            Ok(names) => {
                let copies = names.iter().map(|name| format!("copy {OWN}/{name} from the Master, {master}"));
                finding.todo.extend(copies);
            }
            Err(error) if Class::of(&error) == Class::Interrupted => return Err(error),
            Err(error) => finding.warnings.push(format!(
                "{OWN} may be old: {error:#}; the Master copies it again within 5 minutes of being there"
            )),
        }
        Ok(finding)
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let root = &system.root;
        members::needs_mounted(root)?;
        files::make_folder(&root.path(OWN), 0o755)?;
        names::lead(root, OWN)?;
        files::make_folder(&root.path("/etc/cron.d"), 0o755)?;
        CRON.write(root)?;
        if self.role == Role::Founder {
            Wanted::of(root, &self.site)?.write(root)?;
            return Ok(Vec::new());
        }
        let way = Way::From(self.master(root)?);
        // As `check` says of it: nothing that would keep a node from being one.
        match copy::copy(system, way) {
            Err(error) if Class::of(&error) == Class::Interrupted => Err(error),
            Err(error) => Ok(vec![format!("{OWN} is not copied yet: {error:#}")]),
            Ok(_) => Ok(Vec::new()),
        }
    }
}
