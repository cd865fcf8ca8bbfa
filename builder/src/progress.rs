//! Progress on stderr: bars on a terminal, one plain line per finished phase elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

/// Shows phases.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    terminal: bool,
}

impl Progress {
    /// Bars if stderr is a terminal.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal() }
    }

    /// Starts a phase of `bytes` bytes.
    pub fn phase(self, name: &'static str, bytes: u64) -> Phase {
        let bar = if self.terminal {
            ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{msg:>8} [{bar:40}] {bytes}/{total_bytes} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(name);
        Phase { name, bar, started: Instant::now(), bytes: 0, plain: !self.terminal }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// A running phase.
#[derive(Debug)]
pub struct Phase {
    name: &'static str,
    bar: ProgressBar,
    started: Instant,
    bytes: u64,
    plain: bool,
}

impl Phase {
    /// A phase that shows nothing, for what is done beside another one.
    pub fn silent() -> Self {
        let (name, bar) = ("", ProgressBar::hidden());
        Self { name, bar, started: Instant::now(), bytes: 0, plain: false }
    }

    /// Counts `bytes` more.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.bar.set_position(self.bytes);
    }

    /// Ends the phase.
    pub fn done(self) {
        self.bar.finish_and_clear();
        if self.plain {
            let seconds = self.started.elapsed().as_secs_f32();
            eprintln!("{}: {:.1} MiB in {seconds:.1} s", self.name, mebibytes(self.bytes));
        }
    }
}

/// Bytes as MiB, for people.
pub fn mebibytes(bytes: u64) -> f64 {
    let tenths = bytes.saturating_mul(10) >> 20;
    f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
}
