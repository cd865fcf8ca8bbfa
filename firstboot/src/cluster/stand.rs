//! How a node stands to its cluster. Pure but for [`Seen::look`].
//!
//! The one question that must not be answered wrongly: has this node been a member, and only waits for the others, or did a join
//! not come to its end? A member never takes itself out of the cluster for want of quorum; a half-joined node must.
//! So a member is remembered in a file of its own, which is written once the cluster was seen with this node in it.

use super::members::{self, Members};
use super::{keys, record};
use crate::system::Sysroot;

/// The cluster's own list of nodes, on the cluster's file system and beside it.
const CONFS: [&str; 2] = ["/etc/pve/cluster.conf", "/etc/cluster/cluster.conf"];

/// What is to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The cluster's file system is there.
    pub is_mounted: bool,
    /// The cluster that this node is configured for; empty if its name cannot be read.
    pub cluster: Option<String>,
    /// It has quorum, and this node is online in it.
    pub is_quorate: bool,
    /// The cluster that this node is remembered to have been a member of.
    pub remembered: Option<String>,
    /// Root's keys of before are still kept, so that what follows from a membership is not done.
    pub has_kept_keys: bool,
}

impl Seen {
    /// Looks.
    pub fn look(root: &Sysroot) -> Self {
        // What cannot be read is a file system that is about to go or to come.
        let members = Members::read(root).ok().flatten();
        let told = members.as_ref().and_then(|members| members.cluster.as_ref());
        let is_quorate = members.as_ref().zip(told).is_some_and(|(all, told)| all.is_quorate_in(&told.name));
        let configured = CONFS.iter().find(|path| root.has(path));
        Self {
            is_mounted: members.is_some(),
            cluster: told
                .map(|told| told.name.clone())
                .or_else(|| configured.map(|path| name(&root.attribute(path).unwrap_or_default()))),
            is_quorate,
            remembered: record::read(root),
            has_kept_keys: keys::are_kept(root),
        }
    }
}

/// How a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// A member, and all is done.
    Done,
    /// A member, and what follows from it is to be done.
    Arrived,
    /// The cluster's file system is not there, so nothing can be said.
    Unmounted,
    /// In another cluster.
    Foreign(String),
    /// It was a member of this cluster, and has none now: it was taken out.
    Left(String),
    /// A member without quorum: it waits for the others.
    Lost,
    /// Configured for the cluster, and never seen in it.
    Half,
    /// In no cluster.
    Alone,
}

/// How a node that saw `seen` stands to the cluster `name`.
pub fn stand(seen: &Seen, name: &str) -> Stand {
    let is_remembered = seen.remembered.as_deref() == Some(name);
    match (&seen.cluster, &seen.remembered) {
        _ if !seen.is_mounted => Stand::Unmounted,
        (Some(other), _) if !other.is_empty() && other != name => Stand::Foreign(other.clone()),
        (Some(_), _) if seen.is_quorate && is_remembered && !seen.has_kept_keys => Stand::Done,
        (Some(_), _) if seen.is_quorate => Stand::Arrived,
        (Some(_), _) if is_remembered => Stand::Lost,
        (Some(_), _) => Stand::Half,
        (None, Some(before)) => Stand::Left(before.clone()),
        (None, None) => Stand::Alone,
    }
}

/// The name of the cluster in the text of a cluster.conf; empty if there is none.
fn name(text: &str) -> String {
    let element = text.split_once("<cluster ").and_then(|(_, rest)| rest.split('>').next()).unwrap_or("");
    let mut words = element.split_whitespace().filter_map(|word| word.strip_prefix("name="));
    words.next().map(|value| value.trim_matches(['"', '\'', '/']).to_owned()).unwrap_or_default()
}

/// Is the cluster's file system there now?
pub fn is_there(root: &Sysroot) -> bool {
    members::is_mounted(root) && Members::read(root).is_ok_and(|members| members.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    const OURS: Option<&str> = Some("A");
    const OTHER: Option<&str> = Some("B");

    #[test]
    fn only_a_node_that_never_was_a_member_is_half_joined() {
        // Mounted, cluster, quorate, remembered, keys kept.
        for (mounted, cluster, quorate, remembered, kept, wanted) in [
            (false, OURS, false, None, false, Stand::Unmounted),
            (false, OURS, false, OURS, false, Stand::Unmounted),
            (false, None, false, None, true, Stand::Unmounted),
            (true, None, false, None, false, Stand::Alone),
            (true, None, false, None, true, Stand::Alone),
            (true, None, false, OURS, false, Stand::Left("A".into())),
            (true, None, false, OTHER, false, Stand::Left("B".into())),
            (true, OURS, false, None, false, Stand::Half),
            (true, OURS, false, None, true, Stand::Half),
            (true, Some(""), false, None, true, Stand::Half),
            (true, OURS, false, OTHER, false, Stand::Half),
            (true, OURS, false, OURS, false, Stand::Lost),
            (true, OURS, false, OURS, true, Stand::Lost),
            (true, Some(""), false, OURS, false, Stand::Lost),
            (true, OURS, true, None, true, Stand::Arrived),
            (true, OURS, true, None, false, Stand::Arrived),
            (true, OURS, true, OURS, true, Stand::Arrived),
            (true, OURS, true, OURS, false, Stand::Done),
            (true, OTHER, true, None, false, Stand::Foreign("B".into())),
            (true, OTHER, false, OURS, false, Stand::Foreign("B".into())),
        ] {
            let seen = Seen {
                is_mounted: mounted,
                cluster: cluster.map(Into::into),
                is_quorate: quorate,
                remembered: remembered.map(Into::into),
                has_kept_keys: kept,
            };
            assert_eq!(stand(&seen, "A"), wanted, "{seen:?}");
        }
    }

    #[test]
    fn the_name_of_a_cluster_without_quorum_is_in_its_configuration() {
        let conf =
            "<?xml version=\"1.0\"?>\n<cluster config_version=\"2\" name=\"DLLL-CIAS\">\n  <clusternodes>";
        for (text, wanted) in [(conf, "DLLL-CIAS"), ("<cluster name='A'/>", "A"), ("<clus", ""), ("", "")] {
            assert_eq!(name(text), wanted, "{text}");
        }
        let tree = Tree::from_text(
            "/etc/pve/local -> nodes/a\n/etc/pve/.members = {\"nodename\": \"a\"}\n/etc/cluster/cluster.conf = <cluster name=\"A\">\n",
        );
        let seen = Seen::look(&tree.root());
        assert_eq!(seen, Seen { is_mounted: true, cluster: Some("A".into()), ..Seen::default() });
    }
}
