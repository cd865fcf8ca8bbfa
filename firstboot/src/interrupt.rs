//! Ctrl-C, SIGTERM and a lost terminal: heard here, honoured between two steps, and at once by a command that runs, so
//! that temporary files are removed. However many signals come, the program ends in one way.

use crate::outcome::Class;
use crate::runner::Stop;
use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::Read;
use std::os::unix::net::UnixStream;

/// Whether the user wants to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Stop);

impl Interrupt {
    /// Hears the signals from now on.
    pub fn install() -> Result<Self> {
        let installing = "installing a signal handler";
        let (mut hear, tell) = UnixStream::pair().context(installing)?;
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            // `nohup` has us ignore a lost terminal.
            if signal == SIGHUP && is_ignored(signal) {
                continue;
            }
            let tell = tell.try_clone().context(installing)?;
            signal_hook::low_level::pipe::register(signal, tell).context(installing)?;
        }
        let stop = Stop::default();
        let asked = stop.clone();
        std::thread::spawn(move || {
            while matches!(hear.read(&mut [0]), Ok(1..)) {
                asked.ask();
            }
        });
        Ok(Self(stop))
    }

    /// Fails if the user wants to stop.
    pub fn check(&self) -> Result<()> {
        if self.0.asked() {
            return Err(Class::Interrupted.error("interrupted; nothing was left behind"));
        }
        Ok(())
    }

    /// The same for commands.
    pub fn stop(&self) -> &Stop {
        &self.0
    }
}

/// Whether this process was started with `signal` ignored. Source: proc(5), `SigIgn`.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (signal - 1) & 1 == 1
}
