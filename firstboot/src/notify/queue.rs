//! What was not taken: a file for each message and way, which the agent tries again with growing pauses, also after a boot.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Event, Sent, Way, note, now};
use crate::files;
use crate::site::Site;
use crate::system::{Sysroot, System};

/// Where they are kept, for root alone.
pub(super) const FOLDER: &str = "/var/lib/cias/notify";

/// So many are kept; the oldest make room.
const MOST: usize = 100;

/// So long one is kept, in seconds.
const AGE: u64 = 3 * 24 * 3600;

/// The clock of a machine whose battery is dead begins before this (the start of 2025): from such a time no age is counted.
const SANE: u64 = 1_735_689_600;

/// How often the agent looks for what others have kept.
pub const LOOK: Duration = Duration::from_secs(30);

/// The pause before the next try by one way, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));

/// One message for one way.
#[derive(Debug, Serialize, Deserialize)]
struct Item {
    way: Way,
    from: String,
    since: u64,
    event: Event,
}

/// Keeps a message since `since`. What is too much makes room, and the log says so.
pub(super) fn keep(system: &System, way: Way, from: &str, event: &Event, since: u64) -> Result<()> {
    let root = &system.root;
    files::make_folder(&root.path(FOLDER), 0o700)?;
    let names = names(root);
    let excess = (names.len() + 1).saturating_sub(MOST);
    for name in &names[..excess] {
        let subject = read(root, name).map_or_else(|_| name.clone(), |item| item.event.subject);
        system.log.note(&format!(
            "warning: the message {subject:?} is dropped: {MOST} wait in {FOLDER}, and it is the oldest"
        ));
        files::remove(&root.path(&path(name)))?;
    }
    let item = Item { way, from: from.to_owned(), since, event: event.clone() };
    // No two processes have one number, and no process two messages in one instant.
    let nanos =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let name = format!("{since:012}-{nanos:09}-{}-{}.json", std::process::id(), way.word());
    files::write(&root.path(&path(&name)), serde_json::to_vec(&item)?, 0o600)
}

fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// The files, the oldest first.
fn names(root: &Sysroot) -> Vec<String> {
    let is_ours = |name: &String| {
        !name.starts_with('.') && (name.ends_with("-mail.json") || name.ends_with("-webhook.json"))
    };
    root.names(FOLDER).into_iter().filter(is_ours).collect()
}

fn read(root: &Sysroot, name: &str) -> Result<Item> {
    let path = path(name);
    serde_json::from_str(&root.text(&path)?).with_context(|| format!("reading {path}"))
}

/// Who tries again.
pub struct Courier {
    clock: Instant,
    hurry: u32,
    rests: BTreeMap<Way, Rest>,
}

/// A way that did not go last time.
struct Rest {
    pause: Duration,
    until: Duration,
}

impl Courier {
    /// All waits are divided by `hurry`.
    pub fn new(hurry: u32) -> Self {
        Self { clock: Instant::now(), hurry, rests: BTreeMap::new() }
    }

    /// By this way a message has just not gone.
    pub fn failed(&mut self, way: Way) {
        self.rest(way, self.clock.elapsed());
    }

    /// Tries all that waits, by each way whose pause is over.
    pub fn pass(&mut self, system: &System, site: &Site) {
        self.pass_at(system, site, self.clock.elapsed());
    }

    fn rest(&mut self, way: Way, at: Duration) -> Duration {
        let next = self.rests.get(&way).map_or(PAUSE.0, |rest| (rest.pause * 2).min(PAUSE.1));
        let pause = next / self.hurry;
        self.rests.insert(way, Rest { pause: next, until: at + pause });
        pause
    }

    fn pass_at(&mut self, system: &System, site: &Site, at: Duration) {
        for way in [Way::Mail, Way::Webhook] {
            if self.rests.get(&way).is_some_and(|rest| rest.until > at) {
                continue;
            }
            let ending = format!("-{}.json", way.word());
            for name in names(&system.root).iter().filter(|name| name.ends_with(&ending)) {
                // One after the other: if one does not go, the way is not there.
                if !self.try_one(system, site, name, at) {
                    break;
                }
            }
        }
    }

    /// Tries one; is the way there?
    fn try_one(&mut self, system: &System, site: &Site, name: &str, at: Duration) -> bool {
        let item = match read(&system.root, name) {
            Ok(item) => item,
            Err(error) => {
                system.log.note(&format!("warning: a kept message is dropped: {error:#}"));
                return drop_file(system, name);
            }
        };
        let (way, event) = (item.way, &item.event);
        if item.since >= SANE && now().saturating_sub(item.since) > AGE {
            note(system, way, event, &format!("is dropped: it waited for {} days", AGE / 86400));
            return drop_file(system, name);
        }
        match way.send(system, site, &item.from, event) {
            Some(Sent::Taken) => {
                self.rests.remove(&way);
                system.log.note(&format!("the {} {:?} was sent after all", way.word(), event.subject));
                drop_file(system, name)
            }
            Some(Sent::Later(reason)) => {
                let pause = self.rest(way, at).as_secs();
                note(system, way, event, &format!("was not sent and is tried again in {pause} s: {reason}"));
                false
            }
            Some(Sent::Never(reason)) => {
                note(system, way, event, &format!("is dropped: {reason}"));
                drop_file(system, name)
            }
            None => {
                note(system, way, event, "is dropped: the site has no webhook any more");
                drop_file(system, name)
            }
        }
    }
}

/// Removes a message; one that cannot be removed must not be sent again at once, so that the way rests then.
fn drop_file(system: &System, name: &str) -> bool {
    match files::remove(&system.root.path(&path(name))) {
        Ok(()) => true,
        Err(error) => {
            system.log.note(&format!("warning: {error:#}"));
            false
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
