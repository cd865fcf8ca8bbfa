//! The command `bench`: what the product takes, against what was promised. No test: it judges a machine, too.

mod builds;
mod line;
mod loops;
mod measure;
mod mkfs;
mod node;
mod parallel;
mod quick;
mod report;
mod site;
mod standin;
mod throttle;
mod vendor;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use cias_firstboot::files;
use cias_firstboot::outcome::{Class, conclude};
use clap::{Parser, Subcommand, ValueEnum};
use line::Line;
use report::Report;
use site::Programs;

/// Measures builds, memory and formatting, and says which goals are met
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    /// Folder for images
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
    /// The cias-builder to measure
    #[arg(long, default_value = "target/release/cias-builder")]
    builder: PathBuf,
    /// The static cias-firstboot
    #[arg(long, default_value = "target/x86_64-unknown-linux-musl/release/cias-firstboot")]
    firstboot: PathBuf,
    /// Counted rounds of copy and build
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Measure these parts only
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Print the results as JSON; they are in bench.json beside the work folder, too
    #[arg(long)]
    json: bool,
    /// Write docs/benchmarks.md
    #[arg(long)]
    write_docs: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command and print what it took
    #[command(hide = true)]
    Measure {
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Read an image's tree and family
    #[command(hide = true)]
    Open { iso: PathBuf },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Build, copy and rewrite
    Build,
    /// The same with reflinks
    Reflink,
    /// Check, inspect and the node's memory
    Quick,
    /// Bytes written by mkfs
    Mkfs,
    /// Disks formatted at once
    Parallel,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    conclude(match &cli.command {
        Some(Command::Measure { command }) => measure::child(command),
        Some(Command::Open { iso }) => quick::open(iso),
        None => bench(&cli),
    })
}

fn bench(cli: &Cli) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Class::Failed.error("loop devices need root: run ci/bench as root"));
    }
    files::make_folder(&cli.work, 0o755)?;
    let work = cli.work.canonicalize().with_context(|| format!("finding {}", cli.work.display()))?;
    let programs = Programs::new(&cli.builder, &cli.firstboot, &work)?;
    let site = cias_firstboot::site::load(&programs.site)?.site;
    let image = standin::make(&work)?;
    let wanted = |part: Part| cli.only.is_empty() || cli.only.contains(&part);
    let mut report = Report { machine: report::machine(&work)?, lines: Vec::new() };
    let mut add = |lines: Vec<Line>| {
        for line in &lines {
            // With --json, standard output belongs to the JSON.
            if cli.json { eprintln!("{line}") } else { println!("{line}") }
        }
        report.lines.extend(lines);
    };
    if wanted(Part::Build) {
        add(builds::plain(&programs, &image, &work, cli.rounds)?);
        for ground in builds::DISKS {
            add(builds::on(ground, &programs, &image, &work, cli.rounds)?);
        }
    }
    if wanted(Part::Reflink) {
        for ground in builds::REFLINKS {
            add(builds::on(ground, &programs, &image, &work, cli.rounds)?);
        }
    }
    if wanted(Part::Quick) {
        add(quick::lines(&programs, &image, &work)?);
    }
    if wanted(Part::Mkfs) {
        add(mkfs::lines(&site, &work)?);
    }
    if wanted(Part::Parallel) {
        add(parallel::lines(&site, &work));
    }
    report.machine.push(("load average after", report::load()?));
    let json = report.json()?;
    files::write(&work.with_extension("json"), &json, 0o644)?;
    if cli.json {
        print!("{json}");
    }
    if cli.write_docs {
        report.write_docs(Path::new("docs/benchmarks.md"))?;
    }
    Ok(())
}
