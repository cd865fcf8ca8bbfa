//! Follows a decision beside the agent, which must go on speaking meanwhile: a founder that falls silent is replaced.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::arrive::{Ended, arrive, leave};
use super::clock;
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
    /// What a node does that was removed from its cluster.
    Leave,
}

/// What is at work.
pub struct Errand {
    ended: Receiver<Ended>,
    stop: Stop,
}

impl Errand {
    /// Starts it. `wake` gets a byte when it has ended.
    pub fn start(task: Task, root: &Sysroot, log: &Arc<Log>, mut wake: UnixStream) -> Self {
        let (tell, ended) = channel();
        let stop = Stop::default();
        let (log, root, asked) = (log.clone(), root.clone(), stop.clone());
        std::thread::spawn(move || {
            let host = Host::new(|line| log.note(line)).stopped_by(&asked);
            // Nobody listens any more only if the agent ends.
            let system = System { root, runner: &host, log: &log };
            let ended = match task {
                Task::Arrive { stepped } => {
                    if stepped {
                        clock::keep(&system);
                    }
                    arrive(&system)
                }
                Task::Leave => leave(&system),
            };
            let _ = tell.send(ended);
            let _ = std::io::Write::write_all(&mut wake, b"x");
        });
        Self { ended, stop }
    }

    /// Ends it before its time.
    pub fn stop(&self) {
        self.stop.ask();
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
