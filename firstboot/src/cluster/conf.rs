//! `/etc/pve/cluster.conf`: which nodes the cluster counts, be they there or not.

use crate::system::Sysroot;

use super::members::CONF;

/// The names of all nodes that the cluster counts; none without a cluster.
pub fn nodes(root: &Sysroot) -> Vec<String> {
    names(&root.attribute(CONF).unwrap_or_default())
}

/// The `name` of each `clusternode` element.
fn names(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split("<clusternode").skip(1).filter(|rest| rest.starts_with(char::is_whitespace)) {
        let element = rest.split('>').next().unwrap_or_default();
        let value = element.split_once(" name=\"").and_then(|(_, value)| value.split_once('"'));
        found.extend(value.map(|(name, _)| name.to_owned()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_nodes_count() {
        let text = r#"<?xml version="1.0"?>
<cluster name="DLLL-CIAS" config_version="3">
  <cman keyfile="/var/lib/pve-cluster/corosync.authkey"/>
  <clusternodes>
  <clusternode name="pve1" votes="1" nodeid="1"/>
  <clusternode votes="1" nodeid="2" name="pve2"><fence><method name="other"/></fence></clusternode></clusternodes>
</cluster>
"#;
        assert_eq!(names(text), ["pve1", "pve2"]);
        assert_eq!(names(""), [""; 0]);
    }
}
