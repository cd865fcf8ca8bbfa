//! The stand-ins' node: its paths and its commands. A test puts it into a folder by an environment variable; the programs
//! then keep the test's PATH, in which it has its own ssh and so on.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// The folder of a test's node.
const ROOT: &str = "PVE_STANDINS_ROOT";
/// The PATH that pvecm sets.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// This node, or a test's.
pub struct Host {
    root: Option<PathBuf>,
}

impl Host {
    /// The node of this process.
    pub fn new() -> Self {
        Self { root: std::env::var_os(ROOT).map(PathBuf::from) }
    }

    /// Where `path` really is.
    pub fn path(&self, path: &str) -> PathBuf {
        match &self.root {
            Some(root) => root.join(path.trim_start_matches('/')),
            None => PathBuf::from(path),
        }
    }

    /// A command; an absolute one is looked for on this node.
    pub fn command(&self, program: &str) -> Command {
        let mut command =
            if program.starts_with('/') { Command::new(self.path(program)) } else { Command::new(program) };
        if self.root.is_none() {
            command.env("PATH", PATH);
        }
        command.env("HOME", self.path("/root")).env("LC_ALL", "C");
        command
    }

    /// Runs a command whose output goes where ours goes.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<()> {
        finish(self.command(program).args(args), program)
    }

    /// Runs a command and drops its output.
    pub fn quietly(&self, program: &str, args: &[&str]) -> Result<()> {
        finish(self.command(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()), program)
    }

    /// The address of a node's name that is not this machine's own loopback.
    pub fn address(&self, name: &str) -> Result<String> {
        use std::net::ToSocketAddrs;
        if self.root.is_some()
            && let Ok(address) = std::fs::read_to_string(self.path(&format!("/test-address/{name}")))
        {
            return Ok(address.trim().to_owned());
        }
        let found: Vec<_> = (name, 0).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        let addresses: Vec<_> =
            found.iter().map(std::net::SocketAddr::ip).filter(std::net::IpAddr::is_ipv4).collect();
        if let Some(address) = addresses.iter().find(|address| !address.is_loopback()) {
            return Ok(address.to_string());
        }
        match addresses.first() {
            Some(address) => {
                anyhow::bail!("hostname lookup failed - got local IP address ({name} = {address})")
            }
            None => anyhow::bail!("unable to get IP for node '{name}' - node offline?"),
        }
    }

    /// The name of this node.
    pub fn name(&self) -> String {
        let given =
            self.root.is_some().then(|| std::fs::read_to_string(self.path("/etc/hostname")).ok()).flatten();
        given.map_or_else(crate::node_name, |name| name.trim().to_owned())
    }
}

fn finish(command: &mut Command, program: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("running {program}"))?;
    anyhow::ensure!(status.success(), "command '{program}' failed: {status}");
    Ok(())
}
