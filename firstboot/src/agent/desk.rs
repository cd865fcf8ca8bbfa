//! What the agent does on the cluster's file system, beside its loop: a file system over the network may keep whoever asks it waiting, and
//! a Master that falls silent is replaced.

use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;

use crate::cluster::members::{self, Members};
use crate::cluster::{register, roster};
use crate::files::NO_QUORUM;
use crate::hello::MachineId;
use crate::hello::frame::{MOST_KEY, Offer, Refusal};
use crate::hello::ledger::{Entry, Held, Ledger, State};
use crate::hello::output::Asking;
use crate::journal::{self, Role};
use crate::log::Log;
use crate::outcome::Class;
use crate::runner::Host;
use crate::site::{Place, Site, Who};
use crate::system::{Sysroot, System};

/// The most requests that wait; whoever is let go asks again.
const MOST: usize = 4096;

/// Until the service of the enrolment is tried again that did not run: a try fills the log, and whoever asks for a place waits for it.
const REST: Duration = Duration::from_secs(30);

/// How this node stands to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In none, or in one without quorum.
    Away,
    /// A member with quorum.
    Member,
    /// The Master, with quorum, and the ledger has it.
    Serving,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// How this node stands.
    Stands(Standing),
    /// It could not be found out, for this reason.
    Unknown(String),
    /// Whoever asked gets this place. It is in the ledger.
    Offer(Offer),
    /// Whoever asked, which is that server, gets none.
    Refusal(Refusal, Who),
}

enum Work {
    Look,
    Ask(Asking),
}

/// The way to the thread and back.
pub struct Desk {
    work: Sender<Work>,
    answers: Receiver<Answer>,
    waiting: usize,
    looking: bool,
}

/// What the thread knows.
pub struct Clerk {
    /// Where files are.
    pub root: Sysroot,
    /// The site.
    pub site: Site,
    /// This machine.
    pub me: MachineId,
    /// Its serial number, for people.
    pub serial: Option<String>,
    /// Its version of Proxmox VE.
    pub release: String,
    /// The agent's log.
    pub log: Arc<Log>,
    /// Why the service of the enrolment did not run at the last try, and when that was.
    pub trouble: Mutex<Option<(String, Instant)>>,
    /// When this node left its word for the others last.
    pub word: Mutex<Option<Instant>>,
    /// Has the service of the enrolment run; a test has another one.
    pub keep: fn(&System, &Site, Ipv4Addr) -> Result<()>,
}

impl Desk {
    /// Starts the thread. `wake` gets a byte for each answer.
    pub fn open(clerk: Clerk, mut wake: UnixStream) -> Self {
        let (work, todo) = channel::<Work>();
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            while let Ok(first) = todo.recv() {
                // All that wait are one change of the ledger.
                let all: Vec<Work> = std::iter::once(first).chain(todo.try_iter()).collect();
                for answer in clerk.work(all) {
                    if tell.send(answer).is_err() {
                        return;
                    }
                }
                // A socket that takes no more has woken the loop already.
                let _ = wake.write(b"x");
            }
        });
        Self { work, answers, waiting: 0, looking: false }
    }

    /// Has the thread look how this node stands, unless it does so already.
    pub fn look(&mut self) {
        if !self.looking {
            self.looking = self.work.send(Work::Look).is_ok();
        }
    }

    /// Has it answer a request.
    pub fn ask(&mut self, asking: Asking) {
        if self.waiting < MOST && self.work.send(Work::Ask(asking)).is_ok() {
            self.waiting += 1;
        }
    }

    /// The next answer, if there is one.
    pub fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        match answer {
            Answer::Stands(_) | Answer::Unknown(_) => self.looking = false,
            Answer::Offer(_) | Answer::Refusal(..) => self.waiting -= 1,
        }
        Some(answer)
    }
}

impl Clerk {
    fn work(&self, all: Vec<Work>) -> Vec<Answer> {
        let mut asked = Vec::new();
        let mut looks = false;
        for work in all {
            match work {
                Work::Look => looks = true,
                Work::Ask(asking) => asked.push(asking),
            }
        }
        if !looks && asked.is_empty() {
            return Vec::new();
        }
        let standing = self.stand();
        let may_answer = matches!(standing, Ok(Standing::Serving));
        let mut answers = if asked.is_empty() { Vec::new() } else { self.answer(&asked, may_answer) };
        if looks {
            answers.push(match standing {
                Ok(standing) => Answer::Stands(standing),
                Err(error) => Answer::Unknown(format!("{error:#}")),
            });
        }
        answers
    }

    /// How this node stands. The founder is entered in the ledger before it serves.
    fn stand(&self) -> Result<Standing> {
        let state = journal::read(&self.root)?.unwrap_or_default();
        let (Some(role), Some(place)) = (state.role, state.place) else { return Ok(Standing::Away) };
        let members = Members::read(&self.root)?.unwrap_or_default();
        if !members.is_quorate_in(&self.site.site.cluster_name) || !members::is_writable(&self.root) {
            return Ok(Standing::Away);
        }
        self.leave_word(&members.name, role == Role::Founder);
        if role != Role::Founder {
            return Ok(Standing::Member);
        }
        let ledger = register::read(&self.root)?;
        let known = ledger.entries().find(|entry| entry.place.address == place.address);
        match known {
            Some(entry) if entry.machine == self.me && entry.state == State::Member => {}
            Some(entry) if entry.machine != self.me || entry.state == State::Retired => {
                return Err(Class::Refused.error(format!(
                    "the ledger has this founder's address {} as {} of machine {}, and this is machine {}: it does not serve until a person has looked",
                    place.address,
                    entry.state.name(),
                    entry.machine,
                    self.me
                )));
            }
            _ => self.enter(&place)?,
        }
        self.keep_enrolment(place.address);
        Ok(Standing::Serving)
    }

    /// What `cias status` shows on the other nodes, now and then.
    fn leave_word(&self, name: &str, is_master: bool) {
        let mut last = self.word.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last: Instant| last.elapsed() < roster::EVERY) {
            return;
        }
        match roster::leave_word(&self.root, name, is_master) {
            Ok(()) => *last = Some(Instant::now()),
            Err(error) => self.log.note(&format!("warning: {error:#}")),
        }
    }

    /// Nobody joins while it does not run, and places are given all the same. A reason is told once.
    fn keep_enrolment(&self, address: Ipv4Addr) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.as_ref().is_some_and(|(_, tried)| tried.elapsed() < REST) {
            return;
        }
        let host = Host::new(|line| self.log.note(line));
        let system = System { root: self.root.clone(), runner: &host, log: &self.log };
        let Err(error) = (self.keep)(&system, &self.site, address) else {
            *trouble = None;
            return;
        };
        let sentence = format!("warning: the service of the enrolment does not run: {error:#}");
        if trouble.as_ref().is_none_or(|(told, _)| *told != sentence) {
            self.log.say(&format!("agent: {sentence}"));
        }
        *trouble = Some((sentence, Instant::now()));
    }

    fn enter(&self, place: &Place) -> Result<()> {
        let entry = Entry {
            machine: self.me,
            state: State::Member,
            place: place.clone(),
            serial: self.serial.clone(),
        };
        register::change(&self.root, |ledger| ledger.enter(entry))
    }

    /// All answers, after one change of the ledger.
    fn answer(&self, asked: &[Asking], may_answer: bool) -> Vec<Answer> {
        let refusal = |asking: &Asking, reason: String, is_final: bool| {
            let refusal = Refusal { to: asking.from, echo: asking.nonce, is_final, reason };
            Answer::Refusal(refusal, asking.request.who.clone())
        };
        let no =
            |reason: &str| asked.iter().map(|asking| refusal(asking, reason.to_owned(), false)).collect();
        if !may_answer {
            return no(&format!("the Master gives no place now: {NO_QUORUM}"));
        }
        let decided = register::change(&self.root, |ledger| {
            Ok(asked.iter().map(|asking| self.decide(ledger, asking)).collect::<Vec<_>>())
        });
        let (decided, key, master) = match decided.and_then(|decided| {
            let place = journal::read(&self.root)?.and_then(|state| state.place);
            Ok((decided, host_key(&self.root), place.map(|place| place.address)))
        }) {
            Ok((decided, key, Some(master))) => (decided, key, master),
            Ok(_) => return no("the Master has no place itself"),
            Err(error) => {
                self.log.note(&format!("no place is given: {error:#}"));
                return no(&format!("the Master could not look into the ledger: {error:#}"));
            }
        };
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        asked
            .iter()
            .zip(decided)
            .map(|(asking, decided)| match decided {
                Ok(place) => Answer::Offer(Offer {
                    to: asking.from,
                    echo: asking.nonce,
                    address: place.address,
                    name: place.name,
                    master,
                    host_key: key.clone(),
                    time,
                }),
                Err((reason, is_final)) => refusal(asking, reason, is_final),
            })
            .collect()
    }

    /// The place of whoever asks, or why it gets none and whether that is for good.
    fn decide(&self, ledger: &mut Ledger, asking: &Asking) -> Result<Place, (String, bool)> {
        let request = &asking.request;
        if let Some(address) = request.holds {
            return match ledger.held(asking.from, address) {
                Held::Stands(place) => Ok(place.clone()),
                Held::Retired => Err((
                    format!(
                        "{address} was taken from its node, which was removed from the cluster for good: install this server anew, with \
                         cias.reinstall on the kernel line, and it gets a new place"
                    ),
                    true,
                )),
                Held::Other(machine) => Err((
                    format!(
                        "the ledger has {address} as machine {machine}'s, and this is {}: another network port?",
                        asking.from
                    ),
                    false,
                )),
                Held::Unknown => Err((format!("the ledger does not know {address}"), false)),
            };
        }
        if request.release != self.release {
            return Err((
                format!(
                    "this server has Proxmox VE {:?}, wanted {:?} as the Master has: install it from the same image",
                    request.release, self.release
                ),
                false,
            ));
        }
        ledger
            .grant(asking.from, &request.who, &self.site)
            .map(|(place, _)| place)
            .map_err(|error| (format!("{error:#}"), false))
    }
}

/// The public host key of ssh that a node is told: type and key without the comment. RSA is the kind that Proxmox VE shares (docs/facts.md
/// 11); a long one does not fit into a frame.
fn host_key(root: &Sysroot) -> String {
    let read = |kind: &str| {
        let text = root.attribute(&format!("/etc/ssh/ssh_host_{kind}_key.pub"))?;
        let key = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        (key.len() <= MOST_KEY).then_some(key)
    };
    ["rsa", "ecdsa"].into_iter().find_map(read).unwrap_or_default()
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
