//! The command line. `cias-firstboot` and its link `cias` are one program.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::node::Stage;

/// Turns a freshly installed Proxmox VE server into a node of its cluster.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 80)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 bad input, 4 missing tool,\n\
                  5 refused for safety, 6 try later, 130 interrupted.")]
pub struct Cli {
    /// Folder that stands for / (for tests; commands still run on this machine)
    #[arg(long, global = true, hide = true, default_value = "/", value_name = "DIR")]
    pub root: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Settle the identity and provision the node; every boot runs it
    ///
    /// Goes on where it was interrupted. What is done already is left as it is.
    Run(Run),
    /// Show what `run` would do, and change nothing
    Plan(Output),
    /// Show how far this node is
    Status(Output),
    /// Show what this machine is
    Facts(Output),
    /// Install this server unattended; the installer's X starter runs it
    #[command(hide = true)]
    Install,
    /// Choose the system disk, or refuse; clear it and write the answers
    #[command(hide = true)]
    Preinstall(Preinstall),
    /// Finish the installed system: password, site, log and marker
    #[command(hide = true)]
    Postinstall(Postinstall),
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Run one stage only
    #[arg(long, value_enum)]
    pub stage: Option<Stage>,
    /// Write the files of a settled identity anew
    ///
    /// Without it a settled identity is left alone, with all that was changed by hand since. A reboot then brings the
    /// network up by the new files.
    #[arg(long)]
    pub again: bool,
}

/// How to print.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `preinstall`.
#[derive(Debug, Args)]
pub struct Preinstall {
    /// The site's region
    #[arg(long, value_name = "FILE", default_value = crate::region::PATH)]
    pub region: PathBuf,
    /// Where the answers go
    #[arg(long, value_name = "FILE", default_value = "/tmp/cias/answers.json")]
    pub answers: PathBuf,
    /// Print the decision and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `postinstall`.
#[derive(Debug, Args)]
pub struct Postinstall {
    /// Where the installed system is mounted
    #[arg(long, value_name = "DIR", default_value = "/target")]
    pub target: PathBuf,
    /// The site's region
    #[arg(long, value_name = "FILE", default_value = crate::region::PATH)]
    pub region: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_80_columns() {
        let mut root = Cli::command();
        root.build();
        for command in std::iter::once(&root).chain(root.get_subcommands()) {
            let help = command.clone().render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        }
    }
}
