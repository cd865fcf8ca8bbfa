//! The one way to run a command.
//!
//! Every call goes through [`Runner`], so that a test can record instead of run, and through the [`table`] of
//! programs and options that the target has: a call outside it is an error, also in a test.

mod conversation;
#[cfg(test)]
pub(crate) mod fake;
mod host;
mod stop;
pub mod table;

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Result;

pub use conversation::Conversation;
pub use host::Host;
pub use stop::Stop;

/// How long a command may take when a call says nothing else.
pub const DEFAULT_LIMIT: Duration = Duration::from_mins(2);

/// How long a killed command may take to be gone. Longer takes only one that the kernel does not let go of.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// One command: program, arguments, standard input and time limit. Secrets go to standard input, which is never
/// logged, and never into an argument.
#[derive(Clone, Debug)]
pub struct Call {
    program: String,
    args: Vec<String>,
    stdin: Option<Vec<u8>>,
    limit: Duration,
    grace: Duration,
    env: Vec<(String, OsString)>,
    folder: Option<&'static str>,
    until: Option<(Stop, &'static str)>,
}

impl Call {
    /// A call of `program`, looked up in `PATH` unless it holds a slash.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            stdin: None,
            limit: DEFAULT_LIMIT,
            grace: KILL_GRACE,
            env: Vec::new(),
            folder: None,
            until: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The same call with another program in front of it, as `ip netns exec NAME` or `chroot DIR`.
    #[must_use]
    pub fn behind(&self, program: &str, args: &[String]) -> Self {
        let args = args.iter().chain([&self.program]).chain(&self.args).cloned().collect();
        Self { program: program.to_owned(), args, ..self.clone() }
    }

    /// Gives the command `bytes` on standard input instead of nothing.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Kills the command and its children after `limit`.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Waits no longer than `grace` until a command that was killed is gone; by default that is long enough for all that the kernel lets go of.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets a variable of the command's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts the command in `folder` instead of ours.
    #[must_use]
    pub fn inside(mut self, folder: &'static str) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Kills the command and its children once `gone` is asked for, and has its error say `why`.
    #[must_use]
    pub fn until(mut self, gone: Stop, why: &'static str) -> Self {
        self.until = Some((gone, why));
        self
    }

    /// The program's name without its folder.
    pub fn program(&self) -> &str {
        self.program.rsplit('/').next().unwrap_or(&self.program)
    }

    /// The arguments.
    pub fn arguments(&self) -> &[String] {
        &self.args
    }

    /// The whole line as a shell would take it, for logs and errors.
    pub fn line(&self) -> String {
        let mut line = self.program.clone();
        for arg in &self.args {
            let plain =
                !arg.is_empty() && arg.chars().all(|c| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c));
            line.push(' ');
            if plain {
                line.push_str(arg);
            } else {
                line.push('\'');
                line.push_str(&arg.replace('\'', r"'\''"));
                line.push('\'');
            }
        }
        line
    }
}

/// What a finished command left: its exit code and both streams, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The exit code, or 128 + N after signal N.
    pub code: i32,
    /// Standard output, at most [`host::STREAM_LIMIT`] bytes, with invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error, at most [`host::STREAM_LIMIT`] bytes, with invalid UTF-8 replaced.
    pub stderr: String,
}

impl Output {
    /// The last KiB of standard error on one line, for errors and logs.
    pub fn complaint(&self) -> String {
        let text = self.stderr.trim_end();
        let start = text.char_indices().rev().take(1024).last().map_or(0, |(at, _)| at);
        text[start..].replace('\n', "; ")
    }
}

impl Output {
    /// What went wrong, in words: nothing after exit code 0, else [`Output::complaint`], or the exit code if there is none.
    pub fn failure(&self) -> String {
        match (self.code, self.complaint()) {
            (0, _) => String::new(),
            (code, complaint) if complaint.is_empty() => format!("exit code {code}"),
            (_, complaint) => complaint,
        }
    }
}

/// Runs commands. Standard input is empty unless the call gives some; both other streams are kept and not shown.
pub trait Runner: Sync {
    /// Runs the call and returns its output whatever its exit code is. An error means that it could not be run,
    /// or ran longer than its limit.
    fn outcome(&self, call: &Call) -> Result<Output>;

    /// Starts the call and answers while it runs, for a program that speaks with us; its limit holds for all of it.
    fn converse(&self, call: &Call) -> Result<Conversation> {
        anyhow::bail!("`{}` cannot be spoken with here", call.line())
    }

    /// Waits for `pause`. An error means that we were asked to stop.
    fn rest(&self, pause: Duration) -> Result<()> {
        std::thread::sleep(pause);
        Ok(())
    }

    /// Runs the call and returns its output; any exit code but 0 is an error that ends with the last KiB of
    /// its standard error.
    fn run(&self, call: &Call) -> Result<Output> {
        let output = self.outcome(call)?;
        if output.code != 0 {
            anyhow::bail!("`{}` ended with exit code {}: {}", call.line(), output.code, output.complaint());
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_records_and_answers_and_keeps_to_the_table() {
        let fake =
            fake::Fake::default().prints("ethtool -P eth0", "Permanent address").fails("ethtool", 71, "no");
        assert_eq!(fake.run(&Call::new("ethtool").args(["-P", "eth0"])).unwrap().stdout, "Permanent address");
        assert_eq!(fake.outcome(&Call::new("ethtool").args(["-P", "eth1"])).unwrap().code, 71);
        assert!(fake.run(&Call::new("findmnt").arg("-J")).is_err());
        assert_eq!(fake.lines(), ["ethtool -P eth0", "ethtool -P eth1"]);
    }

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let call = Call::new("/sbin/mkfs.ext3").args(["-L", "it's", "", "/dev/vdb"]);
        assert_eq!(call.line(), r"/sbin/mkfs.ext3 -L 'it'\''s' '' /dev/vdb");
        assert_eq!(call.program(), "mkfs.ext3");
    }
}
