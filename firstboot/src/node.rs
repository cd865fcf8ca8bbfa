//! What `cias run` and `cias plan` share: the site file of an installed node and the stages that follow from it.

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::facts::Facts;
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

/// Reads the site file. One that is not there says how it gets there.
pub fn load_site(root: &Sysroot) -> Result<Site> {
    let path = root.path(SITE);
    if !path.exists() && path.parent().is_some_and(|folder| std::fs::read_dir(folder).is_ok()) {
        return Err(Class::BadInput.error(format!(
            "{SITE} is missing: the installation writes it; copy it from another node (mode 0600) and `cias run` goes on"
        )));
    }
    Ok(site::load(&path).with_context(|| format!("loading {SITE}"))?.0)
}

/// Plans the stage *identity* from what the machine is.
pub fn plan_identity(site: &Site, system: &System) -> Result<Plan> {
    let facts = Facts::gather(&system.root, system.runner);
    let present = Present { postfix: system.root.text("/etc/postfix/main.cf").ok() };
    Plan::new(site, &facts, identity::settle(site, &facts)?, &present)
}
