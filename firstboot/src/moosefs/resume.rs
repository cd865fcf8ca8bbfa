//! The role address came back to the node on which the metadata server was ended because it had gone: the metadata server goes on there.

use anyhow::Result;

use super::conf::{File, MARK};
use super::daemon::{Daemon, master_turn};
use super::{DATA, ask, detect, metadata, web};
use crate::journal::{self, Role};
use crate::system::System;

/// Starts the metadata server with what it left when it ended, if this is the founder and the role address `is_here`; tells whether it did. Whatever
/// is less plain, such as a restore, is left to `cias run`, which may be about to configure all of it. While nobody takes the metadata over, what it
/// left is the newest there is.
pub fn resume(system: &System, is_here: impl Fn() -> Result<bool>) -> Result<bool> {
    let root = &system.root;
    let state = journal::read(root)?.unwrap_or_default();
    let Some(dialect) = detect::dialect(root)? else { return Ok(false) };
    if state.role != Some(Role::Founder) || !Daemon::Master.is_installed(root) {
        return Ok(false);
    }
    let _turn = master_turn(root)?;
    let is_ours = root.attribute(&File::Master.path()).is_some_and(|text| text.starts_with(MARK.trim_end()));
    let is_plain = is_ours && metadata::is_a_base(metadata::version_of(root, metadata::ENDED)?);
    if !is_plain || Daemon::Master.runs(system.runner)? || !is_here()? {
        return Ok(false);
    }
    system.log.say(&format!("promote: mfsmaster goes on with {DATA}/{}", metadata::ENDED));
    Daemon::Master.has_it(system, "start", true)?;
    web::start(system, dialect, || ask::answers(web::HOST, web::PORT))?;
    Ok(true)
}
