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
use crate::{plan, run};

/// Does what the command line says.
pub fn dispatch(cli: Cli) -> Result<()> {
    let root = Sysroot::new(cli.root);
    match cli.command {
        Command::Run(options) => run::run(&run::Request { root, stage: options.stage, again: options.again }),
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
    }
}

/// Data goes to standard output.
fn print(json: bool, value: &impl Serialize, text: impl Fn() -> String) -> Result<()> {
    let text =
        if json { serde_json::to_string_pretty(value).context("writing JSON")? + "\n" } else { text() };
    std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")
}
