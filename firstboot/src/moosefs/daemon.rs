//! The three daemons. Each is told by a word of its own program, not by its package's boot script: these start too early, or nothing at all.

use std::fs::File;
use std::time::Duration;

use anyhow::Result;
use nix::fcntl::Flock;

use super::end;
use crate::agent::published;
use crate::cluster::wait::await_until;
use crate::files;
use crate::outcome::Class;
use crate::runner::{Call, Runner};
use crate::system::{Sysroot, System};

/// How long one may take to start or to end: the metadata server reads or writes all of its metadata meanwhile.
const LIMIT: Duration = Duration::from_mins(10);

/// How long it may take to be seen after that.
const SEEN: Duration = Duration::from_secs(10);

/// Whoever starts or ends the metadata server holds the lock on this file: what decides is looked at under it.
const TURN: &str = "/run/cias/mfsmaster.lock";

/// Waits for the turn to start or to end the metadata server.
pub fn master_turn(root: &Sysroot) -> Result<Flock<File>> {
    files::make_folder(&root.path(published::FOLDER), 0o755)?;
    files::lock_in_turn(&root.path(TURN))
}

/// A daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// The metadata server.
    Master,
    /// What follows it on another node.
    Metalogger,
    /// What keeps the chunks.
    Chunkserver,
}

impl Daemon {
    /// Its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "mfsmaster",
            Self::Metalogger => "mfsmetalogger",
            Self::Chunkserver => "mfschunkserver",
        }
    }

    /// Is its program installed?
    pub fn is_installed(self, root: &Sysroot) -> bool {
        root.has(&format!("/usr/sbin/{}", self.name()))
    }

    fn call(self, word: &str) -> Call {
        let call = match self {
            Self::Master => Call::new("mfsmaster"),
            Self::Metalogger => Call::new("mfsmetalogger"),
            Self::Chunkserver => Call::new("mfschunkserver"),
        };
        call.arg(word).limit(LIMIT)
    }

    /// Does it run? 1.6.27 and 3.0 tell it by opposite exit codes, and by the same words.
    pub fn runs(self, runner: &dyn Runner) -> Result<bool> {
        let output = runner.outcome(&self.call("test"))?;
        let word = format!("{} pid: ", self.name());
        Ok(output.stdout.contains(&word) || output.stderr.contains(&word))
    }

    /// Has it do `word`, after which it must run or not.
    pub fn has_it(self, system: &System, word: &str, should_run: bool) -> Result<()> {
        if should_run {
            end::is_wanted(&system.root)?;
        }
        let output = system.runner.outcome(&self.call(word))?;
        let look = || (self.runs(system.runner).ok()? == should_run).then_some(());
        let is_right = await_until(system.runner, SEEN, look)?.is_some();
        // A restart that failed leaves one that runs.
        if is_right && (output.code == 0 || !should_run) {
            return files::remove(&system.root.path(&self.unread()));
        }
        let (name, said) = (self.name(), output.failure());
        Err(Class::Failed.error(format!(
            "{name}: `{name} {word}` did not succeed (it said: {}), wanted it to {}: /var/log/syslog tells more",
            if said.is_empty() { "no error" } else { &said },
            if should_run { "run" } else { "end" }
        )))
    }

    /// There while what runs may not have read its files; gone after a boot, as what ran is.
    fn unread(self) -> String {
        format!("/run/cias/{}-unread", self.name())
    }

    /// A file of its is about to change.
    pub fn will_be_unread(self, root: &Sysroot) -> Result<()> {
        files::make_folder(&root.path(published::FOLDER), 0o755)?;
        files::write(&root.path(&self.unread()), "", 0o644)
    }

    /// What makes one of it that runs with the files that are there; nothing if it is that.
    pub fn missing(self, system: &System) -> Result<Option<&'static str>> {
        Ok(match (self.runs(system.runner)?, system.root.has(&self.unread())) {
            (false, _) => Some("start"),
            (true, true) => Some("reload"),
            (true, false) => None,
        })
    }

    /// A sentence for that.
    pub fn sentence(self, word: &str) -> String {
        match word {
            "start" => format!("start {}", self.name()),
            _ => format!("have {} read its configuration anew", self.name()),
        }
    }
}
