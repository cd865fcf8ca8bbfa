//! The static binary of a node, `cias-firstboot` and `cias`.

use std::process::ExitCode;

use cias_firstboot::{cli, commands, outcome, startup};
use clap::Parser;

fn main() -> ExitCode {
    if let Err(error) = startup::check() {
        return outcome::conclude(Err(error));
    }
    outcome::conclude(commands::dispatch(cli::Cli::parse_from(cli::arguments(std::env::args_os()))))
}
