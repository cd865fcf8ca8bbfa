//! The command `lab`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds a stand-in of the vendor's image and proves the road in QEMU
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
struct Cli {
    /// Folder for caches and images
    #[arg(long, default_value = "target/lab")]
    work: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the stand-in of the vendor's image and prints its path
    Base {
        /// Put this tree of the vendor's installer on the image
        #[arg(long)]
        installer: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    cias_firstboot::outcome::conclude(match cli.command {
        Command::Base { installer } => lab::base::ensure(&lab::base::Options { work: cli.work, installer })
            .map(|base| println!("{}", base.iso.display())),
    })
}
