//! What the administrator is told: by mail, and by a webhook if the site has one. What is not taken is kept, and the agent tries it
//! again; nothing waits for it, and no failure of it stops anything.

pub mod event;
mod mail;
mod maincf;
mod queue;
pub mod relay;
pub mod test;
mod webhook;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::site::{Site, visible};
use crate::system::{Sysroot, System};
use crate::{files, journal};

pub use event::Event;
pub use queue::{Courier, LOOK};

use event::Here;

/// The same thing about the same machine is mailed once in so many seconds.
const HOUR: u64 = 3600;

/// So many different ones are mailed in an hour; who has a key of the site can make up machines without end.
const MOST: usize = 200;

/// What was mailed within the hour, and when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mailed(BTreeMap<String, u64>);

impl Mailed {
    /// Is `key` to be mailed at `now`, in seconds of a clock that is always the same one? Notes that it is.
    pub fn is_new(&mut self, key: &str, now: u64) -> bool {
        self.0.retain(|_, at| now.abs_diff(*at) < HOUR);
        let is_new = !self.0.contains_key(key) && self.0.len() < MOST;
        if is_new {
            self.0.insert(key.to_owned(), now);
        }
        is_new
    }
}

/// What makes a reason another one: numbers in it, as counters and times, do not.
pub fn gist(reason: &str) -> String {
    reason.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// Which failures of this node were told, and when, in seconds since 1970; a boot does not forget it.
const TOLD: &str = "/var/lib/cias/notify/told.json";

/// A way to the administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To `notify.mail`, or to `site.mail` without it.
    Mail,
    /// To `notify.webhook`.
    Webhook,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Taken,
    /// Not now, for this reason.
    Later(String),
    /// The same message will not be taken later either.
    Never(String),
}

impl Way {
    /// The ways that the site has.
    pub fn all(site: &Site) -> Vec<Self> {
        let webhook = site.notify.webhook.as_ref().map(|_| Self::Webhook);
        std::iter::once(Self::Mail).chain(webhook).collect()
    }

    /// As in a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }

    /// Sends the event of the node `from`; nothing, if the site does not have this way.
    fn send(self, system: &System, site: &Site, from: &str, event: &Event) -> Option<Sent> {
        match self {
            Self::Mail => Some(mail::send(system, site, from, event)),
            Self::Webhook => site.notify.webhook.as_ref().map(|url| webhook::post(system, url, event)),
        }
    }
}

/// Tells the administrator now, by every way; returns the ways that are to be tried again later, which the event was kept for.
pub fn tell(system: &System, site: &Site, event: Event) -> Vec<Way> {
    let event = stamped(event);
    let from = host(&system.root);
    let mut later = Vec::new();
    for way in Way::all(site) {
        match way.send(system, site, &from, &event) {
            None | Some(Sent::Taken) => {}
            Some(Sent::Never(reason)) => note(system, way, &event, &format!("was not taken: {reason}")),
            Some(Sent::Later(reason)) => {
                note(system, way, &event, &format!("was not sent and is kept: {reason}"));
                if let Err(error) = queue::keep(system, way, &from, &event, now()) {
                    note(system, way, &event, &format!("could not be kept and is lost: {error:#}"));
                }
                later.push(way);
            }
        }
    }
    later
}

/// As [`tell`] for a failure of this node, but only if one of the same gist was not told within the hour.
pub fn tell_once(system: &System, site: &Site, event: Event) -> Vec<Way> {
    let key = format!("{:?} {}", event.event, gist(&event.reason));
    let folder = files::make_folder(&system.root.path(queue::FOLDER), 0o700);
    match folder.and_then(|()| is_new(&system.root.path(TOLD), &key, now())) {
        Ok(true) => tell(system, site, event),
        Ok(false) => Vec::new(),
        Err(error) => {
            system.log.note(&format!(
                "warning: {:?} is not told, because it cannot be noted: {error:#}",
                event.subject
            ));
            Vec::new()
        }
    }
}

/// Was `key` not told within the hour, as the file at `path` has it? Notes that it is now.
pub fn is_new(path: &Path, key: &str, now: u64) -> Result<bool> {
    // One that cannot be read is as good as none: it holds nothing but times.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut mailed: Mailed = serde_json::from_str(&text).unwrap_or_default();
    if !mailed.is_new(key, now) {
        return Ok(false);
    }
    files::write(path, serde_json::to_string(&mailed)?, 0o600)?;
    Ok(true)
}

/// Who this node is, as far as it knows.
pub fn here(root: &Sysroot) -> Here {
    // A journal that cannot be read is told by others.
    let state = journal::read(root).ok().flatten().unwrap_or_default();
    let node = state.place.map_or_else(|| host(root), |place| place.fqdn);
    Here { node, role: state.role.map_or("server", journal::Role::word).to_owned() }
}

fn host(root: &Sysroot) -> String {
    root.attribute("/etc/hostname").unwrap_or_else(|| "cias".to_owned())
}

/// With the time at which it is told first.
fn stamped(mut event: Event) -> Event {
    if event.time.is_empty() {
        event.time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    }
    event
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// What became of a message is a warning in the log.
fn note(system: &System, way: Way, event: &Event, what: &str) {
    system.log.note(&format!("warning: the {} {:?} {what}", way.word(), visible(&event.subject)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};
    use crate::tree::Tree;

    #[test]
    fn the_same_is_mailed_once_an_hour_and_not_more_than_so_much() {
        let mut mailed = Mailed::default();
        let key = |machine: &str, reason: &str| format!("{machine} {}", gist(reason));
        assert!(mailed.is_new(&key("a1", "3 of 50 answered"), 10));
        assert!(!mailed.is_new(&key("a1", "14 of 50 answered"), 11));
        assert!(mailed.is_new(&key("a2", "3 of 50 answered"), 12));
        assert!(mailed.is_new(&key("a1", "no quorum"), 13));
        assert!(!mailed.is_new(&key("a1", "3 of 50 answered"), 10 + HOUR - 1));
        assert!(mailed.is_new(&key("a1", "3 of 50 answered"), 10 + HOUR));
        // A clock that was set back keeps nothing for ever.
        assert!(mailed.is_new(&key("a1", "3 of 50 answered"), 1));
        let count = (0..1000).filter(|number| mailed.is_new(&number.to_string(), 2)).count();
        assert_eq!((count, mailed.0.len()), (MOST - 3, MOST), "three were there");
    }

    #[test]
    fn what_is_not_taken_stops_nothing_is_logged_and_kept_for_its_way_alone() {
        let tree = Tree::from_text("/etc/hostname = n\n");
        let fake = Fake::default().fails("sendmail", 75, "queue full");
        let log = Log::to_file(&tree.path().join("log")).unwrap();
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let site = from_text(&(example() + "[notify]\nwebhook = \"http://10.0.0.9/T0KEN\"\n")).unwrap();
        let event = Event::test(&site, &here(&system.root));
        assert_eq!((event.node.as_str(), event.role.as_str()), ("n", "server"));
        assert_eq!(tell(&system, &site, event), [Way::Mail]);
        assert_eq!(fake.lines().len(), 2, "{:?}", fake.lines());
        let log = system.root.text("/log").unwrap();
        assert!(log.contains("the mail \"a test of the notifications\" was not sent and is kept"), "{log}");
        let names = system.root.names(queue::FOLDER);
        assert!(names.len() == 1 && names[0].ends_with("-mail.json"), "{names:?}");
        assert!(!log.contains("T0KEN"), "{log}");
    }

    #[test]
    fn a_failure_of_the_same_gist_is_told_once_an_hour_also_after_a_boot() {
        let tree = Tree::from_text("/etc/hostname = n\n");
        let (fake, log) = (Fake::default(), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let site = from_text(&example()).unwrap();
        let event = |reason: &str| Event::step_failed(&site, &here(&system.root), "a step", reason);
        for reason in ["3 of 50 answered", "7 of 50 answered", "no quorum", "3 of 50 answered"] {
            assert!(tell_once(&system, &site, event(reason)).is_empty());
        }
        assert_eq!(fake.lines(), ["sendmail -t -oi", "sendmail -t -oi"]);
        assert_eq!(system.root.names(queue::FOLDER), ["told.json"]);
    }
}
