//! Runs commands on this machine.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::table::{self, Row};
use super::{Call, Output, Runner};
use crate::failpoint;
use crate::outcome::Class;

/// How much of each stream is kept, in bytes; what comes after it is read and dropped, so that the command goes on.
pub const STREAM_LIMIT: usize = 4 << 20;

/// Runs commands on this machine and logs each as `op(N)`.
pub struct Host<'a> {
    table: Option<&'a [Row]>,
    log: Box<dyn Fn(&str) + Sync + Send + 'a>,
    count: AtomicUsize,
}

impl<'a> Host<'a> {
    /// A runner for the node side: calls outside [`table::TABLE`] are errors. `log` gets a line when a command starts
    /// and one when it ends.
    pub fn new(log: impl Fn(&str) + Sync + Send + 'a) -> Self {
        Self { table: Some(table::TABLE), log: Box::new(log), count: AtomicUsize::new(0) }
    }

    /// A runner for the build machine, where any program may be called.
    pub fn unchecked(log: impl Fn(&str) + Sync + Send + 'a) -> Self {
        Self { table: None, log: Box::new(log), count: AtomicUsize::new(0) }
    }
}

impl Runner for Host<'_> {
    fn outcome(&self, call: &Call) -> Result<Output> {
        if let Some(rows) = self.table {
            table::check(rows, call)?;
        }
        let op = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        (self.log)(&format!("op({op}) started: {}", call.line()));
        failpoint::hit(&format!("command {} before", call.program()));
        let result = execute(call, self.table);
        failpoint::hit(&format!("command {} after", call.program()));
        match &result {
            Ok(output) if output.code == 0 => (self.log)(&format!("op({op}) finished")),
            Ok(output) => {
                (self.log)(&format!("op({op}) exit code {}: {}", output.code, output.stderr.trim()));
            }
            Err(error) => (self.log)(&format!("op({op}) failed: {error:#}")),
        }
        result
    }
}

fn execute(call: &Call, rows: Option<&[Row]>) -> Result<Output> {
    let mut command = Command::new(&call.program);
    command
        .args(&call.args)
        .envs(call.env.iter().map(|(name, value)| (name, value)))
        .env("LC_ALL", "C")
        // An own process group, so that a command that outlives its limit goes with all its children.
        .process_group(0)
        .stdin(if call.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started(call, rows, &error))?;
    let (done, waiter) = mpsc::channel();
    let group = Pid::from_raw(i32::try_from(child.id()).context("reading a process id")?);
    thread::scope(|scope| {
        let collected = scope.spawn(move || {
            let result = feed_and_collect(&mut child, call.stdin.as_deref());
            // The receiver is gone only when the limit has passed and the group is being killed.
            let _ = done.send(());
            result
        });
        let late = waiter.recv_timeout(call.limit) == Err(mpsc::RecvTimeoutError::Timeout);
        if late {
            // The group may have ended at this very moment.
            let _ = killpg(group, Signal::SIGKILL);
        }
        let output = collected
            .join()
            .map_err(|_| anyhow::anyhow!("the thread that ran `{}` panicked", call.line()))?;
        if late {
            anyhow::bail!("`{}` did not end within {} s and was killed", call.line(), call.limit.as_secs());
        }
        output.with_context(|| format!("running `{}`", call.line()))
    })
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

fn feed_and_collect(child: &mut Child, stdin: Option<&[u8]>) -> Result<Output> {
    let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            if let (Some(mut pipe), Some(bytes)) = (input, stdin) {
                // A command that does not read all its input is judged by its exit code.
                let _ = pipe.write_all(bytes);
            }
        });
        let errors = scope.spawn(move || err.map_or(Ok(Vec::new()), read_bounded));
        let stdout = out.map_or(Ok(Vec::new()), read_bounded)?;
        let stderr = errors.join().map_err(|_| anyhow::anyhow!("reading standard error panicked"))??;
        let status = child.wait()?;
        Ok(Output {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    })
}

fn read_bounded(mut stream: impl Read) -> Result<Vec<u8>> {
    let mut kept = Vec::new();
    stream.by_ref().take(STREAM_LIMIT as u64).read_to_end(&mut kept)?;
    std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

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
        assert!(error.to_string().contains("was killed"), "{error:#}");
        assert!(start.elapsed() < Duration::from_secs(30));
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
