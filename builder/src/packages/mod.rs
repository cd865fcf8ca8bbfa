//! Packages that a site adds: `cias-builder packages` finds and fetches them, `build` takes them from folders.

pub mod apt;
pub mod args;
pub mod fetch;
pub mod folders;
pub mod index;
pub mod init;
pub mod lock;
pub mod naming;
pub mod profile;
pub mod request;
pub mod resolve;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use cias_firstboot::interrupt::Interrupt;
use tempfile::TempDir;

use crate::output;
use crate::progress::Progress;
use args::{PackagesArgs, PackagesCommand};

pub use folders::read_folders;

/// Does what `cias-builder packages` was asked for.
pub fn packages(args: PackagesArgs) -> Result<()> {
    match args.command {
        PackagesCommand::Init(args) => init::init(&args),
        PackagesCommand::Resolve(args) => {
            let report = resolve::resolve(&args.file, &args.iso, &Interrupt::install()?)?;
            report.notes().iter().for_each(|note| eprintln!("note: {note}"));
            if args.json { output::json(&report) } else { output::text(&report.text()) }
        }
        PackagesCommand::Fetch(args) => {
            let order =
                fetch::Order { packages: args.file, out: args.out, cache: args.cache, force: args.force };
            let report = fetch::fetch(&order, Progress::new(), &Interrupt::install()?)?;
            if args.json {
                return output::json(&report);
            }
            let fetch::Report { out, packages, downloaded, bytes } = report;
            output::text(&format!("{out}: {packages} packages, {bytes} bytes, {downloaded} downloaded now\n"))
        }
    }
}

/// A folder in `parent` that is gone when this is dropped. apt's unprivileged user must be able to enter it.
fn temporary(parent: &Path) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(".cias-packages-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .with_context(|| format!("making a temporary folder in {}", parent.display()))
}
