//! The stand-in's `pvecm addnode` and `delnode` (pve-3.2-tools.md 4.3). Both only edit cluster.conf, without a lock.

use anyhow::Result;

use super::{CONF, Run};
use crate::clusterconf::{ClusterConf, Node};

impl Run {
    pub(super) fn addnode(&self) -> Result<u8> {
        self.need_quorum()?;
        let (mut conf, name) = (self.conf()?, &self.given.word);
        let address = sender().or_else(|| self.host.address(name).ok());
        if let Some(found) = conf.nodes.iter_mut().find(|node| node.name == *name) {
            let same = self.given.nodeid.is_none_or(|id| id == found.id)
                && self.given.votes.is_none_or(|votes| votes == found.votes);
            if !same {
                eprintln!("ccs_tool: node {name} already exists in {CONF}");
                return Ok(255);
            }
            println!("node {name} already defined");
            if !self.given.force {
                return Ok(255);
            }
            // The stand-in's own: a node that comes back with another address must be found.
            if address.is_some() && found.address != address {
                found.address = address;
                self.edit(conf)?;
            }
        } else {
            let (id, votes) =
                (self.given.nodeid.unwrap_or_else(|| conf.free_id()), self.given.votes.unwrap_or(1));
            conf.nodes.push(Node { name: name.clone(), votes, id, address });
            self.edit(conf)?;
        }
        self.folders(name)?;
        self.merge_keys()?;
        Ok(0)
    }

    pub(super) fn delnode(&self) -> Result<u8> {
        self.need_quorum()?;
        let (mut conf, name) = (self.conf()?, &self.given.word);
        if conf.node(name).is_none() {
            eprintln!("node {name} does not exist in {CONF}");
            return Ok(1);
        }
        conf.nodes.retain(|node| node.name != *name);
        self.edit(conf)?;
        Ok(0)
    }

    /// As `ccs_tool` does it: the next version, the old file kept, and cman told.
    fn edit(&self, mut conf: ClusterConf) -> Result<()> {
        conf.version += 1;
        let old = std::fs::read(self.host.path(CONF))?;
        self.write(&format!("{CONF}.old"), &old)?;
        self.write(CONF, conf.text().as_bytes())?;
        // Without a running cman there is nobody to tell.
        let _ = self.host.quietly("cman_tool", &["version", "-r", "-S"]);
        Ok(())
    }
}

/// The address of the node that called us by ssh.
fn sender() -> Option<String> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    connection.split_whitespace().next().map(str::to_owned)
}
