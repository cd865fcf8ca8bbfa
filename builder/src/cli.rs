//! The command line.

use crate::check::CheckArgs;
use crate::init::InitArgs;
use crate::packages::args::PackagesArgs;
use cias_firstboot::outcome::EXIT_CODES;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Remasters the Proxmox VE 3.2 ISO so that servers install themselves
///
/// Write a site file with `init`, put right what `check` names, and `build` the ISO. Results go to standard output,
/// progress and errors to standard error; every error is one line.
#[derive(Debug, Parser)]
#[command(name = "cias-builder", version, max_term_width = 80, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented site file with fresh secrets
    ///
    /// Password, mail address and licence are asked for where somebody sits at a terminal; what is neither given nor
    /// asked for stays empty, and is named. The file holds secrets: its mode is 0600. With `--secrets` the site file
    /// may be read by all (0644) and the second file holds the secrets (0600).
    #[command(after_long_help = "\
Exit codes: 0 written; 3 an option's value is wrong; 5 a file exists and --force
was not given.

Examples:
  cias-builder init
  cias-builder init --out rack-a.toml --secrets rack-a.secrets")]
    Init(InitArgs),
    /// Name everything that is wrong in a site file, or print its plan
    ///
    /// All findings come in one run, in the file's order, each with the line, what was found and what was wanted.
    /// Without a finding it prints what the ISO and the nodes will do. Nothing is written.
    #[command(after_long_help = "\
Exit codes: 0 no finding; 3 findings, or the ISO is not usable.

Examples:
  cias-builder check site.toml
  cias-builder check --iso proxmox-ve_3.2.iso --json site.toml")]
    Check(CheckArgs),
    /// Write an ISO that installs unattended
    ///
    /// Checks the site file and the vendor's ISO, copies the ISO, adds to the copy, reads the result back and compares.
    /// The vendor's ISO is never written to; after an error nothing is left behind. The result carries the site's
    /// secrets: its mode is 0600. The same inputs give the same bytes. Needs xorriso.
    #[command(after_long_help = "\
Exit codes: 0 written; 3 the site file, the ISO or a package is not usable;
4 xorriso is missing; 5 OUT exists and --force was not given; 130 interrupted.

Examples:
  cias-builder build --iso proxmox-ve_3.2.iso --site site.toml --out cluster.iso
  cias-builder build --iso proxmox-ve_3.2.iso --site site.toml \\
    --out cluster.iso --force --json")]
    Build(BuildArgs),
    /// Show what an ISO is and whether it can be built
    ///
    /// Prints one line for each probe, `ok`, `note` or `FATAL`, and then `usable` or `not usable`. Nothing is written.
    #[command(after_long_help = "\
Exit codes: 0 usable, with --verify intact; 3 not usable, changed, or no ISO;
130 interrupted.

Examples:
  cias-builder inspect proxmox-ve_3.2.iso
  cias-builder inspect --verify --site site.toml cluster.iso")]
    Inspect(InspectArgs),
    /// Find and fetch packages that a site adds, such as keepalived
    ///
    /// packages.toml says what is wanted and from where, packages.lock what that is exactly, and `build --packages` takes
    /// the folder into which it was fetched.
    #[command(after_long_help = "\
Exit codes: 0 done; those of its commands.

Examples:
  cias-builder packages init
  cias-builder packages resolve --iso proxmox-ve_3.2.iso packages.toml
  cias-builder packages fetch packages.toml
  cias-builder build --iso proxmox-ve_3.2.iso --site site.toml \\
    --packages packages --out cluster.iso")]
    Packages(PackagesArgs),
}

/// Arguments of `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The vendor's ISO
    #[arg(long, value_name = "IN")]
    pub iso: PathBuf,
    /// The site file, made by `init`
    #[arg(long, value_name = "FILE")]
    pub site: PathBuf,
    /// Where the new ISO goes
    #[arg(long, value_name = "OUT")]
    pub out: PathBuf,
    /// Add all .deb files of a folder; may be given several times
    ///
    /// At most 256 MiB each: the installer keeps them in memory. Whatever they depend on must be on the ISO or among
    /// them.
    #[arg(long, value_name = "DIR")]
    pub packages: Vec<PathBuf>,
    /// Refuse the vendor's ISO unless it has this SHA-256 (64 hexadecimal digits)
    #[arg(long, value_name = "SUM")]
    pub sha256: Option<String>,
    /// Replace OUT if it exists
    #[arg(long)]
    pub force: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// The static cias-firstboot, at most 8 MiB [default: beside this program]
    #[arg(long, value_name = "PATH")]
    pub firstboot: Option<PathBuf>,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The ISO
    #[arg(value_name = "IN")]
    pub iso: PathBuf,
    /// The SHA-256 that it should have (64 hexadecimal digits)
    #[arg(long, value_name = "SUM")]
    pub sha256: Option<String>,
    /// Check that an ISO made by `build` is still what was built
    ///
    /// Every file is compared with what the build noted of it, the vendor's ones too; the ISO is read once.
    #[arg(long, conflicts_with = "sha256")]
    pub verify: bool,
    /// The site file with whose key the ISO must be sealed
    #[arg(long, value_name = "FILE", requires = "verify")]
    pub site: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
