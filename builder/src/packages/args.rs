//! The command line of `cias-builder packages`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::profile;

/// Arguments of `packages`.
#[derive(Debug, Args)]
pub struct PackagesArgs {
    /// What to do
    #[command(subcommand)]
    pub command: PackagesCommand,
}

/// The commands of `packages`.
#[derive(Debug, Subcommand)]
pub enum PackagesCommand {
    /// Write a commented packages.toml for a profile
    ///
    /// Addresses of mirrors and files with keys are yours to fill in.
    #[command(after_long_help = "\
Exit codes: 0 written; 5 the file exists and --force was not given.

Examples:
  cias-builder packages init
  cias-builder packages init --profile lab --out lab.toml")]
    Init(InitArgs),
    /// Find out what must come with the wanted packages on an ISO
    ///
    /// apt resolves, with the sources and keys of the file alone and against the packages that the ISO installs; this
    /// machine's own sources, keys and settings are not used. Writes packages.lock beside the file: name, version, size,
    /// SHA-256 and address of each package. Needs apt and gpgv.
    #[command(after_long_help = "\
Exit codes: 0 written; 1 a mirror does not answer; 3 the file, the ISO, a
signature or a dependency is not right; 4 apt or gpgv is missing; 130
interrupted.

Examples:
  cias-builder packages resolve --iso proxmox-ve_3.2.iso packages.toml")]
    Resolve(ResolveArgs),
    /// Download the packages of packages.lock into a folder for `build --packages`
    ///
    /// Each file must have the size and the SHA-256 of the lock. What the cache has is not downloaded again, so that a
    /// second run needs no network. Needs apt.
    #[command(after_long_help = "\
Exit codes: 0 fetched; 1 a mirror does not answer or lacks a file; 3 the lock
is of another file, or a package was changed; 4 apt is missing; 5 the folder
holds other packages; 6 another fetch uses the cache; 130 interrupted.

Examples:
  cias-builder packages fetch packages.toml
  cias-builder packages fetch --out debs --cache /var/cache/cias packages.toml")]
    Fetch(FetchArgs),
}

/// Arguments of `packages init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// For which system
    #[arg(long, value_name = "NAME", default_value = profile::NAMES[0], value_parser = PossibleValuesParser::new(profile::NAMES))]
    pub profile: String,
    /// Where the file goes
    #[arg(long, value_name = "FILE", default_value = "packages.toml")]
    pub out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `packages resolve`.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// What is wanted, and from where
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The vendor's ISO, whose packages count as installed
    #[arg(long, value_name = "IN")]
    pub iso: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `packages fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// The file whose lock lies beside it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the packages go [default: FILE without its ending]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where downloads are kept [default: ~/.cache/cias-builder/packages]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Remove other packages from the folder
    #[arg(long)]
    pub force: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
