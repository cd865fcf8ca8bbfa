//! From the parsed command line to the function that does it.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::{self, Cli, Command};
use crate::enrol::policy::Standing;
use crate::enrol::{manage, serve};
use crate::facts::report::Report;
use crate::keepalived::health;
use crate::keepalived::moved::{self, Moved};
use crate::log::Log;
use crate::moosefs;
use crate::notify;
use crate::outcome::Class;
use crate::runner::Host;
use crate::simulate::{self, Request};
use crate::status::Status;
use crate::system::Sysroot;
use crate::{agent, backup, folders, install, plan, postinstall, preinstall, run, setup, support};

/// How often a long simulation says how far it is, in runs.
const TELL_EACH: u64 = 250;

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
        Command::Enrol(what) => enrol(&root, what),
        Command::Promote => moved::moved(&root, Moved::Here),
        Command::Demote => moved::moved(&root, Moved::Away),
        Command::BackupGateway(given) => tell(&backup::run(&root, Duration::from_mins(given.wait))?),
        Command::ExportVms => tell(&folders::export::run(&root)?),
        Command::Switch => tell(&moved::switch(&root)?),
        Command::Notify(cli::Notify::Test(output)) => {
            let tested = notify::test::test(&root)?;
            print(output.json, &tested, || tested.show())?;
            tested.judge()
        }
        Command::EndServices => moosefs::end::end(&root),
        Command::CheckMaster(given) if given.look => health::look(&root),
        Command::CheckMaster(_) => health::check(&root),
        Command::Setup(given) => setup::setup(&setup::Request {
            root,
            site: given.site,
            yes: given.yes,
            keep_file: given.keep_file,
        }),
        Command::Support(given) => {
            let written = support::support(&support::Request { root, out: given.out })?;
            print(given.json, &written, || support::show(&written))
        }
        Command::Simulate(given) => simulate(&given),
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

fn enrol(root: &Sysroot, what: cli::Enrol) -> Result<()> {
    match what {
        cli::Enrol::Serve(given) => serve::serve(&serve::Request { root: root.clone(), hurry: given.hurry }),
        cli::Enrol::List(output) => {
            let list = manage::list(root)?;
            print(output.json, &list, || list.to_string())
        }
        cli::Enrol::Open { minutes } => tell(&manage::open(root, minutes)?),
        cli::Enrol::Close => tell(&manage::close(root)?),
        cli::Enrol::Approve(whom) => tell(&manage::decide(root, &whom.who, Standing::Approved)?),
        cli::Enrol::Deny(whom) => tell(&manage::decide(root, &whom.who, Standing::Denied)?),
    }
}

/// Says what was done.
fn tell(sentence: &str) -> Result<()> {
    std::io::stdout().write_all(format!("{sentence}\n").as_bytes()).context("writing to standard output")
}

/// A counter-example is a result, and a failure.
fn simulate(given: &cli::Simulate) -> Result<()> {
    let cli::Simulate { runs, seed, nodes, small, defect, .. } = *given;
    let request = Request { runs, seed, nodes, small, defect };
    if given.events {
        for event in simulate::trace(&request).events {
            eprintln!("{event}");
        }
    }
    let report = simulate::simulate(&request, |done| {
        if done % TELL_EACH == 0 {
            eprintln!("{done} of {} runs done", request.runs);
        }
    })?;
    print(given.json, &report, || report.show())?;
    let broken = report.counter_example.as_ref().map(|found| {
        Class::Failed.error(format!("the run with seed {} broke a promise: {}", found.seed, found.broken))
    });
    broken.map_or(Ok(()), Err)
}

/// Data goes to standard output.
fn print(json: bool, value: &impl Serialize, text: impl Fn() -> String) -> Result<()> {
    let text =
        if json { serde_json::to_string_pretty(value).context("writing JSON")? + "\n" } else { text() };
    std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")
}
