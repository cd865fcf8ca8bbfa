//! The command `cias-builder`.

use anyhow::Result;
use cias_builder::build::{self, Request};
use cias_builder::cli::{BuildArgs, Cli, Command, InspectArgs};
use cias_builder::progress::Progress;
use cias_builder::{audit, inspect, output};
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::{Class, conclude};
use cias_firstboot::site;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    conclude(match cli.command {
        Command::Init(args) => cias_builder::init::init(&args),
        Command::Check(args) => cias_builder::check::check(&args),
        Command::Build(args) => run_build(args),
        Command::Packages(args) => cias_builder::packages::packages(args),
        Command::Inspect(args) if args.verify => run_audit(&args),
        Command::Inspect(args) => run_inspect(&args),
    })
}

fn run_build(args: BuildArgs) -> Result<()> {
    let request = Request {
        iso: args.iso,
        site: args.site,
        out: args.out,
        packages: args.packages,
        sha256: args.sha256,
        force: args.force,
        firstboot: args.firstboot,
    };
    let report = build::build(&request, Progress::new(), &Interrupt::install()?)?;
    for warning in &report.warnings {
        eprintln!("note: {warning}");
    }
    if args.json {
        return output::json(&report);
    }
    output::text(&format!("{}: {} bytes, build {}\n", report.out, report.bytes, report.build_id))
}

fn run_inspect(args: &InspectArgs) -> Result<()> {
    let report =
        inspect::inspect(&args.iso, args.sha256.as_deref(), Progress::new(), &Interrupt::install()?)?;
    if args.json {
        output::json(&report)?;
    } else {
        output::text(&report.text())?;
    }
    if report.usable {
        return Ok(());
    }
    Err(Class::BadInput.error(format!("{} can't be used, the reasons are marked FATAL", args.iso.display())))
}

fn run_audit(args: &InspectArgs) -> Result<()> {
    let loaded = args.site.as_deref().map(site::load).transpose()?;
    let key = loaded.as_ref().map(|loaded| loaded.site.secrets.key.as_str());
    let report = audit::audit(&args.iso, key, Progress::new(), &Interrupt::install()?)?;
    if args.json {
        return output::json(&report);
    }
    let audit::Report { build_id, builder, added, originals, .. } = &report;
    output::text(&format!(
        "{}: intact, build {build_id} of {builder}, {added} files added to {originals} of the vendor's\n",
        args.iso.display()
    ))
}
