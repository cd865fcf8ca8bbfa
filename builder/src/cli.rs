//! The command line.

use cias_builder::check::CheckArgs;
use cias_builder::init::InitArgs;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Remasters the Proxmox VE 3.2 ISO so that servers install themselves.
#[derive(Debug, Parser)]
#[command(name = "cias-builder", version, max_term_width = 80)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented site file with fresh secrets.
    Init(InitArgs),
    /// Name everything that is wrong in a site file, or print its plan.
    Check(CheckArgs),
    /// Write an ISO that installs unattended.
    Build(BuildArgs),
    /// Show what an ISO is and whether it can be built.
    Inspect(InspectArgs),
}

/// Arguments of `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The vendor's ISO.
    #[arg(long, value_name = "IN")]
    pub iso: PathBuf,
    /// The site file, made by `init`.
    #[arg(long, value_name = "FILE")]
    pub site: PathBuf,
    /// Where the new ISO goes.
    #[arg(long, value_name = "OUT")]
    pub out: PathBuf,
    /// Add all packages of a folder (may be given several times).
    #[arg(long, value_name = "DIR")]
    pub packages: Vec<PathBuf>,
    /// Refuse the vendor's ISO unless it has this SHA-256.
    #[arg(long, value_name = "SUM")]
    pub sha256: Option<String>,
    /// Replace OUT if it exists.
    #[arg(long)]
    pub force: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// The static cias-firstboot [default: beside this program].
    #[arg(long, value_name = "PATH")]
    pub firstboot: Option<PathBuf>,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The ISO.
    #[arg(value_name = "IN")]
    pub iso: PathBuf,
    /// The SHA-256 that it should have.
    #[arg(long, value_name = "SUM")]
    pub sha256: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}
