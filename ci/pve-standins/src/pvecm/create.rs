//! The stand-in's `pvecm create` (pve-3.2-tools.md 4.1).

use anyhow::{Result, bail};

use super::{CONF, Run};
use crate::clusterconf::{ClusterConf, KEY, Node};

impl Run {
    pub(super) fn create(&self) -> Result<u8> {
        let name = &self.given.word;
        if !fits(name) {
            bail!(
                "400 Parameter verification failed.\nclustername: value does not look like a valid cluster name"
            );
        }
        let address = self.host.address(&self.me)?;
        if self.host.path(CONF).exists() {
            bail!("cluster config '{CONF}' already exists");
        }
        self.prepare_ssh()?;
        if !self.key_exists() {
            Self::keygen(&self.host.path(KEY))?;
        }
        let (id, votes) = (self.given.nodeid.unwrap_or(1), self.given.votes.unwrap_or(1));
        let node = Node { name: self.me.clone(), votes, id, address: Some(address) };
        self.write(CONF, ClusterConf::new(name, node).text().as_bytes())?;
        self.folders(&self.me)?;
        self.merge_keys()?;
        self.certificates(false)?;
        self.known_hosts()?;
        self.service("pve-cluster", "restart")?;
        // The vendor's does not look at these results either: exit 0 proves no running cluster.
        self.service_if_there("cman", "start");
        self.service_if_there("clvm", "start");
        Ok(0)
    }
}

/// Letters, digits, inner hyphens, at most 15.
fn fits(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.len() <= 15
        && !name.is_empty()
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn names_of_clusters() {
        for (name, wanted) in [
            ("DLLL-CIAS", true),
            ("a", true),
            ("exactly-15-char", true),
            ("more-than-15-cha", false),
            ("-a", false),
            ("a-", false),
            ("a_b", false),
            ("", false),
        ] {
            assert_eq!(fits(name), wanted, "{name}");
        }
    }
}
