//! The end of what runs on a node: of the metadata server where the machine is no longer the Master, and of all of it, in the order in which nothing is
//! lost, when the machine goes down.

use std::time::Duration;

use anyhow::Result;

use super::daemon::{Daemon, master_turn};
use super::steps::{Mounted, POINT, mounted};
use super::{ask, web};
use crate::agent::published;
use crate::files;
use crate::log::Log;
use crate::node;
use crate::outcome::{self, Class};
use crate::run::LOG;
use crate::runner::{Call, Host};
use crate::system::{Sysroot, System};

/// There while all of it was ended on purpose; gone after a boot, and when a daemon is started.
const ENDED: &str = "/run/cias/services-ended";

/// How long what is mounted may take to bring what was written to the chunkservers.
const UNMOUNT: Duration = Duration::from_mins(2);

/// Ends the metadata server, which writes its metadata, and the web view. What is not installed or does not run is left alone.
pub fn end_master(system: &System) -> Result<()> {
    let _turn = master_turn(&system.root)?;
    let ended = end_daemon(system, Daemon::Master);
    // Whatever became of that.
    let web = web::end(system);
    ended.and(web)
}

fn end_daemon(system: &System, daemon: Daemon) -> Result<()> {
    if daemon.is_installed(&system.root) && daemon.runs(system.runner)? {
        daemon.has_it(system, "stop", false)?;
    }
    Ok(())
}

/// Ends all of it, when the machine goes down.
pub fn end(root: &Sysroot) -> Result<()> {
    if root.is_machine() && !nix::unistd::geteuid().is_root() {
        return Err(Class::Failed.error("`cias end-services` unmounts and ends services, and this was not started by root: use su or sudo"));
    }
    let log = Log::to_file(&root.path(LOG))?;
    let host = Host::new(|line| log.note(line));
    let system = System { root: root.clone(), runner: &host, log: &log };
    // Before anything ends, so that the agent does not bring it back.
    files::make_folder(&system.root.path(published::FOLDER), 0o755)?;
    files::write(&system.root.path(ENDED), "", 0o644)?;
    // Without a site file nobody knows whom to ask.
    let vip = node::load_site(root).ok().map(|site| site.network.vip);
    end_all(&system, || vip.is_some_and(|vip| ask::answers(vip, ask::PORT)))
}

/// Was all of it ended on purpose, and nothing started since?
pub(super) fn were_ended(root: &Sysroot) -> bool {
    root.has(ENDED)
}

/// Something is started, so that it is wanted again.
pub(super) fn is_wanted(root: &Sysroot) -> Result<()> {
    files::remove(&root.path(ENDED))
}

/// The mount first: what was written has to reach chunkservers, and these the metadata server. Each is tried whatever became of the one before,
/// because the machine goes down anyway.
fn end_all(system: &System, answers: impl Fn() -> bool) -> Result<()> {
    outcome::all([
        unmount(system, answers),
        end_daemon(system, Daemon::Chunkserver),
        end_master(system),
        end_daemon(system, Daemon::Metalogger),
    ])
}

/// Unmounts it. Where no metadata server answers nothing can be saved, and asking for it would take longer than the power lasts: what waits for an
/// answer gets an error then.
fn unmount(system: &System, answers: impl Fn() -> bool) -> Result<()> {
    if mounted(&system.root) != Mounted::MooseFs {
        return Ok(());
    }
    let word = if answers() { None } else { Some("-f") };
    let output = system.runner.outcome(&call(system, word).limit(UNMOUNT));
    if mounted(&system.root) != Mounted::MooseFs {
        return Ok(());
    }
    let said = output.map_or_else(|error| format!("{error:#}"), |output| output.failure());
    system.log.say(&format!(
        "warning: {POINT} is still in use, and is taken away from those who use it: umount said: {said}"
    ));
    detach(system)
}

/// Takes it away from everybody at once, also where it answers to nobody.
pub(super) fn detach(system: &System) -> Result<()> {
    system.runner.run(&call(system, Some("-l"))).map(drop)
}

/// By its name as it is: looking it up would ask who may not answer.
fn call(system: &System, word: Option<&str>) -> Call {
    let path = system.root.path(POINT).display().to_string();
    Call::new("umount").arg("--no-canonicalize").args(word).arg(path)
}

#[cfg(test)]
#[path = "end_tests.rs"]
mod tests;
