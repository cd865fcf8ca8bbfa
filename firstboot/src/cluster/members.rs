//! `/etc/pve/.members`: the one place that tells whether a cluster is really there. Exit codes of `pvecm` do not (docs/facts.md 15).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::MOUNTED;
use crate::outcome::Class;
use crate::system::Sysroot;

/// Where it is.
pub const FILE: &str = "/etc/pve/.members";

/// The cluster's own list of its nodes, which each node keeps also outside of its file system.
pub(super) const CONF: &str = "/etc/pve/cluster.conf";

/// The owner's permission to write in a mode.
const OWNER_WRITES: u32 = 0o200;

/// What the cluster's file system says of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Members {
    /// This node.
    #[serde(rename = "nodename")]
    pub name: String,
    /// Nothing on a node that stands alone, and for a moment after a restart.
    pub cluster: Option<Cluster>,
    /// By the node's name.
    #[serde(default, rename = "nodelist")]
    pub nodes: BTreeMap<String, Node>,
}

/// The cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// 1 with quorum.
    quorate: u8,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Node {
    /// 1 if its file system takes part in the cluster's; its guests may be ill.
    online: u8,
    /// Not known before it was seen once.
    pub ip: Option<Ipv4Addr>,
}

impl Members {
    /// Reads it; nothing while the cluster's file system is not mounted, when `/etc/pve` is an empty folder of the root.
    pub fn read(root: &Sysroot) -> Result<Option<Self>> {
        if !is_mounted(root) {
            return Ok(None);
        }
        let text = root.text(FILE)?;
        serde_json::from_str(&text).map(Some).with_context(|| format!("reading {FILE}"))
    }

    /// Is this node in the cluster `name`, with quorum, and online?
    pub fn is_quorate_in(&self, name: &str) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.name == name && cluster.quorate == 1)
            && self.is_online(&self.name)
    }

    /// Is this node of that name there now?
    pub fn is_online(&self, name: &str) -> bool {
        self.nodes.get(name).is_some_and(|node| node.online == 1)
    }
}

/// Is the cluster's file system there? Nothing may be written below `/etc/pve` without it: that would be the root's own folder.
pub fn is_mounted(root: &Sysroot) -> bool {
    root.link_name(MOUNTED).is_some()
}

/// An error without it: it is too early.
pub fn needs_mounted(root: &Sysroot) -> Result<()> {
    if is_mounted(root) {
        return Ok(());
    }
    Err(Class::TryLater.error(
        "/etc/pve: found it not mounted, wanted the cluster's file system: `service pve-cluster status` tells why",
    ))
}

/// May it be written to: does this node stand alone, or does its cluster have quorum? For root every file looks writable, so
/// the link's own mode is what tells (docs/facts.md 15).
pub fn is_writable(root: &Sysroot) -> bool {
    let mode = std::fs::symlink_metadata(root.path(MOUNTED)).map_or(0, |link| link.mode());
    is_mounted(root) && mode & OWNER_WRITES != 0
}

/// Has this node been made part of a cluster, be it one that is not there now?
pub fn has_cluster(root: &Sysroot) -> bool {
    root.has(CONF) || root.has("/etc/cluster/cluster.conf")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    const TWO: &str = r#"{ "nodename": "pve1", "version": 7,
        "cluster": { "name": "DLLL-CIAS", "version": 3, "nodes": 2, "quorate": QUORATE },
        "nodelist": { "pve1": { "id": 1, "online": ME, "ip": "10.6.1.11"}, "pve2": { "id": 2, "online": 0 } } }"#;

    fn read(text: &str) -> Members {
        let tree = Tree::from_text("/etc/pve/local -> nodes/pve1\n");
        std::fs::write(tree.root().path(FILE), text).unwrap();
        Members::read(&tree.root()).unwrap().unwrap()
    }

    #[test]
    fn only_a_quorate_cluster_of_that_name_with_this_node_online_counts() {
        for (quorate, me, name, wanted) in [
            ("1", "1", "DLLL-CIAS", true),
            ("0", "1", "DLLL-CIAS", false),
            ("1", "0", "DLLL-CIAS", false),
            ("1", "1", "OTHER", false),
        ] {
            let members = read(&TWO.replace("QUORATE", quorate).replace("ME", me));
            assert_eq!(members.is_quorate_in(name), wanted, "{quorate} {me} {name}");
        }
        let members = read(&TWO.replace("QUORATE", "1").replace("ME", "1"));
        assert_eq!(members.nodes["pve1"].ip, Some([10, 6, 1, 11].into()));
        assert!(!members.is_online("pve2") && !members.is_online("pve3"));
    }

    #[test]
    fn a_node_that_stands_alone_is_in_no_cluster() {
        let members = read(r#"{ "nodename": "pve1", "version": 1 }"#);
        assert!(members.cluster.is_none() && !members.is_quorate_in(""));
    }

    #[test]
    fn an_unmounted_folder_says_nothing_whatever_lies_in_it() {
        let tree = Tree::from_text("/etc/pve/.members = {}\n");
        assert_eq!(Members::read(&tree.root()).unwrap(), None);
        assert!(!is_mounted(&tree.root()) && !is_writable(&tree.root()));
    }
}
