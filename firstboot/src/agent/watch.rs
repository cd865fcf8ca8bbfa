//! Looks whether what `cias run` has started still runs, beside the agent's loop: who looks at a file system over the network may be kept waiting.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::Result;

use super::patience::Patience;
use crate::journal;
use crate::log::Log;
use crate::moosefs::steps;
use crate::runner::Host;
use crate::site::Site;
use crate::status::{Overall, Status};
use crate::system::{Sysroot, System};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(15);

/// Who looks.
pub struct Watchman {
    /// Where files are.
    pub root: Sysroot,
    /// The site.
    pub site: Site,
    /// The agent's log.
    pub log: Arc<Log>,
    /// Divides all waits.
    pub hurry: u32,
}

/// What is seen. The thread ends when this is gone.
pub struct Watch {
    seen: Receiver<String>,
    _end: Sender<()>,
}

impl Watch {
    /// What was found to be gone, if anything was since the last call.
    pub fn lost(&self) -> Option<String> {
        self.seen.try_iter().last()
    }
}

impl Watchman {
    /// Starts the thread.
    pub fn start(self) -> Watch {
        let (end, ended) = channel();
        let (tell, seen) = channel();
        std::thread::spawn(move || {
            let (hurry, log) = (self.hurry, self.log.clone());
            watch(&ended, &tell, hurry, &log, || self.look());
        });
        Watch { seen, _end: end }
    }

    /// What is gone of all that `cias run` has done. While it is not done the agent runs it anyway.
    fn look(&self) -> Result<Vec<String>> {
        let state = journal::read(&self.root)?.unwrap_or_default();
        let is_done = Status::of(&state, false).state == Overall::Done;
        let (Some(role), Some(place), true) = (state.role, state.place, is_done) else {
            return Ok(Vec::new());
        };
        // What goes well is nothing for the log, four times a minute.
        let host = Host::new(|_| {});
        let system = System { root: self.root.clone(), runner: &host, log: &self.log };
        steps::lost(&self.site, &place, role, &system)
    }
}

/// Looks until nobody wants to know any more. What was told and is still gone is told again after growing pauses; an error is noted once.
fn watch(
    ended: &Receiver<()>,
    tell: &Sender<String>,
    hurry: u32,
    log: &Log,
    look: impl Fn() -> Result<Vec<String>>,
) {
    let mut patience = Patience::default();
    let mut pause = EVERY;
    let mut noted = None;
    while ended.recv_timeout(pause / hurry) == Err(RecvTimeoutError::Timeout) {
        pause = EVERY;
        let error = match look() {
            Ok(lost) if lost.is_empty() => {
                patience = Patience::default();
                None
            }
            Ok(lost) => {
                let lost = lost.join("; ");
                pause = patience.pause(&lost);
                if tell.send(lost).is_err() {
                    return;
                }
                None
            }
            Err(error) => Some(format!("cannot tell whether MooseFS runs: {error:#}")),
        };
        if let Some(error) = error.as_ref().filter(|_| error != noted) {
            log.note(error);
        }
        noted = error;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_is_gone_is_told_and_an_error_ends_nothing() {
        let looks = Mutex::new(vec![
            Ok(vec![]),
            Ok(vec!["start mfsmetalogger".to_owned(), "mount MooseFS".to_owned()]),
            Err(anyhow::anyhow!("no disk can be listed")),
            Ok(vec!["mount MooseFS".to_owned()]),
        ]);
        looks.lock().unwrap().reverse();
        let (end, ended) = channel();
        let end = Mutex::new(Some(end));
        let (tell, seen) = channel();
        watch(&ended, &tell, 1_000_000, &Log::silent(), || {
            looks.lock().unwrap().pop().unwrap_or_else(|| {
                drop(end.lock().unwrap().take());
                Ok(vec![])
            })
        });
        let told: Vec<String> = seen.try_iter().collect();
        assert_eq!(told, ["start mfsmetalogger; mount MooseFS", "mount MooseFS"]);
    }

    #[test]
    fn before_cias_run_is_done_nothing_counts_as_gone() {
        use crate::site::{from_text, tests::example};
        let tree = crate::tree::Tree::from_text("/etc/hostname = n\n");
        let (site, log) = (from_text(&example()).unwrap(), Arc::new(Log::silent()));
        let watchman = Watchman { root: tree.root(), site, log, hurry: 1 };
        assert_eq!(watchman.look().unwrap(), [""; 0]);
    }
}
