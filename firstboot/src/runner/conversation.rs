//! A command that is spoken with while it runs.

use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::unistd::Pid;

use super::host::{Event, code, gather, hear_stops, kill, text};
use super::{Call, KILL_GRACE, Output, Stop};

/// How long a command may take to end once nobody speaks with it any more.
const GRACE: Duration = Duration::from_secs(5);

/// Ends a command and tells what it left.
type End = Box<dyn FnOnce() -> Result<Output> + Send>;

/// A running command, its standard input and its standard output. It is killed with its children when its limit is over, when we are
/// asked to stop, and when this is dropped; its output then ends.
pub struct Conversation {
    input: Option<Box<dyn Write + Send>>,
    output: Box<dyn BufRead + Send>,
    gone: Stop,
    end: Option<End>,
}

impl Conversation {
    /// With a command whose input and output are these; `gone` is asked for when it has ended, and `end` ends it.
    pub(super) fn new(
        input: impl Write + Send + 'static,
        output: impl BufRead + Send + 'static,
        gone: Stop,
        end: impl FnOnce() -> Result<Output> + Send + 'static,
    ) -> Self {
        Self { input: Some(Box::new(input)), output: Box::new(output), gone, end: Some(Box::new(end)) }
    }

    /// Where it is told something.
    pub fn input(&mut self) -> impl Write {
        self.input
            .as_mut()
            .map_or_else(|| Box::new(std::io::sink()) as Box<dyn Write + '_>, |input| Box::new(input))
    }

    /// Where it is heard.
    pub fn output(&mut self) -> impl BufRead {
        &mut self.output
    }

    /// Is asked for once the command has ended, for what is to end with it.
    pub fn gone(&self) -> Stop {
        self.gone.clone()
    }

    /// Ends it and returns its exit code and standard error. An error means that it had to be killed because its limit was over or we
    /// are asked to stop.
    pub fn end(mut self) -> Result<Output> {
        self.finish()
    }

    fn finish(&mut self) -> Result<Output> {
        self.input = None;
        self.end.take().map_or_else(|| Ok(Output::default()), |end| end())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // Whoever wants to know calls `end`.
        let _ = self.finish();
    }
}

/// The conversation with `child`.
pub(super) fn hold(mut child: Child, call: &Call, stop: &Stop) -> Result<Conversation> {
    let group = Pid::from_raw(i32::try_from(child.id()).context("reading its process id")?);
    let input = child.stdin.take().context("taking its standard input")?;
    let output = child.stdout.take().context("taking its standard output")?;
    let (report, events) = mpsc::channel();
    let stderr = gather(child.stderr.take(), report.clone());
    hear_stops(call, stop, &report);
    let ended = report.clone();
    thread::spawn(move || drop(ended.send(Event::Ended(child.wait()))));
    let (line, limit) = (call.line(), call.limit);
    let gone = Stop::default();
    let tell = gone.clone();
    let guard = thread::spawn(move || {
        let code = guard(group, &events, limit);
        tell.ask();
        code
    });
    Ok(Conversation::new(input, BufReader::new(output), gone, move || {
        drop(report.send(Event::EndAsked));
        let code = guard.join().map_err(|_| anyhow::anyhow!("the thread beside it panicked"));
        let code = code.flatten().with_context(|| format!("running `{line}`"))?;
        Ok(Output { code, stdout: String::new(), stderr: text(&stderr) })
    }))
}

/// Waits until it ends, and ends it before that if it must.
fn guard(group: Pid, events: &mpsc::Receiver<Event>, limit: Duration) -> Result<i32> {
    let (mut end, mut is_over, mut is_closed) = (Instant::now() + limit, false, false);
    loop {
        match events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Event::Ended(status)) => {
                // What it said last may still be on its way; whatever it left running may keep the stream open.
                while !is_closed
                    && matches!(events.recv_timeout(GRACE), Ok(event) if !matches!(event, Event::StreamClosed))
                {
                }
                return Ok(code(status?));
            }
            Ok(Event::StreamClosed) => is_closed = true,
            Ok(Event::EndAsked) => {
                is_over = true;
                end = end.min(Instant::now() + GRACE);
            }
            Ok(Event::Stop(why)) => {
                kill(group, events, KILL_GRACE);
                return Err(why);
            }
            Err(_) => {
                kill(group, events, KILL_GRACE);
                anyhow::ensure!(is_over, "it did not end within {} s and was killed", limit.as_secs());
                return Ok(128 + nix::sys::signal::Signal::SIGKILL as i32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Host, Runner};
    use super::*;
    use crate::outcome::Class;

    fn shell(script: &str) -> Call {
        Call::new("sh").args(["-c", script])
    }

    fn hear(conversation: &mut Conversation) -> String {
        let mut line = String::new();
        conversation.output().read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn what_is_said_is_answered_and_the_end_tells_the_exit_code() {
        let host = Host::unchecked(|_| ());
        let script = "while read word; do echo \"$word?\"; done; echo bye >&2; exit 7";
        let mut conversation = host.converse(&shell(script)).unwrap();
        for word in ["one", "two"] {
            writeln!(conversation.input(), "{word}").unwrap();
            assert_eq!(hear(&mut conversation), format!("{word}?\n"));
        }
        let output = conversation.end().unwrap();
        assert_eq!((output.code, output.complaint().as_str()), (7, "bye"));
    }

    #[test]
    fn a_limit_or_a_stop_ends_it_and_so_its_output() {
        let host = Host::unchecked(|_| ());
        let call = shell("sleep 60").limit(Duration::from_millis(200));
        let mut conversation = host.converse(&call).unwrap();
        assert_eq!(hear(&mut conversation), "");
        assert!(format!("{:#}", conversation.end().unwrap_err()).contains("was killed"));

        let stop = Stop::default();
        let host = Host::unchecked(|_| ()).stopped_by(&stop);
        let mut conversation = host.converse(&shell("sleep 60")).unwrap();
        stop.ask();
        assert_eq!(hear(&mut conversation), "");
        assert_eq!(Class::of(&conversation.end().unwrap_err()), Class::Interrupted);
        assert_eq!(Class::of(&host.rest(Duration::from_mins(1)).unwrap_err()), Class::Interrupted);
    }

    #[test]
    fn dropped_it_is_gone() {
        let host = Host::unchecked(|_| ());
        let mut conversation = host.converse(&shell("echo $$; exec cat")).unwrap();
        let pid = hear(&mut conversation);
        drop(conversation);
        assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists());
    }
}
