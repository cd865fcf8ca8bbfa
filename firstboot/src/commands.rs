//! From the parsed command line to the function that does it.

use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::{Cli, Command};
use crate::facts::report::Report;
use crate::log::Log;
use crate::runner::Host;
use crate::status::Status;
use crate::system::Sysroot;
use crate::{agent, install, plan, postinstall, preinstall, run};

/// Does what the command line says.
pub fn dispatch(cli: Cli) -> Result<()> {
    let root = Sysroot::new(cli.root);
    match cli.command {
        Command::Run(options) => run::run(&run::Request { root, stage: options.stage, again: options.again }),
        Command::Agent(options) => agent::run(&agent::Request { root, hurry: options.hurry }),
        Command::Plan(output) => {
            let planned = plan::plan(&root)?;
            print(output.json, &planned, || plan::show(&planned))
        }
        Command::Status(output) => {
            let status = Status::read(&root)?;
            print(output.json, &status, || status.to_string())
        }
        Command::Facts(output) => {
            let log = Log::silent();
            let report = Report::gather(&root, &Host::new(|line| log.note(line)))?;
            print(output.json, &report, || report.show())
        }
        Command::Install => install::install(),
        Command::Preinstall(given) => {
            let defaults = preinstall::Options::default();
            let options = preinstall::Options {
                region: given.region,
                answers: given.answers,
                dry_run: given.dry_run,
                ..defaults
            };
            install::preinstall(&options).map(drop)
        }
        Command::Postinstall(given) => {
            let defaults = postinstall::Options::default();
            let options = postinstall::Options { target: given.target, region: given.region, ..defaults };
            postinstall::postinstall(&options, &Host::new(|line| eprintln!("{line}")))
        }
    }
}

/// Data goes to standard output.
fn print(json: bool, value: &impl Serialize, text: impl Fn() -> String) -> Result<()> {
    let text =
        if json { serde_json::to_string_pretty(value).context("writing JSON")? + "\n" } else { text() };
    std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")
}
