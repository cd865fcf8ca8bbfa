//! A stand-in for programs of Proxmox VE 3.2 that have no Debian package: pmxcfs, pvecm and cman, which form a cluster, pvesm and vma.
//! One program, by the name under which it is called, or `pve-standins NAME ...`.
//!
//! Written from the facts (pve-3.2-tools.md), not from the vendor's code. Where it differs on purpose:
//! - config.db is a file of its own format, replaced as a whole; the backup of `pvecm add` is a copy of it.
//! - Members talk by TCP (ports 5407 and 5408) with an HMAC by corosync.authkey; the lowest number orders the changes.
//! - Real corosync (knet) only finds the members; cman's own sums decide, in `cmand`, which init's cman starts. A node is a
//!   member once its `cmand` answered. `quorate` of votequorum is not looked at.
//! - knet needs addresses, multicast did not: cluster.conf has them as `standin_address`, which `addnode` takes from the
//!   ssh connection. A cut multicast is thus modelled by a cut of UDP 5405.
//! - cman looks at /etc/cluster/cluster.conf by itself, besides `cman_tool version -r`.
//! - scp fetches key and cluster.conf in `pvecm add`, the list of ciphers is today's, `cman_tool nodes` shows UTC, host keys
//!   other than RSA are shared if there is no RSA one, and more than 10000 files or 30 MiB is ENOSPC (not in the facts).
//! - pvesm knows the types dir and nfs, and no volumes; vma makes archives without disks.
//! - fenced, `dlm_controld`, clvm, certificates' serial numbers, the cluster log and .rrd are empty or missing.

mod args;
mod b64;
mod clusterconf;
mod cman;
mod createdb;
mod daemon;
mod db;
mod fs;
mod group;
mod host;
mod pmxcfs;
mod pvecm;
mod pvesm;
mod quorum;
mod vma;
mod wire;

use std::process::ExitCode;

use args::Args;

const NAMES: &str = "pmxcfs, create_pmxcfs_db, pvecm, pvesm, vma, cman_tool, cmand, cman-init";

fn main() -> ExitCode {
    let mut words = std::env::args();
    let called = words.next().unwrap_or_default();
    let mut program = called.rsplit('/').next().unwrap_or_default().to_owned();
    if program == "pve-standins" {
        program = words.next().unwrap_or_default();
    }
    let args = Args { program: program.clone(), words: words.collect() };
    let done = match program.as_str() {
        "pmxcfs" => pmxcfs::run(args),
        "pvecm" => pvecm::run(args),
        "pvesm" => pvesm::run(args),
        "vma" => vma::run(args),
        "cman_tool" => cman::tool::run(args),
        "cmand" => cman::daemon::run(args),
        "cman-init" => Ok(cman::init(args)),
        "create_pmxcfs_db" => createdb::run(&args),
        _ => Err(anyhow::anyhow!("found {program:?}, wanted one of {NAMES}")),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(255)
        }
    }
}

/// A line for the log of a daemon.
pub fn log(text: &str) {
    eprintln!("{}: {text}", std::process::id());
}

/// `uname -n` up to the first dot.
pub fn node_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}
