//! The stand-in's hold on real corosync: it writes corosync.conf, starts and ends the daemon, and asks it who is there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::daemon::PORT;
use crate::clusterconf::{ClusterConf, KEY, Node};
use crate::db::store;

const CONF: &str = "/etc/corosync/corosync.conf";
const PID: &str = "/var/run/corosync.pid";
const TOKEN: u32 = 10_000;
/// How long its end may take.
const END: Duration = Duration::from_secs(30);

/// Where a member's daemons listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Reach {
    pub cman: SocketAddr,
    pub pmxcfs: SocketAddr,
}

/// What finds the members.
pub trait Engine: Send {
    /// Starts, or tells of a new configuration.
    fn configure(&mut self, conf: &ClusterConf, running: bool) -> Result<()>;
    /// The members; none if it does not run.
    fn members(&mut self) -> Option<BTreeMap<u32, Reach>>;
    /// Ends.
    fn stop(&mut self);
}

/// The real one.
#[derive(Default)]
pub struct Corosync {
    /// By node id, from cluster.conf: corosync goes on printing the address that an id had first, also when another node has it.
    addresses: BTreeMap<u32, IpAddr>,
}

impl Engine for Corosync {
    fn configure(&mut self, conf: &ClusterConf, running: bool) -> Result<()> {
        std::fs::create_dir_all("/etc/corosync").context("making /etc/corosync")?;
        std::fs::create_dir_all("/var/log/cluster").context("making /var/log/cluster")?;
        store::replace(Path::new(CONF), text(conf)?.as_bytes(), 0o644)?;
        let words: &[&str] = if running { &["corosync-cfgtool", "-R"] } else { &["corosync"] };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().with_context(|| format!("running {}", words[0]))?;
        anyhow::ensure!(status.success(), "{}: {status}", words.join(" "));
        let address = |node: &Node| Some((node.id, node.address.as_ref()?.parse().ok()?));
        self.addresses = conf.nodes.iter().filter_map(address).collect();
        Ok(())
    }

    fn members(&mut self) -> Option<BTreeMap<u32, Reach>> {
        let output = Command::new("corosync-cmapctl").arg("runtime.members.").output().ok()?;
        output.status.success().then(|| members(&String::from_utf8_lossy(&output.stdout), &self.addresses))
    }

    fn stop(&mut self) {
        let pid = std::fs::read_to_string(PID).unwrap_or_default();
        let process = Path::new("/proc").join(pid.trim());
        // It is asked to leave; if it does not run there is nothing to do.
        let asked = Command::new("corosync-cfgtool").arg("-H").stdout(Stdio::null()).status();
        let deadline = Instant::now() + END;
        // It says yes and goes on for a moment, in which no other can start.
        while asked.is_ok() && !pid.is_empty() && process.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The members that `corosync-cmapctl runtime.members.` shows as joined, at their `addresses` if those are known.
fn members(text: &str, addresses: &BTreeMap<u32, IpAddr>) -> BTreeMap<u32, Reach> {
    let value = |id: u32, key: &str| {
        let start = format!("runtime.members.{id}.{key} (str) = ");
        text.lines().find_map(|line| line.strip_prefix(&start)).map(str::trim)
    };
    let id = |line: &str| line.strip_prefix("runtime.members.")?.split('.').next()?.parse::<u32>().ok();
    let mut found = BTreeMap::new();
    for id in text.lines().filter_map(id) {
        let Some("joined") = value(id, "status") else { continue };
        let printed =
            || value(id, "ip").and_then(|text| text.split("ip(").nth(1)?.split(')').next()?.parse().ok());
        if let Some(ip) = addresses.get(&id).copied().or_else(printed) {
            let (cman, pmxcfs) = (SocketAddr::new(ip, PORT), SocketAddr::new(ip, crate::pmxcfs::PORT));
            found.insert(id, Reach { cman, pmxcfs });
        }
    }
    found
}

/// corosync.conf for today's corosync. Its quorum is there to be looked at; cman's sums decide.
fn text(conf: &ClusterConf) -> Result<String> {
    let (name, version, token) = (&conf.name, conf.version, conf.token.unwrap_or(TOKEN));
    let mut text = format!(
        "# Written by a stand-in for cman from cluster.conf.\ntotem {{\n    version: 2\n    cluster_name: {name}\n    \
         config_version: {version}\n    transport: knet\n    token: {token}\n    crypto_cipher: aes256\n    \
         crypto_hash: sha256\n    keyfile: {KEY}\n}}\nnodelist {{\n"
    );
    for node in &conf.nodes {
        let Some(address) = &node.address else {
            anyhow::bail!("cluster.conf: found no standin_address at {}, which knet needs", node.name);
        };
        let (name, id, votes) = (&node.name, node.id, node.votes);
        let _ = write!(
            text,
            "    node {{\n        name: {name}\n        nodeid: {id}\n        quorum_votes: {votes}\n        \
             ring0_addr: {address}\n    }}\n"
        );
    }
    text.push_str("}\nquorum {\n    provider: corosync_votequorum\n}\nlogging {\n    to_syslog: yes\n    ");
    text.push_str("to_logfile: yes\n    logfile: /var/log/cluster/corosync.log\n    timestamp: on\n}\n");
    Ok(text)
}

/// A fake for tests: a file with members as JSON. No file is a corosync that has ended.
pub struct FakeEngine(pub PathBuf);

impl Engine for FakeEngine {
    fn configure(&mut self, _: &ClusterConf, _: bool) -> Result<()> {
        Ok(())
    }

    fn members(&mut self) -> Option<BTreeMap<u32, Reach>> {
        serde_json::from_slice(&std::fs::read(&self.0).ok()?).ok()
    }

    fn stop(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As corosync 3.1.7 prints it.
    const PRINTED: &str = "runtime.members.1.config_version (u64) = 2
runtime.members.1.ip (str) = r(0) ip(10.77.0.1) \nruntime.members.1.join_count (u32) = 1
runtime.members.1.status (str) = joined
runtime.members.12.ip (str) = r(0) ip(10.77.0.2) r(1) ip(10.78.0.2)
runtime.members.12.status (str) = joined
runtime.members.3.ip (str) = r(0) ip(10.77.0.3) \nruntime.members.3.status (str) = left
";

    #[test]
    fn members_are_those_that_joined() {
        let found = members(PRINTED, &BTreeMap::new());
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [1, 12]);
        assert_eq!(found[&12].cman.to_string(), format!("10.77.0.2:{PORT}"));
        let none = members("Failed to initialize the cmap API.\nruntime.members.x", &BTreeMap::new());
        assert!(none.is_empty());
    }

    #[test]
    fn an_id_that_another_node_has_now_is_reached_at_that_ones_address() {
        let found = members(PRINTED, &BTreeMap::from([(12, [10, 77, 0, 9].into())]));
        assert_eq!(found[&12].pmxcfs.ip().to_string(), "10.77.0.9");
        assert_eq!(found[&1].pmxcfs.ip().to_string(), "10.77.0.1");
    }

    #[test]
    fn corosync_conf_needs_every_address() {
        let node = |id: u32, address: Option<&str>| crate::clusterconf::Node {
            name: format!("pve{id}"),
            votes: 1,
            id,
            address: address.map(str::to_owned),
        };
        let mut conf = ClusterConf::new("DLLL-CIAS", node(1, Some("10.0.0.1")));
        let written = text(&conf).unwrap();
        assert!(
            written.contains("ring0_addr: 10.0.0.1\n") && written.contains("token: 10000\n"),
            "{written}"
        );
        assert!(written.lines().all(|line| !line.contains('{') || line.ends_with('{')), "{written}");
        conf.nodes.push(node(2, None));
        assert!(text(&conf).unwrap_err().to_string().contains("pve2"));
    }
}
