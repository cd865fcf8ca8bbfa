//! The names of the original plan, and what each stands for.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyhow::Result;

use crate::keepalived::conf;
use crate::system::Sysroot;
use crate::{files, setup};

/// This program on a node.
const PROGRAM: &str = "/usr/sbin/cias-firstboot";

/// Names of this program, and the sub-command that each is. The plan spells one of them wrong, and people have it in their notes.
pub const COMMANDS: &[(&str, &str)] = &[
    (setup::ALIAS, "setup"),
    ("keepalived_to_master.sh", "promote"),
    ("dlll_cias-switch_to_master.sh", "switch"),
    ("dlll_cias-swtich_to_master.sh", "switch"),
];

/// All links of a management folder, with what they lead to.
pub fn links() -> impl Iterator<Item = (&'static str, &'static str)> {
    let configurations = [("keepalived.conf", conf::FILE), ("keepalived-manual.conf", conf::MANUAL_FILE)];
    COMMANDS.iter().map(|(name, _)| (*name, PROGRAM)).chain(configurations)
}

/// The words of the command line that the program's name stands for, in front of those that were typed; nothing for its own names.
pub fn words(name: &OsStr, first: Option<&OsString>) -> Option<Vec<OsString>> {
    let (_, command) = COMMANDS.iter().find(|(alias, _)| name == *alias)?;
    let is_file = first.is_some_and(|first| !first.as_encoded_bytes().starts_with(b"-"));
    let site = (*command == "setup" && is_file).then_some("--site");
    Some(["cias", command].into_iter().chain(site).map(OsString::from).collect())
}

/// The links that a folder lacks, or that lead elsewhere; none to what this node does not have. What is there and is no link is
/// somebody's own.
pub fn missing(root: &Sysroot, folder: &str) -> impl Iterator<Item = (String, &'static str)> {
    let all = links().map(move |(name, target)| (format!("{folder}/{name}"), target));
    all.filter(|(_, target)| root.has(target)).filter(|(path, target)| {
        let path = root.path(path);
        match std::fs::read_link(&path) {
            Ok(found) => found != Path::new(target),
            Err(_) => std::fs::symlink_metadata(&path).is_err(),
        }
    })
}

/// Makes them.
pub fn lead(root: &Sysroot, folder: &str) -> Result<()> {
    for (path, target) in missing(root, folder) {
        let path = root.path(&path);
        files::remove(&path)?;
        files::lead(&path, target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn links_are_made_and_put_right_and_what_is_no_link_stays() {
        let tree = Tree::from_text(
            "/usr/sbin/cias-firstboot = x\n/etc/keepalived/keepalived.conf = x\n/data/cias/keepalived.conf -> /elsewhere\n/data/cias/dlll_cias-setup.sh = mine\n",
        );
        let root = tree.root();
        // All but the one that is no link, and the one that leads to what is not there.
        assert_eq!(missing(&root, "/data/cias").count(), links().count() - 2);
        lead(&root, "/data/cias").unwrap();
        assert_eq!(missing(&root, "/data/cias").count(), 0);
        assert_eq!(root.text("/data/cias/dlll_cias-setup.sh").unwrap(), "mine\n");
        assert_eq!(
            root.link_name("/data/cias/dlll_cias-swtich_to_master.sh").as_deref(),
            Some("cias-firstboot")
        );
        assert_eq!(
            std::fs::read_link(root.path("/data/cias/keepalived.conf")).unwrap(),
            Path::new(conf::FILE)
        );
    }
}
