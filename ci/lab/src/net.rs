//! The lab's network: a namespace of its own with one bridge, to which every NIC of every guest is plugged.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cias_firstboot::runner::{Call, Host, Output, Runner};
use nix::sched::{CloneFlags, setns};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The address of the lab itself on the segment; guests take it for their gateway.
pub const GATEWAY: &str = "10.0.0.254";

/// What the names of our namespaces begin with; the process id follows.
const PREFIX: &str = "cias-lab-";

/// A network namespace that is gone when this is dropped.
pub struct Net {
    name: String,
    host: Host<'static>,
    /// Where the connections are that ssh shares.
    shared: TempDir,
}

impl Net {
    /// A new namespace with a bridge `lan` that carries [`GATEWAY`] and answers nothing else: no DHCP, no DNS.
    pub fn new() -> Result<Self> {
        let net = Self {
            name: format!("{PREFIX}{}", std::process::id()),
            host: Host::unchecked(|_| ()),
            shared: tempfile::tempdir().context("making a folder for connections")?,
        };
        net.remove_left_over()?;
        net.host.run(&Call::new("ip").args(["netns", "add", &net.name]))?;
        for line in [
            "link set lo up",
            "link add lan type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            &format!("address add {GATEWAY}/8 dev lan"),
            "link set lan up",
        ] {
            net.run(&Call::new("ip").args(line.split(' ')))?;
        }
        Ok(net)
    }

    /// Removes namespaces of labs that were killed: their names end in the id of a process that is gone.
    fn remove_left_over(&self) -> Result<()> {
        let listed = self.host.run(&Call::new("ip").args(["netns", "list"]))?.stdout;
        for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
            let gone = |id: &str| !Path::new("/proc").join(id).exists();
            if name.strip_prefix(PREFIX).is_some_and(gone) {
                self.host.run(&Call::new("ip").args(["netns", "delete", name]))?;
            }
        }
        Ok(())
    }

    /// Plugs a new tap device into the bridge.
    pub fn tap(&self, name: &str) -> Result<()> {
        for line in [format!("tuntap add {name} mode tap"), format!("link set {name} master lan up")] {
            self.run(&Call::new("ip").args(line.split(' ')))?;
        }
        Ok(())
    }

    /// Switches a tap device on or off, as a cable does with the port of a switch.
    pub fn link(&self, name: &str, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        self.run(&Call::new("ip").args(["link", "set", name, state])).map(drop)
    }

    /// Has the bridge pass multicast on to these ports, or not, as a switch with IGMP snooping and no querier.
    pub fn multicast<'p>(&self, ports: impl IntoIterator<Item = &'p str>, passes: bool) -> Result<()> {
        let state = if passes { "on" } else { "off" };
        for port in ports {
            let words = ["link", "set", "dev", port, "type", "bridge_slave", "mcast_flood", state];
            self.run(&Call::new("ip").args(words))?;
        }
        Ok(())
    }

    /// Removes a tap device.
    pub fn untap(&self, name: &str) -> Result<()> {
        self.run(&Call::new("ip").args(["link", "delete", name])).map(drop)
    }

    /// Words to put before a command so that it runs inside and dies with the lab.
    pub fn inside(&self) -> [String; 7] {
        ["ip", "netns", "exec", &self.name, "setpriv", "--pdeathsig", "KILL"].map(str::to_owned)
    }

    /// Runs a job in a thread that sees the ports inside, for sockets that no command opens.
    pub fn enter<T: Send>(&self, job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = Path::new("/run/netns").join(&self.name);
        let enter = || -> Result<T> {
            let space = std::fs::File::open(&path).with_context(|| format!("opening {}", path.display()))?;
            setns(space, CloneFlags::CLONE_NEWNET).with_context(|| format!("entering {}", path.display()))?;
            job()
        };
        let ended = std::thread::scope(|scope| scope.spawn(enter).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Does an echo request to `address` come back within two seconds?
    pub fn answers(&self, address: &str) -> Result<bool> {
        let output = self.outcome(&Call::new("ping").args(["-n", "-c", "1", "-W", "2", address]))?;
        // 1 says that nothing came back, or not yet a way to it; everything else, that ping itself failed.
        ensure!(matches!(output.code, 0 | 1), "ping ended with {}: {}", output.code, output.stderr);
        Ok(output.code == 0)
    }

    /// Runs a command inside; any exit code but 0 is an error.
    pub fn run(&self, call: &Call) -> Result<Output> {
        self.host.run(&self.wrapped(call))
    }

    /// Runs a command inside, whatever its exit code.
    pub fn outcome(&self, call: &Call) -> Result<Output> {
        self.host.outcome(&self.wrapped(call))
    }

    /// Runs a command on the node at `address` as root, over ssh from the lab's address, whatever its exit code; `stdin` goes to
    /// its standard input. Questions that follow each other share a connection: to agree on keys takes an emulated server seconds.
    pub fn ssh(&self, address: &str, key: &Path, command: &str, stdin: &str) -> Result<Output> {
        let options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "ConnectTimeout=30",
            "LogLevel=ERROR",
            "ControlMaster=auto",
            // A server whose power was cut takes longer than that to come back, and must be asked anew.
            "ControlPersist=10",
            &format!("ControlPath={}", self.shared.path().join(socket(address, key)).display()),
            "ServerAliveInterval=20",
        ];
        let mut call = Call::new("ssh").args(["-i", &key.display().to_string()]);
        for option in options {
            call = call.args(["-o", option]);
        }
        self.outcome(
            &call.args([&format!("root@{address}"), command]).stdin(stdin).limit(Duration::from_mins(4)),
        )
    }

    fn wrapped(&self, call: &Call) -> Call {
        let [first, rest @ ..] = self.inside();
        call.behind(&first, &rest)
    }
}

/// The name of the connection with which a key opens a node.
fn socket(address: &str, key: &Path) -> String {
    let digest = Sha256::digest(key.as_os_str().as_bytes());
    format!("{address}-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Err(error) = self.host.run(&Call::new("ip").args(["netns", "delete", &self.name])) {
            eprintln!("lab: {error:#}");
        }
    }
}
