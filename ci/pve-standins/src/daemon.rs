//! The stand-ins' way to run in the background: the program starts itself again in the foreground and waits for its word.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::args::Args;

const LOG: &str = "/var/log/pve-standins.log";
/// Tells the second process that the first waits.
const WAITED_FOR: &str = "PVE_STANDINS_WAITED_FOR";

/// Starts the daemon with `foreground` and waits until it serves; its exit code if it does not.
pub fn background(args: &Args, foreground: &str) -> Result<u8> {
    let log = OpenOptions::new().create(true).append(true).open(LOG);
    let mut child = Command::new(std::env::current_exe().context("finding the own program")?)
        .arg(&args.program)
        .arg(foreground)
        .args(&args.words)
        .env(WAITED_FOR, "1")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.map_or_else(|_| Stdio::null(), Stdio::from))
        .spawn()
        .context("starting the daemon")?;
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::new(output);
        output.read_line(&mut said).context("waiting for the daemon")?;
        if said == "ready\n" {
            return Ok(0);
        }
        output.read_to_string(&mut said).context("waiting for the daemon")?;
    }
    eprint!("{said}");
    let code = child.wait().context("waiting for the daemon")?.code();
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}

/// What tells the waiting process that all is well.
pub struct Ready(());

/// To be called early; the word is said later.
pub const fn ready() -> Ready {
    Ready(())
}

impl Ready {
    /// Says it.
    pub fn say(self) {
        let Self(()) = self;
        say("ready");
    }
}

fn say(text: &str) {
    let mut output = std::io::stdout();
    // Nobody may be there to read it.
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

/// An error before the daemon serves: to the waiting process, or to the person at the foreground.
pub fn fatal(text: &str) {
    if std::env::var_os(WAITED_FOR).is_some() {
        say(text);
    }
    crate::log(text);
}

/// The signals that end a daemon.
pub struct Signals(UnixStream);

/// Catches SIGTERM and SIGINT from now on.
pub fn signals() -> Result<Signals> {
    let (reader, writer) = UnixStream::pair().context("making a pair of sockets")?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let end = writer.try_clone().context("copying a socket")?;
        signal_hook::low_level::pipe::register(signal, end).context("catching signals")?;
    }
    Ok(Signals(reader))
}

impl Signals {
    /// Waits for one.
    pub fn wait(mut self) {
        let _ = self.0.read(&mut [0]);
    }
}
