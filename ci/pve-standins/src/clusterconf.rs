//! A stand-in for what reads and edits cluster.conf: the nodes, their votes, and the version.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::quorum::Settings;

/// The key that cman encrypts with.
pub const KEY: &str = "/var/lib/pve-cluster/corosync.authkey";

const ADDRESS: &str = "standin_address";

/// One `<clusternode>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its votes.
    pub votes: u32,
    /// Its number.
    pub id: u32,
    /// The stand-in's own: cman finds the others by multicast, today's corosync needs their addresses.
    pub address: Option<String>,
}

/// The file, as far as the stand-ins look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConf {
    /// Name of the cluster.
    pub name: String,
    /// `config_version`.
    pub version: u32,
    /// Attributes of `<cman>`, in their order.
    pub cman: Vec<(String, String)>,
    /// `<totem token>` in milliseconds.
    pub token: Option<u32>,
    /// The nodes in the order of the file.
    pub nodes: Vec<Node>,
}

impl ClusterConf {
    /// As `pvecm create` writes it.
    pub fn new(name: &str, node: Node) -> Self {
        let cman = vec![("keyfile".to_owned(), KEY.to_owned())];
        Self { name: name.to_owned(), version: 1, cman, token: None, nodes: vec![node] }
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self> {
        let document = roxmltree::Document::parse(text).context("parsing cluster.conf")?;
        let root = document.root_element();
        anyhow::ensure!(root.has_tag_name("cluster"), "cluster.conf: found no <cluster>");
        let attribute = |name: &str| {
            root.attribute(name).with_context(|| format!("cluster.conf: <cluster> has no {name}"))
        };
        let number =
            |text: &str| text.parse().with_context(|| format!("cluster.conf: {text:?} is no number"));
        let child = |name: &'static str| root.children().find(move |child| child.has_tag_name(name));
        let pair = |found: roxmltree::Attribute<'_, '_>| (found.name().to_owned(), found.value().to_owned());
        let mut nodes = Vec::new();
        for entry in root.descendants().filter(|entry| entry.has_tag_name("clusternode")) {
            let name = entry.attribute("name").context("cluster.conf: a <clusternode> has no name")?;
            let id = entry.attribute("nodeid").context("cluster.conf: a <clusternode> has no nodeid")?;
            let votes = number(entry.attribute("votes").unwrap_or("1"))?;
            let address = entry.attribute(ADDRESS).map(str::to_owned);
            nodes.push(Node { name: name.to_owned(), votes, id: number(id)?, address });
        }
        Ok(Self {
            name: attribute("name")?.to_owned(),
            version: number(attribute("config_version")?)?,
            cman: child("cman").map(|cman| cman.attributes().map(pair).collect()).unwrap_or_default(),
            token: child("totem").and_then(|totem| totem.attribute("token")).map(number).transpose()?,
            nodes,
        })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let mut text = format!(
            "<?xml version=\"1.0\"?>\n<cluster name=\"{}\" config_version=\"{}\">\n  <cman",
            escaped(&self.name),
            self.version
        );
        for (name, value) in &self.cman {
            let _ = write!(text, " {name}=\"{}\"", escaped(value));
        }
        text.push_str("/>\n");
        if let Some(token) = self.token {
            let _ = writeln!(text, "  <totem token=\"{token}\"/>");
        }
        text.push_str("  <clusternodes>\n");
        for node in &self.nodes {
            let (name, votes, id) = (escaped(&node.name), node.votes, node.id);
            let _ = write!(text, "    <clusternode name=\"{name}\" votes=\"{votes}\" nodeid=\"{id}\"");
            if let Some(address) = &node.address {
                let _ = write!(text, " {ADDRESS}=\"{}\"", escaped(address));
            }
            text.push_str("/>\n");
        }
        text + "  </clusternodes>\n</cluster>\n"
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The lowest free number.
    pub fn free_id(&self) -> u32 {
        (1..u32::MAX).find(|id| self.nodes.iter().all(|node| node.id != *id)).unwrap_or(1)
    }

    /// Votes by number.
    pub fn votes(&self) -> BTreeMap<u32, u32> {
        self.nodes.iter().map(|node| (node.id, node.votes)).collect()
    }

    /// What the sums need.
    pub fn settings(&self) -> Settings {
        let word = |name: &str| self.cman.iter().find(|(found, _)| found == name).map(|(_, value)| value);
        let sum = self.nodes.iter().map(|node| node.votes).sum();
        Settings {
            expected: word("expected_votes").and_then(|text| text.parse().ok()).unwrap_or(sum),
            two_node: word("two_node").is_some_and(|text| text == "1"),
        }
    }

    /// The number that cman makes of the cluster's name.
    pub fn cluster_id(&self) -> u16 {
        self.name.bytes().fold(0_u16, |id, byte| (id << 1).wrapping_add(u16::from(byte)))
    }

    /// Why cman would not start with this file.
    pub fn refusal(&self) -> Option<&'static str> {
        let wrong = self.settings().two_node && self.nodes.len() != 2;
        wrong.then_some("two_node set but there are more than 2 nodes")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"<?xml version="1.0"?>
<cluster name="DLLL-CIAS" config_version="3">
  <cman keyfile="/var/lib/pve-cluster/corosync.authkey"/>
  <clusternodes>
    <clusternode name="pve1" votes="1" nodeid="1"/>
    <clusternode name="pve2" votes="1" nodeid="2"/>
  </clusternodes>
</cluster>
"#;

    #[test]
    fn the_vendors_form_survives_reading_and_writing() {
        let conf = ClusterConf::parse(EXAMPLE).unwrap();
        assert_eq!(conf.text(), EXAMPLE);
        assert_eq!((conf.version, conf.free_id()), (3, 3));
        assert_eq!(conf.settings(), Settings { expected: 2, two_node: false });
    }

    #[test]
    fn the_number_of_the_name() {
        assert_eq!(ClusterConf::parse(EXAMPLE).unwrap().cluster_id(), 36193);
    }

    #[test]
    fn two_node_needs_two() {
        let two = EXAMPLE.replace("<cman ", "<cman two_node=\"1\" expected_votes=\"1\" ");
        let mut conf = ClusterConf::parse(&two).unwrap();
        assert_eq!(conf.settings(), Settings { expected: 1, two_node: true });
        assert_eq!(conf.refusal(), None);
        conf.nodes.pop();
        assert!(conf.refusal().is_some());
    }

    #[test]
    fn broken_files_are_refused() {
        for broken in ["", "<cluster>", "<a/>", "<cluster name=\"x\"/>", &EXAMPLE.replace("nodeid=\"1\"", "")]
        {
            assert!(ClusterConf::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_gap_in_the_numbers_is_filled() {
        let mut conf = ClusterConf::parse(EXAMPLE).unwrap();
        conf.nodes.remove(0);
        assert_eq!(conf.free_id(), 1);
    }
}
