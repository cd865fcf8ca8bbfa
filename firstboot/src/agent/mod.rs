//! `cias agent`: the one long-running process of a node, which finds the others, is elected or gets a place, and runs `cias run`.
//!
//! What it decides is [`crate::hello`]'s; here are the wire, the clock and the files. [`memory`] is on the disk before anything follows from it,
//! so that a kill at any instant loses nothing.

pub(crate) mod arrive;
mod clock;
mod desk;
mod errand;
pub mod link;
pub mod memory;
mod patience;
pub mod port;
mod post;
pub mod published;
pub(crate) mod standing;
mod voice;
mod watch;
pub mod withdraw;
mod work;

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::Flock;
use sha2::{Digest, Sha256};

use crate::facts::{Facts, minimum, report::Report};
use crate::hello::frame::Codec;
use crate::hello::machine::Me;
use crate::hello::rank::Progress;
use crate::hello::{Draw, MachineId, Nonce};
use crate::interrupt::Interrupt;
use crate::journal::{self, Role};
use crate::log::Log;
use crate::outcome::Class;
use crate::runner::Host;
use crate::system::Sysroot;
use crate::{enrol, files, node};

use voice::Voice;

const LOG: &str = "/var/log/cias/agent.log";
/// Whoever holds the lock on this file is the agent.
const LOCK: &str = "/run/cias/agent.lock";

/// How long init waits with the next try after an error.
const PAUSE: Duration = Duration::from_mins(1);

/// What `cias agent` was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the files are; `/` but in tests.
    pub root: Sysroot,
    /// Divides all waits; 1 but in tests.
    pub hurry: u32,
}

/// Runs until it is told to stop.
pub fn run(request: &Request) -> Result<()> {
    let root = &request.root;
    if root.is_machine() && request.hurry != 1 {
        return Err(Class::Refused.error(
            "--hurry is for tests, which name another folder with --root: on a machine, shorter waits could make two founders",
        ));
    }
    if root.is_machine() && !nix::unistd::geteuid().is_root() {
        return Err(Class::Failed
            .error("`cias agent` opens a raw socket and was not started by root: use su or sudo"));
    }
    let _lock = lock(root)?;
    let path = root.path(LOG);
    if let Some(folder) = path.parent() {
        files::make_folder(folder, 0o755)?;
    }
    let log = Arc::new(Log::to_file(&path)?);
    let interrupt = Interrupt::install()?;
    let Err(error) = prepare(request, &log).and_then(|mut agent| agent.work(&interrupt)) else {
        return Ok(());
    };
    log.note(&format!("error: {error:#}"));
    if nix::unistd::getppid().as_raw() != 1 {
        return Err(error);
    }
    // Without a site this is the server of somebody who has asked for nothing yet, and the console is theirs.
    if root.has(node::SITE) {
        eprintln!("error: {error:#}");
    }
    pause(&interrupt);
    Ok(())
}

/// Before init starts it anew: of what ends at once, init says "respawning too fast" and lets it be for minutes.
fn pause(interrupt: &Interrupt) {
    let (tell, told) = std::sync::mpsc::channel();
    interrupt.stop().when_asked(move || {
        let _ = tell.send(());
    });
    // Told to stop or not, it ends now.
    let _ = told.recv_timeout(PAUSE);
}

fn prepare<'a>(request: &'a Request, log: &'a Arc<Log>) -> Result<work::Agent<'a>> {
    let root = &request.root;
    let voice = Voice::new(root, log);
    let host = Host::new(|line| log.note(line));
    let site = node::load_site(root)?;
    let (facts, misses) = match Report::gather(root, &host) {
        Ok(report) => (report.facts, report.below_minimum),
        Err(error) => {
            voice.say(&format!(
                "warning: the disks cannot be listed, so the system disk counts as missing: {error:#}"
            ));
            let facts = Facts::gather(root, &host);
            let misses = minimum::misses(&facts.hardware, None);
            (facts, misses)
        }
    };
    let who = facts.who();
    let id = MachineId::of(&who.macs).ok_or_else(|| {
        Class::Failed.error("found no physical Ethernet port in /sys/class/net, wanted at least one: look whether the kernel has a driver for it")
    })?;
    let standing = standing::standing(&site, &who, &misses)?;
    let mut memory = memory::open(root, &who, |sentence| voice.say(sentence))?;
    let state = journal::read(root)?.unwrap_or_default();
    let role = state.place.as_ref().and(state.role);
    if state.is_founders() {
        // It may have formatted disks under that name, whatever became of the agent's own file.
        memory.progress = memory.progress.max(Progress::Settled);
    }
    let me = Me {
        id,
        may_found: standing.may_found,
        priority: standing.priority,
        progress: memory.progress,
        who,
        release: facts.hardware.pve_version.unwrap_or_default(),
    };
    let settled = state.place.as_ref().filter(|_| role == Some(Role::Node)).map(|place| place.address);
    let clerk = desk::Clerk {
        root: root.clone(),
        site: site.clone(),
        me: id,
        serial: me.who.serial.clone(),
        release: me.release.clone(),
        log: log.clone(),
        trouble: std::sync::Mutex::default(),
        word: std::sync::Mutex::default(),
        keep: enrol::service::keep,
    };
    let postman =
        post::Postman { root: root.clone(), site: site.clone(), log: log.clone(), hurry: request.hurry };
    let watchman =
        watch::Watchman { root: root.clone(), site: site.clone(), log: log.clone(), hurry: request.hurry };
    let parts = work::Parts {
        codec: Codec::new(&site.secrets.key)?,
        draw: nonces()?,
        is_pinned: site.is_founder(&me.who),
        obstacles: standing.obstacles,
        held: memory.offer.as_ref().map(|offer| offer.address).or(settled),
        clerk,
        postman,
        watchman,
    };
    work::Agent::new(root, request.hurry, voice, log.clone(), me, memory, parts)
}

/// One agent at a time: two would speak under one name.
fn lock(root: &Sysroot) -> Result<Flock<File>> {
    files::make_folder(&root.path(published::FOLDER), 0o755)?;
    files::lock(&root.path(LOCK), || {
        format!("the agent of this node runs already (it holds {LOCK}): `cias status` shows what it says")
    })
}

/// Numbers that nobody can tell beforehand and that do not repeat, from one secret that the kernel draws: reading it cannot fail later.
fn nonces() -> Result<Draw> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut secret))
        .context("reading /dev/urandom")?;
    let mut count = 0_u64;
    Ok(Box::new(move || {
        count += 1;
        let digest = Sha256::new().chain_update(secret).chain_update(count.to_be_bytes()).finalize();
        Nonce(digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_do_not_repeat_nor_follow_from_each_other() {
        let (mut one, mut two) = (nonces().unwrap(), nonces().unwrap());
        let drawn: std::collections::HashSet<Nonce> = (0..1000).flat_map(|_| [one(), two()]).collect();
        assert_eq!(drawn.len(), 2000);
    }

    #[test]
    fn a_machine_is_not_hurried() {
        let error = run(&Request { root: Sysroot::default(), hurry: 10 }).unwrap_err();
        assert_eq!(Class::of(&error), Class::Refused);
    }
}
