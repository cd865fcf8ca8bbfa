//! A stand-in for cman, the membership of the cluster. Real corosync finds the members; whether they are enough is decided
//! here, by cman's sums.

mod corosync;
pub mod daemon;
mod init;
mod peers;
pub mod tool;

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

pub use init::run as init;
use serde::{Deserialize, Serialize};

/// Where cman answers the other programs of this node.
pub const SOCKET: &str = "/var/run/cman_standin.sock";
/// Where the copy of cluster.conf is.
pub const CONF: &str = "/etc/cluster/cluster.conf";

/// What a program of this node may ask.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// All that is known.
    Status,
    /// A line for each change, for pmxcfs.
    Watch,
    /// `cman_tool expected -e`.
    Expected(u32),
    /// `cman_tool leave`, and whether the others shall lower the quorum.
    Leave(bool),
    /// `cman_tool version -r`: look at cluster.conf now.
    Reread,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// As asked.
    Fine,
    /// EINVAL.
    Invalid,
    /// All that is known.
    Status(Box<Status>),
}

/// What `cman_tool status` and `nodes` show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub config_version: u32,
    pub cluster: String,
    pub cluster_id: u16,
    pub generation: u64,
    pub expected: u32,
    pub total: u32,
    pub votes: u32,
    pub quorum: u32,
    pub quorate: bool,
    pub two_node: bool,
    pub name: String,
    pub id: u32,
    pub address: String,
    pub nodes: Vec<NodeStatus>,
}

/// One line of `cman_tool nodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub id: u32,
    pub name: String,
    pub member: bool,
    pub incarnation: u64,
    /// Seconds since 1970; 0 if it never joined.
    pub joined: u64,
}

/// Asks this node's cman.
pub fn ask(socket: &Path, question: &Question) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{}", serde_json::to_string(question)?)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
