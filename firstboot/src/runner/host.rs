//! Runs commands on this machine.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::table::{self, Row};
use super::{Call, Conversation, Output, Runner, Stop, conversation};
use crate::failpoint;
use crate::outcome::Class;

/// How much of each stream is kept, in bytes; what comes after it is read and dropped, so that the command goes on.
pub const STREAM_LIMIT: usize = 4 << 20;

/// How long to wait for the streams of a command that has ended; only a daemon that it left behind keeps them open.
const DAEMON_GRACE: Duration = Duration::from_secs(1);

/// Runs commands on this machine and logs each as `op(N)`.
pub struct Host<'a> {
    table: Option<&'a [Row]>,
    log: Box<dyn Fn(&str) + Sync + Send + 'a>,
    count: AtomicUsize,
    stop: Stop,
}

impl<'a> Host<'a> {
    /// A runner for the node side: calls outside [`table::TABLE`] are errors. `log` gets a line when a command starts
    /// and one when it ends.
    pub fn new(log: impl Fn(&str) + Sync + Send + 'a) -> Self {
        Self {
            table: Some(table::TABLE),
            log: Box::new(log),
            count: AtomicUsize::new(0),
            stop: Stop::default(),
        }
    }

    /// The same runner, whose commands are killed when `stop` is asked for.
    #[must_use]
    pub fn stopped_by(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// What comes before each command; returns its number.
    fn begin(&self, call: &Call) -> Result<usize> {
        if let Some(rows) = self.table {
            table::check(rows, call)?;
        }
        let op = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        (self.log)(&format!("op({op}) started: {}", call.line()));
        failpoint::hit(&format!("command {} before", call.program()));
        Ok(op)
    }

    /// A runner for the build machine, where any program may be called.
    pub fn unchecked(log: impl Fn(&str) + Sync + Send + 'a) -> Self {
        Self { table: None, log: Box::new(log), count: AtomicUsize::new(0), stop: Stop::default() }
    }
}

impl Runner for Host<'_> {
    fn outcome(&self, call: &Call) -> Result<Output> {
        let op = self.begin(call)?;
        let result = execute(call, self.table, &self.stop);
        failpoint::hit(&format!("command {} after", call.program()));
        match &result {
            Ok(output) if output.code == 0 => (self.log)(&format!("op({op}) finished")),
            Ok(output) => {
                (self.log)(&format!("op({op}) exit code {}: {}", output.code, output.complaint()));
            }
            Err(error) => (self.log)(&format!("op({op}) failed: {error:#}")),
        }
        result
    }

    fn converse(&self, call: &Call) -> Result<Conversation> {
        let op = self.begin(call)?;
        let child = start(call, self.table, Stdio::piped());
        failpoint::hit(&format!("command {} after", call.program()));
        let conversation = child.and_then(|child| conversation::hold(child, call, &self.stop));
        if let Err(error) = &conversation {
            (self.log)(&format!("op({op}) failed: {error:#}"));
        }
        conversation
    }

    fn rest(&self, pause: Duration) -> Result<()> {
        if self.stop.rest(pause) { Err(interrupted()) } else { Ok(()) }
    }
}

/// What a command says that was ended because we are asked to stop.
fn interrupted() -> anyhow::Error {
    Class::Interrupted.error("it was interrupted")
}

/// What a command says that was ended by [`Call::until`].
pub(super) fn needless(why: &str) -> anyhow::Error {
    anyhow::anyhow!("it was killed, because {why}")
}

fn execute(call: &Call, rows: Option<&[Row]>, stop: &Stop) -> Result<Output> {
    let stdin = if call.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
    let child = start(call, rows, stdin)?;
    collect(child, call, stop).with_context(|| format!("running `{}`", call.line()))
}

fn start(call: &Call, rows: Option<&[Row]>, stdin: Stdio) -> Result<Child> {
    let mut command = Command::new(&call.program);
    command
        .args(&call.args)
        .envs(call.env.iter().map(|(name, value)| (name, value)))
        .env("LC_ALL", "C")
        // An own process group, so that a command that outlives its limit goes with all its children.
        .process_group(0)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(folder) = call.folder {
        command.current_dir(folder);
    }
    command.spawn().map_err(|error| not_started(call, rows, &error))
}

fn not_started(call: &Call, rows: Option<&[Row]>, error: &std::io::Error) -> anyhow::Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        let package = rows
            .and_then(|rows| rows.iter().find(|row| row.program == call.program()))
            .map_or(String::new(), |row| format!("; install the package {}", row.package));
        return Class::MissingTool.error(format!("the program {} is not installed{package}", call.program));
    }
    anyhow::anyhow!("starting `{}`: {error}", call.line())
}

/// What the threads around a command report.
pub(super) enum Event {
    Ended(std::io::Result<ExitStatus>),
    StreamClosed,
    /// It is to end, for this reason.
    Stop(anyhow::Error),
    /// A conversation is over for us.
    EndAsked,
}

/// Feeds the command and gathers its streams until it ends. The threads are not joined: a daemon that the command left
/// behind may hold the streams open for ever.
fn collect(mut child: Child, call: &Call, stop: &Stop) -> Result<Output> {
    let group = Pid::from_raw(i32::try_from(child.id()).context("reading its process id")?);
    let (report, events) = mpsc::channel();
    if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), call.stdin.clone()) {
        // A command that does not read all its input is judged by its exit code.
        thread::spawn(move || drop(pipe.write_all(&bytes)));
    }
    let stdout = gather(child.stdout.take(), report.clone());
    let stderr = gather(child.stderr.take(), report.clone());
    hear_stops(call, stop, &report);
    thread::spawn(move || drop(report.send(Event::Ended(child.wait()))));

    let end = Instant::now() + call.limit;
    let (mut status, mut open) = (None, 2);
    while status.is_none() {
        match events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Event::Ended(ended)) => status = Some(ended?),
            Ok(Event::StreamClosed) => open -= 1,
            Ok(Event::Stop(why)) => {
                kill(group, &events, call.grace);
                return Err(why);
            }
            Ok(Event::EndAsked) => {}
            Err(_) => {
                kill(group, &events, call.grace);
                anyhow::bail!("it did not end within {} s and was killed", call.limit.as_secs());
            }
        }
    }
    while open > 0 && events.recv_timeout(DAEMON_GRACE).is_ok() {
        open -= 1;
    }
    Ok(Output { code: status.map_or(-1, code), stdout: text(&stdout), stderr: text(&stderr) })
}

/// Has it reported when a command is to end before its time.
pub(super) fn hear_stops(call: &Call, stop: &Stop, report: &mpsc::Sender<Event>) {
    // Nobody listens any more only if the call has ended or has already given up on the command.
    let hear = |stop: &Stop, why: anyhow::Error| {
        let report = report.clone();
        stop.when_asked(move || drop(report.send(Event::Stop(why))));
    };
    hear(stop, interrupted());
    if let Some((gone, why)) = &call.until {
        hear(gone, needless(why));
    }
}

/// The exit code as a shell has it.
pub(super) fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// What was gathered so far.
pub(super) fn text(kept: &Mutex<Vec<u8>>) -> String {
    let bytes = kept.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Kills a command with its children and waits until it is gone, so that it writes nothing after us.
pub(super) fn kill(group: Pid, events: &mpsc::Receiver<Event>, grace: Duration) {
    // The group may have ended at this very moment.
    let _ = killpg(group, Signal::SIGKILL);
    let end = Instant::now() + grace;
    while !matches!(
        events.recv_timeout(end.saturating_duration_since(Instant::now())),
        Ok(Event::Ended(_)) | Err(_)
    ) {}
}

/// Keeps the first [`STREAM_LIMIT`] bytes of a stream and drops the rest, so that the command goes on.
pub(super) fn gather(
    mut stream: Option<impl Read + Send + 'static>,
    report: mpsc::Sender<Event>,
) -> Arc<Mutex<Vec<u8>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let buffer = Arc::clone(&kept);
    thread::spawn(move || {
        let mut chunk = [0; 8192];
        while let Some(stream) = stream.as_mut() {
            match stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
                    let room = STREAM_LIMIT - buffer.len();
                    buffer.extend_from_slice(&chunk[..count.min(room)]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        // As above: nobody may be listening any more.
        drop(report.send(Event::StreamClosed));
    });
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_both_streams_and_feeds_standard_input() {
        let call = Call::new("sh").args(["-c", "cat; echo two >&2; exit 7"]).stdin("one");
        let output = Host::unchecked(|_| ()).outcome(&call).unwrap();
        assert_eq!(output, Output { code: 7, stdout: "one".into(), stderr: "two\n".into() });
    }

    #[test]
    fn an_exit_code_is_an_error_with_the_end_of_standard_error() {
        let error = Host::unchecked(|_| ())
            .run(&Call::new("sh").args(["-c", "echo no such disk >&2; exit 3"]))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c 'echo no such disk >&2; exit 3'` ended with exit code 3: no such disk"
        );
    }

    #[test]
    fn a_hanging_command_is_killed_with_its_children() {
        let start = Instant::now();
        let call = Call::new("sh").args(["-c", "sleep 60 & wait"]).limit(Duration::from_millis(200));
        let error = Host::unchecked(|_| ()).run(&call).unwrap_err();
        assert!(format!("{error:#}").contains("was killed"), "{error:#}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_command_that_is_asked_to_stop_is_killed_with_its_children_and_gone() {
        let stop = Stop::default();
        let host = Host::unchecked(|_| ()).stopped_by(&stop);
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("pid");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let line = format!("sh -c 'echo $$ >{}; sleep 60' & wait", fifo.display());
        let call = Call::new("sh").args(["-c", &line]);
        let child = thread::scope(|scope| {
            let running = scope.spawn(|| host.outcome(&call).unwrap_err());
            let child: i32 = std::fs::read_to_string(&fifo).unwrap().trim().parse().unwrap();
            stop.ask();
            assert_eq!(Class::of(&running.join().unwrap()), Class::Interrupted);
            child
        });
        // The signal is on its way to the whole group; only the command itself was waited for.
        let end = Instant::now() + Duration::from_secs(30);
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        while !(state().is_empty() || state().contains(") Z ")) {
            assert!(Instant::now() < end, "{}", state());
            thread::yield_now();
        }
        assert_eq!(Class::of(&host.outcome(&Call::new("true")).unwrap_err()), Class::Interrupted);
    }

    #[test]
    fn a_command_ends_with_the_conversation_that_it_belongs_to() {
        let host = Host::unchecked(|_| ());
        let conversation = host.converse(&Call::new("sh").args(["-c", "read word; exit 3"])).unwrap();
        let call = Call::new("sleep").arg("60").until(conversation.gone(), "nobody listens");
        thread::scope(|scope| {
            let running = scope.spawn(|| host.outcome(&call).unwrap_err());
            assert_eq!(conversation.end().unwrap().code, 3);
            let error = running.join().unwrap();
            assert_eq!(Class::of(&error), Class::Failed);
            assert!(
                format!("{error:#}").contains("`sleep 60`: it was killed, because nobody listens"),
                "{error:#}"
            );
        });
        assert!(host.outcome(&call).is_err());
    }

    #[test]
    fn a_daemon_left_behind_does_not_hold_the_call_up() {
        let start = Instant::now();
        let call = Call::new("sh").args(["-c", "echo started; sleep 20 & echo $! >&2"]);
        let output = Host::unchecked(|_| ()).run(&call).unwrap();
        assert_eq!(output.stdout, "started\n");
        assert!(start.elapsed() < Duration::from_secs(15));
        let daemon = Pid::from_raw(output.complaint().parse().unwrap());
        nix::sys::signal::kill(daemon, Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_missing_program_has_its_own_class() {
        let error = Host::unchecked(|_| ()).run(&Call::new("/nowhere/at-all")).unwrap_err();
        assert_eq!(Class::of(&error), Class::MissingTool);
    }

    #[test]
    fn a_call_outside_the_table_is_not_run() {
        let error = Host::new(|_| ()).run(&Call::new("lsblk").arg("--json")).unwrap_err();
        assert!(error.to_string().contains("lsblk"), "{error:#}");
    }
}
