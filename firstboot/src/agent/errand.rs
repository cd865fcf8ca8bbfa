//! Runs `cias run` beside the agent, which must go on speaking meanwhile: a founder that falls silent is replaced.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::log::Log;
use crate::outcome::Class;
use crate::runner::{Call, Host, Output, Runner, Stop};
use crate::system::Sysroot;

/// Many and large disks are formatted in it.
const LIMIT: Duration = Duration::from_hours(24);

/// A `cias run` that is at work.
pub struct Errand {
    ended: Receiver<Result<Output>>,
    stop: Stop,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All steps are done.
    Done,
    /// It is too early, or another one is at work.
    TryLater(String),
    /// It failed; a person must look.
    Failed(String),
}

impl Errand {
    /// Starts it. `wake` gets a byte when it has ended.
    pub fn start(root: &Sysroot, log: &Arc<Log>, mut wake: UnixStream) -> Self {
        let (tell, ended) = channel();
        let stop = Stop::default();
        let (log, root, asked) = (log.clone(), root.clone(), stop.clone());
        std::thread::spawn(move || {
            let host = Host::new(|line| log.note(line)).stopped_by(&asked);
            // Nobody listens any more only if the agent ends.
            let _ = tell.send(host.outcome(&call(&root)));
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
            Ok(result) => Some(judge(result)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Ended::Failed("it ended without a word".to_owned())),
        }
    }
}

/// The program finds itself by its name, as everything else does.
fn call(root: &Sysroot) -> Call {
    let call = Call::new("cias-firstboot").limit(LIMIT);
    let call =
        if root.is_machine() { call } else { call.arg("--root").arg(root.path("/").display().to_string()) };
    call.arg("run")
}

fn judge(result: Result<Output>) -> Ended {
    let output = match result.context("running it") {
        Ok(output) => output,
        Err(error) => return Ended::Failed(format!("{error:#}")),
    };
    // Its last line is the error.
    let last = output.stderr.lines().last().unwrap_or_default();
    let sentence = last.strip_prefix("error: ").unwrap_or(last).to_owned();
    match output.code {
        0 => Ended::Done,
        code if code == Class::TryLater as i32 => Ended::TryLater(sentence),
        code => Ended::Failed(format!("exit code {code}: {sentence}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_and_the_last_line_tell_what_became_of_it() {
        let output = |code, stderr: &str| Ok(Output { code, stdout: String::new(), stderr: stderr.into() });
        for (result, wanted) in [
            (output(0, "cias: step 1\n"), Ended::Done),
            (output(6, "cias: step 1\nerror: too early\n"), Ended::TryLater("too early".into())),
            (output(5, "error: no\n"), Ended::Failed("exit code 5: no".into())),
            (output(137, ""), Ended::Failed("exit code 137: ".into())),
            (Err(anyhow::anyhow!("gone")), Ended::Failed("running it: gone".into())),
        ] {
            assert_eq!(judge(result), wanted);
        }
    }

    #[test]
    fn only_a_test_names_a_root() {
        assert_eq!(call(&Sysroot::default()).line(), "cias-firstboot run");
        assert_eq!(call(&Sysroot::new("/tmp/x")).line(), "cias-firstboot --root /tmp/x/ run");
    }
}
