//! The command line. `cias-firstboot` and its link `cias` are one program.

mod enrol;
mod notify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::folders::names;
use crate::node::Stage;
use crate::outcome::EXIT_CODES;
use crate::simulate::Defect;

pub use enrol::Enrol;
pub use notify::Notify;

/// Turns a freshly installed Proxmox VE server into a node of its cluster
///
/// Every boot runs it; by hand it is needed only to look, and after something was put right. `cias-firstboot` is the
/// same program. Results go to standard output, errors to standard error, one line each; every command that was run
/// stands in /var/log/cias/firstboot.log.
#[derive(Debug, Parser)]
#[command(name = "cias", version, max_term_width = 80, after_help = EXIT_CODES)]
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
    /// Goes on where it was interrupted. What is done already is left as it is. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 done; 1 a step failed; 3 /etc/cias/site.toml is missing or wrong;
4 a program is missing; 5 the place in the cluster would change; 6 it waits, or
another `cias run` is at work.

Examples:
  cias run
  cias run --stage provision")]
    Run(Run),
    /// Show what `run` would do, and change nothing
    ///
    /// Prints every step with what it would do, or `nothing to do`. Needs root, because the site file holds secrets.
    #[command(after_long_help = "\
Exit codes: 0 shown; 1 not root; 3 /etc/cias/site.toml is missing or wrong;
6 another `cias` is at work on the disks.

Examples:
  cias plan")]
    Plan(Output),
    /// Show how far this node is
    ///
    /// Says name, address and state (pending, working, interrupted, done, failed or waiting), the reason and the way
    /// out; then, to root, all nodes of the cluster; then the addresses of the management pages: of the nodes that are
    /// there, or else of the founder, the Master and this node. Anybody may ask.
    #[command(after_long_help = "\
Exit codes: 0 shown, whatever the state is; 1 the journal is not readable;
3 another version wrote it.

Examples:
  cias status
  cias status --json")]
    Status(Output),
    /// Find the other servers and settle who founds; init keeps it running
    ///
    /// Speaks raw Ethernet on bond0, or on vmbr0 once that has it, until the servers of the site have elected one
    /// founder or a Master has given this one a place; then it runs `cias run`. `cias status` shows what it says, and
    /// /var/log/cias/agent.log keeps it. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 told to stop; 1 it cannot go on; 3 /etc/cias/site.toml is missing
or wrong; 6 the agent runs already.

Examples:
  cias agent --help")]
    Agent(Agent),
    /// Say who may join the cluster
    ///
    /// `enrol.mode` in site.toml says who may: open (all servers of the site), window (those that ask while it is open),
    /// list (those with an entry in [[nodes.machine]]) or approve (those that an administrator let in). Works on any node
    /// of a cluster with quorum, and counts at once. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 done or shown; 1 it cannot be kept; 3 no such machine, or the mode
does not ask for it; 6 no cluster, or no quorum.

Examples:
  cias enrol list
  cias enrol open --minutes 30
  cias enrol approve pve-rack-a-1-1")]
    #[command(subcommand)]
    Enrol(Enrol),
    /// Follow the Master's addresses: they have come to this node
    ///
    /// keepalived runs it. If the role address is still here after half a second, what comes from the site's address outside leaves by
    /// the gateway there from then on, and the metadata server of `MooseFS` goes on if `cias demote` ended it. Nothing else moves in this
    /// version: only the founder is Master and gets the addresses. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 done, or the address is not here; 1 a command failed;
3 /etc/cias/site.toml is missing or wrong; 4 a program is missing.

Examples:
  cias promote")]
    Promote,
    /// Follow the Master's addresses: they have left this node
    ///
    /// keepalived runs it. Takes away what `cias promote` added, and ends the metadata server of `MooseFS` and its web view; while the role
    /// address is here it refuses. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 done, or nothing was there; 1 a command failed;
3 /etc/cias/site.toml is missing or wrong; 4 a program is missing; 5 the role
address is still here.

Examples:
  cias demote")]
    Demote,
    /// Take the newest archive of the gateway onto this node's own disk
    ///
    /// Copies the newest archive of the guest 100 that is finished from /mnt/mfs/backup/dump to /var/lib/vz/dump/zentyal.tar.vma, from which the gateway
    /// is restored where its owner is dead. While a backup is being made it waits for its end. The one that was kept stays until
    /// the new one is whole; an archive that is there already is not copied again. Cron runs it on every node. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 taken, there already, or no archive is there yet; 1 it cannot be
copied, or is no archive; 4 a program is missing; 6 MooseFS is not mounted, or a
backup is being made for longer than --wait says.

Examples:
  cias backup-gateway
  cias backup-gateway --wait 0")]
    BackupGateway(BackupGateway),
    /// Bring the management folders up to date, on the Master
    ///
    /// Writes the cluster's addresses (cias-network.conf) and its guests with their nodes (`pve_master_vmid.conf`) to /data/cias and /mnt/mfs/cias, and copies
    /// them to /data/cias of every node that is there. What somebody added to cias-network.conf in the Master's /data/cias
    /// stays. On another node than the Master it does nothing. Cron runs it on every node, every five minutes. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 up to date, or this node is not the Master; 1 a node did not get
it; 3 /etc/cias/site.toml is missing or wrong; 4 a program is missing; 6 MooseFS
is not mounted, or another `cias export-vms` is at work.

Examples:
  cias export-vms")]
    ExportVms,
    /// Make this node the Master by hand
    ///
    /// In this version the founder is Master and no other node can be: on any other node it refuses. `dlll_cias-switch_to_master.sh`
    /// is the same. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 this node is the Master; 3 /etc/cias/site.toml is missing or
wrong; 5 it is not, and nothing was changed.

Examples:
  cias switch")]
    Switch,
    /// See whether messages reach the administrator
    ///
    /// A node tells of a founding, of each join and refusal, and of its own failures: by mail to `notify.mail` (else `site.mail`), and by a
    /// POST to `notify.webhook` if the site file has one. What is not taken is kept in /var/lib/cias/notify and tried again by the agent for three
    /// days. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 all ways took it; 1 not root, or a way is wrong for good;
3 /etc/cias/site.toml is missing or wrong; 6 a way did not take it now.

Examples:
  cias notify test")]
    #[command(subcommand)]
    Notify(Notify),
    /// End what `MooseFS` runs here, the mount first; the boot script's word for it when the machine goes down
    #[command(hide = true)]
    EndServices,
    /// Say whether this node may have the Master's addresses; keepalived's health script
    #[command(hide = true)]
    CheckMaster(CheckMaster),
    /// Show what this machine is
    ///
    /// Prints hardware, network ports and disks, and what the machine lacks to be a Master. Sizes are in MiB and GiB,
    /// in JSON in bytes. Needs root to see everything.
    #[command(after_long_help = "\
Exit codes: 0 shown; 1 the disks cannot be listed.

Examples:
  cias facts
  cias facts --json")]
    Facts(Output),
    /// Make a node of this server, on which Proxmox VE 3.2 was installed by hand
    ///
    /// Does what the unattended installation would have done: looks whether the server may become a node, asks for what the
    /// site file lacks, shows the plan with every disk that would be formatted, and waits for Enter. Then the server
    /// gets its name, address, bond and data disks; its old database is kept beside the new one. A power cut or
    /// a lost connection is made good by the next boot or call. Once it has joined, the site's join key is on it no more, and in the
    /// site file neither. `dlll_cias-setup.sh [SITE]` is the same. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 done; 1 it failed, or another key than Enter; 3 the site file is
missing or wrong; 5 refused: the reasons are listed; 6 it waits for a Master,
and the agent goes on; 130 Ctrl-C.

Examples:
  cias setup --site site.toml
  cias setup --yes")]
    Setup(Setup),
    /// Make one bundle of logs and facts for somebody who helps
    ///
    /// Collects what `status`, `facts` and `plan` say, the journal, our logs and the end of the system's, the network's,
    /// disks' and cluster's files and the versions of packages. Keys, passwords, hashes and the path of the webhook
    /// are taken out of every text; names, addresses and public keys stay. What is missing is listed in manifest.json.
    /// Prints the path. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 written; 1 not root, or it cannot be written; 5 a file of that
name is there.

Examples:
  cias support
  cias support --out for-help.tar.gz --json")]
    Support(Support),
    /// Try discovery and election on a simulated wire, many times
    ///
    /// The very code that nodes run decides who founds and who gets which place, while frames are lost, come late, twice or
    /// from an attacker's recording, nodes fail and the wire is cut. Each run follows from its seed. It ends at the
    /// first run in which two nodes found at once, an address is given twice or somebody never settles, and
    /// prints what happened in it. Touches nothing of this machine.
    #[command(after_long_help = "\
Exit codes: 0 all runs held; 1 one did not: its seed and its events are shown.

Examples:
  cias simulate --runs 50 --small
  cias simulate --runs 1 --seed 4711 --nodes 9 --events")]
    Simulate(Simulate),
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

/// Options of `setup`.
#[derive(Debug, Args)]
pub struct Setup {
    /// The site file; else /etc/cias/site.toml, or site.toml in this folder
    #[arg(long, value_name = "FILE")]
    pub site: Option<PathBuf>,
    /// Begin without waiting for Enter
    #[arg(long)]
    pub yes: bool,
    /// Leave the join key in the site file
    ///
    /// Without it the key is removed from the file, and from a second one with the secrets, once this node has joined; all else in it
    /// stays. A file on another file system, as a stick, is left alone in any case.
    #[arg(long)]
    pub keep_file: bool,
}

/// Options of `support`.
#[derive(Debug, Args)]
pub struct Support {
    /// Where the bundle goes; else /root/cias-support-HOST-TIME.tar.gz
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print path, size and manifest as JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// How many runs
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Seed of the first run; the others follow
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Nodes in each run; else most runs have 2 to 32, one in 399 has 1270
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1270))]
    pub nodes: Option<u16>,
    /// No run with 1270 nodes, each of which takes half a minute
    #[arg(long, conflicts_with = "nodes")]
    pub small: bool,
    /// Do something wrong on purpose, to see that it is found
    #[arg(long, value_enum)]
    pub defect: Option<Defect>,
    /// Show the events of the first run, whatever comes of it
    #[arg(long)]
    pub events: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `agent`.
#[derive(Debug, Args)]
pub struct Agent {
    /// Divide all waits by N (for tests, with --root)
    #[arg(long, hide = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub hurry: u32,
}

/// Options of `backup-gateway`.
#[derive(Debug, Args)]
pub struct BackupGateway {
    /// How many minutes to wait for the end of a backup, up to a day
    #[arg(long, value_name = "N", default_value_t = 720, value_parser = clap::value_parser!(u64).range(..=1440))]
    pub wait: u64,
}

/// Options of `check-master`.
#[derive(Debug, Args)]
pub struct CheckMaster {
    /// Look here, however long it takes, instead of in another process
    #[arg(long, hide = true)]
    pub look: bool,
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

/// What was typed, as this program reads it: called by a name of the original plan it is the sub-command that this stands for.
pub fn arguments(typed: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut rest = typed.into_iter();
    let name = rest.next().unwrap_or_default();
    let mut rest = rest.peekable();
    let words = Path::new(&name).file_name().and_then(|name| names::words(name, rest.peek()));
    words.unwrap_or_else(|| vec![name]).into_iter().chain(rest).collect()
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
