//! What `cias run` and `cias plan` share: the site file of an installed node and the stages that follow from it.

use anyhow::Result;
use clap::ValueEnum;
use nix::errno::Errno;

use crate::agent::memory::{self, Found};
use crate::engine;
use crate::facts::disks::Source;
use crate::facts::{Facts, minimum, report};
use crate::identity::{self, Plan, Present};
use crate::outcome::Class;
use crate::provision;
use crate::site::{self, Site};
use crate::system::{Sysroot, System};

/// Where the site file of an installed node is.
pub const SITE: &str = "/etc/cias/site.toml";

/// A stage of the first boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Names, addresses, bond and bridge; in runlevel S.
    Identity,
    /// Disks and what follows; after Proxmox VE is up.
    Provision,
}

impl Stage {
    /// All stages, in their order.
    pub const ALL: [Self; 2] = [Self::Identity, Self::Provision];

    /// As in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => identity::STAGE,
            Self::Provision => provision::STAGE,
        }
    }
}

/// Reads the site file. One that is not there, or not to be read, says how to go on.
pub fn load_site(root: &Sysroot) -> Result<Site> {
    let path = root.path(SITE);
    // Asked without opening it: what is not a plain file is the reader's to refuse, and a pipe would wait for its writer.
    match nix::unistd::access(&path, nix::unistd::AccessFlags::R_OK) {
        Err(Errno::ENOENT) => {
            return Err(Class::BadInput.error(format!(
                "{SITE} is missing, which the installation writes: copy it from another node (mode 0600), then `cias run` goes on; where Proxmox VE was installed by hand, run `cias setup`"
            )));
        }
        Err(Errno::EACCES) => {
            return Err(Class::Failed
                .error(format!("{SITE} holds secrets and only root may read it: use su or sudo")));
        }
        _ => {}
    }
    Ok(site::load_of_node(&path)?.site)
}

/// Plans the stage *identity* from what the machine is and what its agent found out.
pub fn plan_identity(site: &Site, system: &System) -> Result<Plan> {
    let facts = Facts::gather(&system.root, system.runner);
    let present = Present { postfix: system.root.text("/etc/postfix/main.cf").ok() };
    // Whether a file that does not count is put aside is the agent's own business.
    let decision = match memory::read(&system.root, &facts.who())? {
        Found::Mine(memory) => memory.decision(engine::boot(&system.root).as_deref()),
        Found::Nothing | Found::Unusable(_) => None,
    };
    let misses = || {
        let disks = Source::machine(system.runner).below(&system.root).disks().unwrap_or_else(|error| {
            // It waits all the same.
            system.log.note(&format!(
                "warning: the disks cannot be listed, so the system disk counts as missing: {error:#}"
            ));
            Vec::new()
        });
        minimum::misses(&facts.hardware, report::system_disk(&disks))
    };
    let settled = identity::settle(site, &facts, decision.as_ref(), misses)?;
    Plan::new(site, &facts, settled, &present)
}
