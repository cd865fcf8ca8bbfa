//! The results as text, as JSON and as docs/benchmarks.md, with the machine that they are from.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cias_builder::progress::mebibytes;
use cias_firstboot::files;
use serde::Serialize;

use crate::line::Line;
use crate::loops::run;

/// How it is measured; the rest of docs/benchmarks.md.
const METHOD: &str = include_str!("method.md");

/// All results.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The machine, one fact for each name.
    pub machine: Vec<(&'static str, String)>,
    /// The results in their order.
    pub lines: Vec<Line>,
}

/// What the results depend on.
pub fn machine(work: &Path) -> Result<Vec<(&'static str, String)>> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("reading {path}"));
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key));
        line.and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let (cpu, memory) = (read("/proc/cpuinfo")?, read("/proc/meminfo")?);
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let flags = value(&cpu, "flags");
    let sha = if flags.split(' ').any(|flag| flag == "sha_ni") { "with" } else { "without" };
    let kib: u64 =
        value(&memory, "MemTotal").split(' ').next().unwrap_or_default().parse().unwrap_or_default();
    let kind = run("stat", &["--file-system", "--format", "%T", &work.to_string_lossy()])?;
    let version = |package: &str| run("dpkg-query", &["-W", "-f", "${Version}", package]);
    Ok(vec![
        ("date", run("date", &["--utc", "+%Y-%m-%d"])?.trim().to_owned()),
        ("processor", format!("{}, {cores} cores, {sha} SHA extensions", value(&cpu, "model name"))),
        ("memory", format!("{:.1} GiB", mebibytes(kib * 1024) / 1024.0)),
        ("load average before (1, 5 and 15 minutes)", load()?),
        ("kernel", read("/proc/sys/kernel/osrelease")?.trim().to_owned()),
        ("file system of the work folder", kind.trim().to_owned()),
        ("xorriso", version("xorriso")?),
        ("e2fsprogs", version("e2fsprogs")?),
    ])
}

/// What else ran in the last minutes, in processes that wanted a processor.
pub fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg").context("reading /proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(", "))
}

impl Report {
    /// The results as JSON.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self).context("writing JSON")? + "\n")
    }

    /// Writes docs/benchmarks.md.
    pub fn write_docs(&self, path: &Path) -> Result<()> {
        files::write(path, self.markdown(), 0o644)
    }

    fn markdown(&self) -> String {
        let mut text =
            "# Benchmarks\n\nWritten by `ci/bench --write-docs`; don't edit the figures.\n\n".to_owned();
        let mut add = |line: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{line}");
        };
        add("| what | figure | ratio | goal | | remark |\n|---|--:|--:|---|---|---|".into());
        for line in &self.lines {
            let [figure, ratio, goal, met] = line.cells();
            add(format!("| {} | {figure} | {ratio} | {goal} | {met} | {} |", line.what, line.note));
        }
        add("\n## Machine\n\n| | |\n|---|---|".into());
        for (name, value) in &self.machine {
            add(format!("| {name} | {value} |"));
        }
        add(format!("\n{}", METHOD.trim_end()));
        text
    }
}
