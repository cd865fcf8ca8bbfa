//! A stand-in for what cman tells pmxcfs: who is there, and whether that is enough.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The members as one node sees them. Without a running cman there are none, and no quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// This node's number; 0 if cman does not run.
    pub me: u32,
    /// Whether the cluster may write.
    pub quorate: bool,
    /// Where each member's pmxcfs listens, this node's too.
    pub members: BTreeMap<u32, SocketAddr>,
}

impl View {
    /// The member that orders all writes: the lowest number.
    pub fn leader(&self) -> Option<u32> {
        self.members.keys().next().copied()
    }

    /// Whether that is this node.
    pub fn leads(&self) -> bool {
        self.leader() == Some(self.me)
    }
}

/// Where views come from.
pub trait Membership: Send {
    /// Waits until there may be something new, and says what is so now.
    fn next(&mut self) -> View;
}

/// The real source: the cman stand-in, which counts the votes of corosync's members. It sends one view a line.
pub struct Cman {
    socket: PathBuf,
    connection: Option<BufReader<UnixStream>>,
}

impl Cman {
    /// Views from cman's socket.
    pub const fn new(socket: PathBuf) -> Self {
        Self { socket, connection: None }
    }

    fn line(&mut self) -> Option<View> {
        if self.connection.is_none() {
            let mut stream = UnixStream::connect(&self.socket).ok()?;
            std::io::Write::write_all(&mut stream, b"\"watch\"\n").ok()?;
            self.connection = Some(BufReader::new(stream));
        }
        let mut line = String::new();
        self.connection.as_mut()?.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

impl Membership for Cman {
    fn next(&mut self) -> View {
        let first = self.connection.is_none();
        let view = self.line();
        if view.is_none() {
            // The end of the connection is news at once; a cman that is not there is asked again later.
            self.connection = None;
            if first {
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        view.unwrap_or_default()
    }
}

/// A fake for tests: a file with a view as JSON, looked at often; no file is no cman.
pub struct FakeFile(pub PathBuf);

impl Membership for FakeFile {
    fn next(&mut self) -> View {
        std::thread::sleep(Duration::from_millis(20));
        let text = std::fs::read(&self.0).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}
