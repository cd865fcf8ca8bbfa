//! What the agent tells the administrator, beside its loop: neither a mail nor a webhook keeps it from speaking. What did not go, from here
//! or from another program of this node, is tried again here.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use crate::hello::MachineId;
use crate::hello::frame::Refusal;
use crate::journal;
use crate::log::Log;
use crate::notify::{self, Courier, Event};
use crate::runner::Host;
use crate::site::{Site, Who};
use crate::status;
use crate::system::{Sysroot, System};

/// What there is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The cluster that this founder made stands.
    Founded,
    /// A server got no place.
    NoPlace(Refusal, Who),
    /// Another founder or Master was heard.
    Rival(MachineId),
    /// This machine stops, for this reason.
    Stopped(String),
    /// What follows from the decision failed, for this reason; is it tried again?
    Failed(String, bool),
    /// It waits for this reason, and is tried again in so many seconds.
    Waits(String, u64),
}

/// Who tells it.
pub struct Postman {
    /// Where files are.
    pub root: Sysroot,
    /// The site.
    pub site: Site,
    /// The agent's log.
    pub log: Arc<Log>,
    /// Divides all waits.
    pub hurry: u32,
}

impl Postman {
    /// Starts the thread; it ends when the sender is gone.
    pub fn start(self) -> Sender<News> {
        let (tell, told) = channel();
        std::thread::spawn(move || self.work(&told));
        tell
    }

    fn work(&self, told: &Receiver<News>) {
        let host = Host::new(|line| self.log.note(line));
        let system = System { root: self.root.clone(), runner: &host, log: &self.log };
        let mut courier = Courier::new(self.hurry);
        loop {
            courier.pass(&system, &self.site);
            match told.recv_timeout(notify::LOOK / self.hurry) {
                Ok(news) => {
                    for way in self.tell(&system, news) {
                        courier.failed(way);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tell(&self, system: &System, news: News) -> Vec<notify::Way> {
        let (site, here) = (&self.site, notify::here(&self.root));
        let event = match news {
            News::Founded => {
                let place = journal::read(&self.root).ok().flatten().and_then(|state| state.place);
                let Some(place) = place else { return Vec::new() };
                Event::founded(site, &place)
            }
            News::NoPlace(refusal, who) => {
                let Refusal { to, reason, is_final, .. } = refusal;
                let marks: Vec<&str> = who.macs.iter().chain(&who.serial).map(String::as_str).collect();
                let machine = format!("Machine {to} ({})", marks.join(", "));
                Event::no_place(site, &to.to_string(), &reason, is_final, machine)
            }
            News::Rival(other) => Event::rival(site, &here, &other.to_string()),
            News::Stopped(reason) => Event::stopped(site, &here, &reason, &status::out_of_a_stop()),
            // `cias run` has told its own failures; of those of the same gist this is one too many.
            News::Failed(reason, is_tried_again) => {
                let event = Event::step_failed(site, &here, "bring the node up", &reason);
                let event = if is_tried_again { event.tried_again() } else { event };
                return notify::tell_once(system, site, event);
            }
            News::Waits(reason, pause) => Event::still_waits(site, &here, &reason, pause),
        };
        notify::tell(system, site, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};
    use crate::tree::Tree;

    #[test]
    fn what_cias_run_has_told_is_not_told_again() {
        let tree = Tree::from_text("/etc/hostname = n\n");
        let (fake, log) = (Fake::default(), Arc::new(Log::silent()));
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let site = from_text(&example()).unwrap();
        let postman = Postman { root: tree.root(), site: site.clone(), log: log.clone(), hurry: 1 };
        let told =
            Event::step_failed(&site, &notify::here(&system.root), "b", "step 2 of 4: b: no such disk");
        notify::tell_once(&system, &site, told);
        postman.tell(&system, News::Failed("step 2 of 4: b: no such disk".into(), true));
        assert_eq!(fake.lines().len(), 1);
        postman.tell(&system, News::Failed("vmbr0 does not come up".into(), true));
        assert_eq!(fake.lines().len(), 2);
    }
}
