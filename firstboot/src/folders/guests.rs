//! `pve_master_vmid.conf`: all guests of the cluster and where each belongs, readable where neither the cluster's file system nor its
//! owner is there.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::site::visible;
use crate::system::Sysroot;

/// Its name in the management folders.
pub const NAME: &str = "pve_master_vmid.conf";

/// What the cluster's file system knows of all guests (docs/facts.md 15).
const LIST: &str = "/etc/pve/.vmlist";

/// How it begins; nothing more where there are no guests.
pub const HEAD: &str = "# The guests of the cluster, written by `cias export-vms`: VMID NODE TYPE NAME\n";

/// The file system's own list.
#[derive(Debug, Deserialize)]
pub struct List {
    /// By number.
    #[serde(default)]
    pub ids: BTreeMap<u32, Owner>,
}

/// Where a guest belongs.
#[derive(Debug, Deserialize)]
pub struct Owner {
    /// Its node.
    pub node: String,
    /// `qemu` or `openvz`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// All guests that the cluster's file system knows.
pub fn read(root: &Sysroot) -> Result<List> {
    serde_json::from_str(&root.text(LIST)?).with_context(|| format!("reading {LIST}"))
}

/// The file, as it should be now.
pub fn text(root: &Sysroot) -> Result<String> {
    let list = read(root)?;
    let mut text = HEAD.to_owned();
    for (id, owner) in list.ids {
        let name = name(root, id, &owner).unwrap_or_else(|| "-".to_owned());
        writeln!(text, "{id} {} {} {name}", visible(&owner.node), visible(&owner.kind))?;
    }
    Ok(text)
}

/// What its configuration calls it, outside of snapshots.
fn name(root: &Sysroot, id: u32, owner: &Owner) -> Option<String> {
    let (folder, key) =
        if owner.kind == "openvz" { ("openvz", "HOSTNAME=") } else { ("qemu-server", "name:") };
    let text = root.text(&format!("/etc/pve/nodes/{}/{folder}/{id}.conf", owner.node)).ok()?;
    let mut lines = text.lines().take_while(|line| !line.starts_with('['));
    let value = lines.find_map(|line| line.trim().strip_prefix(key))?;
    let name = visible(value.trim().trim_matches('"'));
    (!name.is_empty() && !name.contains(' ')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn guests_stand_in_the_order_of_their_numbers_with_node_type_and_name() {
        let list = "{\"version\": 3, \"ids\": {\"1000\": {\"node\": \"a\", \"type\": \"qemu\", \"version\": 1}, \
                    \"101\": {\"node\": \"b\", \"type\": \"openvz\", \"version\": 2}, \"100\": {\"node\": \"a\", \"type\": \"qemu\", \"version\": 3}}}";
        let tree = Tree::from_text(&format!(
            "/etc/pve/.vmlist = {list}\n/etc/pve/nodes/a/qemu-server/100.conf = bootdisk: virtio0\\nname: gateway\\n\\n[before]\\nname: old\n\
             /etc/pve/nodes/b/openvz/101.conf = HOSTNAME=\"web.example.com\"\n/etc/pve/nodes/a/qemu-server/1000.conf = [x]\\nname: no\n"
        ));
        let wanted = format!("{HEAD}100 a qemu gateway\n101 b openvz web.example.com\n1000 a qemu -\n");
        assert_eq!(text(&tree.root()).unwrap(), wanted);
    }

    #[test]
    fn a_cluster_without_guests_has_an_empty_list() {
        for found in ["{\"version\": 1}", "{\"ids\": {}}"] {
            let tree = Tree::from_text(&format!("/etc/pve/.vmlist = {found}\n"));
            assert_eq!(text(&tree.root()).unwrap(), HEAD);
        }
    }

    #[test]
    fn a_list_that_is_none_is_an_error_and_not_an_empty_cluster() {
        for found in ["/etc/pve/\n", "/etc/pve/.vmlist = {\n", "/etc/pve/.vmlist = {\"ids\": {\"x\": {}}}\n"]
        {
            assert!(text(&Tree::from_text(found).root()).is_err(), "{found}");
        }
    }
}
