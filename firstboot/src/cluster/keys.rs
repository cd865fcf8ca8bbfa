//! Root's keys for this node, which must outlive it: `pvecm` turns root's `authorized_keys` into a link to the cluster's file, and
//! what was in the node's own database goes with it (docs/facts.md 16).

use std::collections::BTreeSet;

use anyhow::Result;

use super::members;
use crate::files;
use crate::system::Sysroot;

/// Of root on this node.
const OWN: &str = "/root/.ssh/authorized_keys";

/// Of the cluster.
const SHARED: &str = "/etc/pve/priv/authorized_keys";

/// What was there before this node was in a cluster.
const KEPT: &str = "/var/lib/cias/authorized_keys.before";

/// Keeps what is there now, unless an earlier try did: what is there after that is not the node's own.
pub fn keep(root: &Sysroot) -> Result<()> {
    if are_kept(root) {
        return Ok(());
    }
    let path = root.path(KEPT);
    if let Some(folder) = path.parent() {
        files::make_folder(folder, 0o755)?;
    }
    let text = std::fs::read_to_string(root.path(OWN)).unwrap_or_default();
    files::write(&path, text, 0o600)
}

/// Were they kept, and are they still?
pub fn are_kept(root: &Sysroot) -> bool {
    root.has(KEPT)
}

/// Has all that were kept open this node again. They stay kept.
pub fn restore(root: &Sysroot) -> Result<()> {
    let kept = std::fs::read_to_string(root.path(KEPT)).unwrap_or_default();
    let is_shared = members::is_mounted(root)
        && std::fs::read_link(root.path(OWN)).is_ok_and(|target| target.ends_with("priv/authorized_keys"));
    let path = root.path(if is_shared { SHARED } else { OWN });
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let known: BTreeSet<&str> = found.lines().map(str::trim).collect();
    let missing: Vec<&str> =
        kept.lines().map(str::trim).filter(|line| !line.is_empty() && !known.contains(line)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut text = found.clone();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.extend(missing.iter().flat_map(|line| [line, "\n"]));
    if is_shared { files::write_shared(&path, text) } else { files::write(&path, text, 0o600) }
}

/// They are where they belong, and what a person takes out from now on stays out.
pub fn forget(root: &Sysroot) -> Result<()> {
    files::remove(&root.path(KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn the_keys_of_before_are_put_back_into_the_cluster_or_the_node_and_only_once() {
        for link in ["", "/etc/pve/local -> nodes/a\n"] {
            let tree = Tree::from_text(&format!("/root/.ssh/authorized_keys = ssh-rsa A admin\n{link}"));
            let root = tree.root();
            keep(&root).unwrap();
            let own = root.path(OWN);
            let target = if link.is_empty() { own.clone() } else { root.path(SHARED) };
            if !link.is_empty() {
                std::fs::remove_file(&own).unwrap();
                std::os::unix::fs::symlink("/etc/pve/priv/authorized_keys", &own).unwrap();
                std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            }
            std::fs::write(&target, "ssh-rsa B other").unwrap();
            keep(&root).unwrap();
            for _ in 0..2 {
                restore(&root).unwrap();
                let text = std::fs::read_to_string(&target).unwrap();
                assert_eq!(text, "ssh-rsa B other\nssh-rsa A admin\n");
            }
            forget(&root).unwrap();
            std::fs::write(&target, "").unwrap();
            restore(&root).unwrap();
            assert_eq!(std::fs::read_to_string(&target).unwrap(), "");
        }
    }
}
