//! A server of the test's wire: a node in a folder, whose agent runs in a network namespace.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::os::unix::fs::symlink;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::node::Node;
use crate::wire::{HURRY, Space, Wire, wait_telling};

/// A machine on the wire.
pub struct Server {
    /// Its files.
    pub node: Node,
    /// Its network.
    pub space: Space,
    /// Its agent, while it runs.
    pub agent: Option<Pid>,
}

impl Server {
    /// The machine with this number, with `more` at the end of its site file.
    pub fn new(wire: &mut Wire, number: u8, more: &str) -> Self {
        let node = Node::new("fresh-node", more);
        std::fs::write(node.path("sys/class/net/eth0/address"), mac(number)).unwrap();
        std::fs::write(node.path("sys/class/net/eth1/address"), mac(number + 100)).unwrap();
        std::fs::write(node.path("sys/class/dmi/id/product_serial"), format!("LAB-{number}")).unwrap();
        for name in ["bond0", "vmbr0"] {
            // Of the namespace that the agent is in.
            symlink(format!("/sys/class/net/{name}"), node.path(&format!("sys/class/net/{name}"))).unwrap();
        }
        node.finds_itself();
        let mut server = Self { node, space: Space::new(), agent: None };
        server.plug(wire);
        server.start();
        server
    }

    /// Plugs its port into the wire.
    pub fn plug(&mut self, wire: &mut Wire) {
        wire.plug(self.space.id(), "bond0");
        self.space.run("ip link set bond0 up");
    }

    /// Starts its agent.
    pub fn start(&mut self) {
        self.agent = Some(self.begin(&["agent", "--hurry", &HURRY.to_string()]));
    }

    /// Runs `cias` in its network and returns the exit code.
    pub fn cias(&mut self, args: &[&str]) -> i32 {
        let pid = self.begin(args);
        self.space.reap(pid)
    }

    /// Starts `cias` in its network.
    pub fn begin(&mut self, args: &[&str]) -> Pid {
        let command = self.node.command(args, &[]);
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_str().unwrap())
            .collect();
        let env: Vec<String> = command
            .get_envs()
            .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value?.to_str()?)))
            .collect();
        let line = format!(
            "/usr/bin/env -i {} {} 2>{}",
            env.join(" "),
            words.join(" "),
            self.node.path("stderr").display()
        );
        self.space.start(&line)
    }

    /// Ends its agent by a signal, and returns its exit code.
    pub fn kill(&mut self, signal: Signal) -> i32 {
        let pid = self.agent.take().unwrap();
        kill(pid, signal).unwrap();
        self.space.reap(pid)
    }

    /// What the agent published last.
    pub fn published(&self) -> Value {
        serde_json::from_str(&self.node.read("run/cias/agent.json")).unwrap_or_default()
    }

    /// Waits until what is published holds, and returns it.
    pub fn waits_for(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let tell = || {
            let logs = ["stderr", "var/log/cias/firstboot.log"].map(|path| self.node.read(path)).join("\n");
            format!("{what}: {:#}\n{logs}", self.published())
        };
        wait_telling(tell, || Some(self.published()).filter(&holds))
    }

    /// Waits for a phase.
    pub fn waits_for_phase(&self, phase: &str) -> Value {
        self.waits_for(phase, |published| published["phase"] == phase)
    }

    /// Waits until all that follows from a decision is done.
    pub fn waits_until_settled(&self) -> Value {
        self.waits_for("cias run", |published| {
            published["run"].as_str().is_some_and(|run| run.starts_with("this node is"))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.agent.is_some() {
            self.kill(Signal::SIGKILL);
        }
    }
}

fn mac(number: u8) -> String {
    format!("52:54:00:00:01:{number:02x}")
}
