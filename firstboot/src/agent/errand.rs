//! Follows a decision beside the agent, which must go on speaking meanwhile: a founder that falls silent is replaced.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread::JoinHandle;

use super::arrive::{Ended, arrive, leave, provision};
use super::clock;
use super::withdraw::withdraw;
use crate::log::Log;
use crate::runner::{Host, Stop};
use crate::system::{Sysroot, System};

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// All that follows from a decision; `stepped` is whether the clock was set.
    Arrive {
        /// The hardware's clock is to follow.
        stepped: bool,
    },
    /// What `cias run` does at each boot.
    Mend,
    /// What a node does that was removed from its cluster.
    Leave,
    /// What a founder does that has stopped for another one.
    Withdraw,
}

/// What is at work.
pub struct Errand {
    ended: Receiver<Ended>,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Errand {
    /// Starts it once the one `before` has ended, which is stopped. `wake` gets a byte when it has ended.
    pub fn start(task: Task, before: Option<Self>, root: &Sysroot, log: &Arc<Log>, wake: UnixStream) -> Self {
        let (log, root) = (log.clone(), root.clone());
        Self::begin(before, wake, move |asked| {
            let host = Host::new(|line| log.note(line)).stopped_by(asked);
            let system = System { root, runner: &host, log: &log };
            match task {
                Task::Arrive { stepped } => {
                    if stepped {
                        clock::keep(&system);
                    }
                    arrive(&system)
                }
                Task::Mend => provision(&system),
                Task::Leave => leave(&system),
                Task::Withdraw => withdraw(&system),
            }
        })
    }

    fn begin(
        before: Option<Self>,
        mut wake: UnixStream,
        deed: impl FnOnce(&Stop) -> Ended + Send + 'static,
    ) -> Self {
        let (tell, ended) = channel();
        let stop = Stop::default();
        let asked = stop.clone();
        let thread = std::thread::spawn(move || {
            if let Some(before) = before {
                before.finish();
            }
            // Nobody listens any more only if the agent ends.
            let _ = tell.send(deed(&asked));
            let _ = std::io::Write::write_all(&mut wake, b"x");
        });
        Self { ended, stop, thread }
    }

    /// Ends it before its time.
    pub fn stop(&self) {
        self.stop.ask();
    }

    /// Ends it before its time, and waits until it has ended, which takes seconds: its command is killed.
    fn finish(self) {
        self.stop();
        // One that panicked has ended, too.
        let _ = self.thread.join();
    }

    /// What became of it, once it has ended.
    pub fn ended(&self) -> Option<Ended> {
        match self.ended.try_recv() {
            Ok(ended) => Some(ended),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Ended::Failed("it ended without a word".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::RecvTimeoutError;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_follows_begins_when_what_was_before_has_ended() {
        let (wake, _other) = UnixStream::pair().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let say = |what: &'static str| {
            let said = said.clone();
            move || said.lock().unwrap().push(what)
        };
        let end = say("the first ends");
        let (tell, told) = channel();
        let first = Errand::begin(None, wake.try_clone().unwrap(), move |stop| {
            assert!(stop.rest(Duration::from_mins(1)), "nobody stopped it");
            // Whoever does not wait for it is faster.
            assert_eq!(told.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout));
            end();
            Ended::Failed("stopped".to_owned())
        });
        let begin = say("the second begins");
        let second = Errand::begin(Some(first), wake, move |_| {
            // The first has ended, so that nobody listens.
            let _ = tell.send(());
            begin();
            Ended::Left
        });
        second.thread.join().unwrap();
        assert_eq!(*said.lock().unwrap(), ["the first ends", "the second begins"]);
        assert!(matches!(second.ended.recv(), Ok(Ended::Left)));
    }
}
