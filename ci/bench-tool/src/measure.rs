//! Runs one command and measures it as a whole process.
//!
//! The kernel keeps the peak memory of finished children as one maximum for the whole parent, and a child starts with
//! its parent's. So every measured command gets a parent of its own: this program once more, small and with one child.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// What one run took.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Run {
    /// From its start to its end, in seconds.
    pub seconds: f64,
    /// Processor time of the command and of all that it waited for, in seconds.
    pub cpu: f64,
    /// Peak resident memory of the command or the largest process that it waited for, in bytes.
    pub peak: u64,
    /// Exit code, or -1 after a signal.
    pub code: i32,
}

/// Runs `command` as this process's only child, without its output, and prints the figures as JSON.
pub fn child(command: &[String]) -> Result<()> {
    let (program, args) = command.split_first().context("reading the command to measure")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status().with_context(|| format!("starting {program}"))?;
    let seconds = started.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("reading the command's memory")?;
    // Linux counts in KiB: getrusage(2).
    let peak = u64::try_from(usage.max_rss()).context("reading the command's memory")? * 1024;
    let cpu = [usage.user_time(), usage.system_time()].map(|time| {
        #[allow(clippy::cast_precision_loss, reason = "microseconds of a run stay far below 2^53")]
        let seconds = time.num_microseconds() as f64 / 1e6;
        seconds
    });
    let run = Run { seconds, cpu: cpu.iter().sum(), peak, code: status.code().unwrap_or(-1) };
    println!("{}", serde_json::to_string(&run).context("writing the figures")?);
    Ok(())
}

/// Measures `program` with `args`; any exit code but 0 is an error that ends with what the command said.
pub fn run(program: &Path, args: &[&str]) -> Result<Run> {
    let own = std::env::current_exe().context("finding this program")?;
    let shown = format!("{} {}", program.display(), args.join(" "));
    let output = Command::new(own)
        .args(["measure", "--"])
        .arg(program)
        .args(args)
        .output()
        .with_context(|| format!("measuring `{shown}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("measuring `{shown}`: {}", said.trim());
    }
    let run: Run = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("reading the figures of `{shown}`"))?;
    if run.code != 0 {
        bail!("`{shown}` ended with exit code {}: {}", run.code, said.trim());
    }
    Ok(run)
}
