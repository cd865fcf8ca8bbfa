//! `cias enrol serve`: the Master's side of one session, which the join key's forced command runs.
//!
//! One join at a time: the session holds a lock from the welcome to the end, and the end always comes, since a dead node's connection
//! ends within half a minute. Whatever a join that came to nothing left here is taken back.

mod join;
mod judge;
mod refuse;
mod slots;
mod talk;

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::fcntl::Flock;

use super::keys::PublicKey;
use super::protocol::{Ask, FromMaster, FromNode, Refused};
use super::store;
use crate::agent::published;
use crate::cluster::{members::Members, register};
use crate::facts::Hardware;
use crate::hello::ledger::Entry;
use crate::log::Log;
use crate::outcome::Class;
use crate::runner::Host;
use crate::site::Site;
use crate::system::{Sysroot, System};
use crate::{files, node};

use judge::{Knows, Refusal, judge};
use talk::{Heard, Talk};

const LOG: &str = "/var/log/cias/enrol.log";

/// Whoever holds the lock on this file lets a node join.
const LOCK: &str = "/run/cias/join.lock";

/// How soon a node says what it wants.
const FIRST_WORD: Duration = Duration::from_secs(30);

/// The longest wait for one's turn, and the longest join.
const LIMIT: Duration = Duration::from_mins(12);

/// How often a waiting node hears that it waits.
const STILL_WAITING: Duration = Duration::from_secs(5);

/// How often to try for the turn; meanwhile the node is listened to.
const TRY: Duration = Duration::from_millis(200);

/// What `cias enrol serve` was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the files are; `/` but in tests.
    pub root: Sysroot,
    /// Divides all waits; 1 but in tests.
    pub hurry: u32,
}

/// One session on standard input and output. What goes wrong is told to the node and kept in the log.
pub fn serve(request: &Request) -> Result<()> {
    let root = &request.root;
    let path = root.path(LOG);
    if let Some(folder) = path.parent() {
        files::make_folder(folder, 0o755)?;
    }
    files::make_folder(&root.path(published::FOLDER), 0o755)?;
    let log = Log::to_file(&path)?;
    let host = Host::new(|line| log.note(line));
    let system = System { root: root.clone(), runner: &host, log: &log };
    let result = node::load_site(root).and_then(|site| {
        let session = Session { system: &system, site: &site, hurry: request.hurry };
        session.run(&mut Talk::new(std::io::stdin(), std::io::stdout()))
    });
    if let Err(error) = &result {
        log.note(&format!("error: {error:#}"));
    }
    result
}

/// A session with one node.
struct Session<'a> {
    system: &'a System<'a>,
    site: &'a Site,
    hurry: u32,
}

impl Session<'_> {
    /// An error is a session that was none.
    fn run(&self, talk: &mut Talk<impl Write>) -> Result<()> {
        let silent = match slots::SILENT.take(&self.system.root) {
            Err(error) if Class::of(&error) == Class::TryLater => {
                let reason = error.to_string();
                let _gone = talk.tell(&FromMaster::Refused(Refused { reason, is_final: false }));
                return Err(error);
            }
            other => other?,
        };
        let heard = talk.hear(self.wait(FIRST_WORD));
        drop(silent);
        let ask = match heard {
            Heard::Line(FromNode::Ask(ask)) => ask,
            Heard::End => {
                return Err(Class::Usage.error(
                    "a connection ended without a word: this is where servers ask to join, and there is no shell",
                ));
            }
            other => {
                self.answer_strange(talk, other);
                return Err(Class::Usage.error("a connection was refused: it did not ask to join"));
            }
        };
        let asked = store::now();
        // Before it waits for its turn too: nobody waits for a no.
        let answer = self.judge(&ask, asked).and_then(|_| match self.turn(&ask, talk)? {
            // It may have been denied or retired meanwhile.
            Some(lock) => Ok(Some((lock, self.judge(&ask, asked)?))),
            None => Ok(None),
        });
        match answer {
            Ok(Some((lock, (entry, key)))) => {
                self.join(&ask, &entry, &key, talk);
                drop(lock);
            }
            Ok(None) => self.note(&format!("{} ended while it waited for its turn", entry_name(&ask))),
            Err(refusal) => self.refuse(&ask, &refusal, talk),
        }
        Ok(())
    }

    /// All waits are shorter in tests.
    fn wait(&self, limit: Duration) -> Duration {
        limit / self.hurry
    }

    fn note(&self, line: &str) {
        self.system.log.note(&format!("enrol: {line}"));
    }

    fn judge(&self, ask: &Ask, asked: u64) -> Result<(Entry, PublicKey), Refusal> {
        let root = &self.system.root;
        let unknown = |error: anyhow::Error| {
            Refusal::for_now("unready", format!("the Master cannot tell who may join: {error:#}"))
        };
        let members = Members::read(root).map_err(unknown)?;
        let release = Hardware::read(root).pve_version;
        let (ledger, book) = match &members {
            Some(_) => (register::read(root).map_err(unknown)?, store::read(root).map_err(unknown)?),
            // Refused for that itself.
            None => Default::default(),
        };
        let knows = Knows {
            site: self.site,
            release: release.as_deref(),
            members: members.as_ref(),
            ledger: &ledger,
            book: &book,
            asked,
        };
        judge(ask, &knows)
    }

    /// Waits until no other node joins; nothing if the node ends meanwhile.
    fn turn(&self, ask: &Ask, talk: &mut Talk<impl Write>) -> Result<Option<Flock<File>>, Refusal> {
        let _slot = slots::WAITING.take(&self.system.root).map_err(|error| match Class::of(&error) {
            Class::TryLater => Refusal::for_now("busy", error.to_string()),
            _ => Refusal::for_now("unready", format!("{error:#}")),
        })?;
        let start = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            let busy = "another node is joining, and one joins at a time";
            match files::lock(&self.system.root.path(LOCK), || busy.to_owned()) {
                Ok(lock) => return Ok(Some(lock)),
                Err(error) if Class::of(&error) == Class::TryLater => {}
                Err(error) => return Err(Refusal::for_now("unready", format!("{error:#}"))),
            }
            if start.elapsed() >= self.wait(LIMIT) {
                return Err(Refusal::for_now("busy", format!("{busy}, for too long now: ask again")));
            }
            if told.is_none_or(|told| told.elapsed() >= self.wait(STILL_WAITING)) {
                if told.is_none() {
                    self.note(&format!("{} waits for its turn", entry_name(ask)));
                }
                if !talk
                    .tell(&FromMaster::Wait(format!("{busy}; waited for {} s", start.elapsed().as_secs())))
                {
                    return Ok(None);
                }
                told = Some(Instant::now());
            }
            match talk.hear(TRY) {
                Heard::Nothing => {}
                _ => return Ok(None),
            }
        }
    }
}

/// The machine as it calls itself, for the log.
fn entry_name(ask: &Ask) -> String {
    format!("{} ({}, machine {})", crate::site::shown_value(&ask.name), ask.address, ask.machine)
}
