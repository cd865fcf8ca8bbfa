//! The programs under test and a site for them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::files;
use cias_firstboot::outcome::Class;

use crate::loops::run;

/// SHA-512 crypt of no password: it only has the right shape.
const HASH: &str =
    "$6$salt$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// What is measured.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `cias-builder`, as released.
    pub builder: PathBuf,
    /// The static `cias-firstboot`.
    pub node: PathBuf,
    /// A site file made by `cias-builder init`.
    pub site: PathBuf,
}

impl Programs {
    /// Finds the programs and makes a site below `work`.
    pub fn new(builder: &Path, node: &Path, work: &Path) -> Result<Self> {
        let found = |path: &Path| {
            path.canonicalize().map_err(|_| {
                Class::MissingTool.error(format!("{} is missing; `ci/build` makes it", path.display()))
            })
        };
        let programs = Self { builder: found(builder)?, node: found(node)?, site: work.join("site.toml") };
        files::remove(&programs.site)?;
        let (builder, site) = (programs.builder.to_string_lossy(), programs.site.to_string_lossy());
        let init =
            ["init", "--out", &site, "--mail", "admin@example.com", "--accept-eula", "--password-hash", HASH];
        run(&builder, &init).context("making a site file")?;
        Ok(programs)
    }
}
