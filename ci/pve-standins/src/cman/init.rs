//! A stand-in for /etc/init.d/cman (pve-3.2-tools.md 5). The script itself only calls this.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Question, ask};
use crate::args::Args;
use crate::host::Host;

const DEFAULTS: &str = "/etc/default/redhat-cluster-pve";

/// start, stop, restart, status; `stop remove` lets the others lower the quorum.
pub fn run(mut args: Args) -> u8 {
    let host = Host::new();
    let command = args.next().unwrap_or_default();
    let remove = args.flag("remove");
    match command.as_str() {
        // Without cluster.conf there is nothing to do, and nobody is told.
        "start" | "stop" | "restart" if !host.path(super::CONF).exists() => 0,
        "start" => start(&host),
        "stop" => stop(&host, remove),
        "restart" => {
            stop(&host, true);
            start(&host)
        }
        "status" => {
            let runs = running(&host);
            println!("{}", if runs { "cluster is running." } else { "cluster is not running." });
            u8::from(!runs)
        }
        _ => {
            eprintln!("Usage: cman {{start|stop|restart|status}}");
            2
        }
    }
}

fn running(host: &Host) -> bool {
    ask(&host.path(super::SOCKET), &Question::Status).is_ok()
}

/// A step's line; its outcome.
fn step(name: &str, work: impl FnOnce() -> Result<()>) -> bool {
    print!("   {name}... ");
    let done = work();
    if let Err(error) = &done {
        println!("{error:#}");
    }
    println!("{}", if done.is_ok() { "[  OK  ]" } else { "[FAILED]" });
    done.is_ok()
}

fn start(host: &Host) -> u8 {
    println!("Starting cluster: ");
    let default = |name: &str, seconds: u64| {
        let text = std::fs::read_to_string(host.path(DEFAULTS)).unwrap_or_default();
        let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.trim_matches('"').parse().ok()).unwrap_or(seconds)
    };
    let quorum = default("CMAN_QUORUM_TIMEOUT", 45);
    let disabled = || {
        let booting = std::env::var_os("PREVLEVEL").is_some_and(|level| level == "N");
        let words = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
        let disabled = booting && words.split_whitespace().any(|word| word == "nocluster");
        anyhow::ensure!(!disabled, "Cluster has been disabled at boot");
        Ok(())
    };
    let manager = || {
        let there = host.path("/usr/sbin/NetworkManager").exists();
        anyhow::ensure!(!there, "Network Manager is installed and would disturb the cluster");
        Ok(())
    };
    // Those in between need nothing here: the lab's kernel has no DLM, and nobody fences.
    let fine = || Ok(());
    let done = step("Checking if cluster has been disabled at boot", disabled)
        && step("Checking Network Manager", manager)
        && step("Global setup", fine)
        && step("Loading kernel modules", fine)
        && step("Mounting configfs", fine)
        && step("Starting cman", || join(host))
        && step("Waiting for quorum", || wait(host, quorum))
        && step("Starting fenced", fine)
        && step("Starting dlm_controld", fine)
        && step("Tuning DLM kernel config", fine)
        && step("Unfencing self", fine);
    u8::from(!done)
}

fn join(host: &Host) -> Result<()> {
    if running(host) {
        return Ok(());
    }
    let output =
        host.command("cman_tool").arg("join").stdin(Stdio::null()).output().context("running cman_tool")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}", said.trim());
    Ok(())
}

fn wait(host: &Host, seconds: u64) -> Result<()> {
    let mut command: Command = host.command("cman_tool");
    let output =
        command.args(["wait", "-q", "-t", &seconds.to_string()]).output().context("running cman_tool")?;
    // cman stays up, so that quorum may come later (Proxmox's patch).
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn stop(host: &Host, remove: bool) -> u8 {
    println!("Stopping cluster: ");
    let leave = || {
        if !running(host) {
            return Ok(());
        }
        let socket = host.path(super::SOCKET);
        ask(&socket, &Question::Leave(remove)).context("asking cman to leave")?;
        for _ in 0..300 {
            if !socket.exists() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("Timed-out waiting for cman to stop")
    };
    let done = step("Stopping cman", leave);
    u8::from(!done)
}
