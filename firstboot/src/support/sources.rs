//! What of a node goes into a bundle.

use crate::agent::published;
use crate::cluster;
use crate::journal;
use crate::system::Sysroot;

/// A file to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is on the node.
    pub path: String,
    /// How much of its end is taken, in bytes; all of it without.
    pub tail: Option<u64>,
}

/// Files to take, whether they are there or not.
const FILES: [&str; 9] = [
    journal::FILE,
    published::FILE,
    "/etc/network/interfaces",
    "/etc/hosts",
    "/etc/fstab",
    "/proc/mounts",
    "/etc/pve/.members",
    "/etc/pve/.vmlist",
    "/etc/pve/cluster.conf",
];

/// Logs of the system, of which only the end is taken.
const LOGS: [&str; 2] = ["/var/log/syslog", "/var/log/cluster/corosync.log"];
const TAIL: u64 = 1 << 20;

/// Packages whose versions are told: by the beginning of their names.
const PACKAGES: [&str; 12] = [
    "pve-",
    "proxmox-ve",
    "libpve-",
    "qemu-server",
    "keepalived",
    "mfs",
    "moosefs",
    "corosync",
    "redhat-cluster-pve",
    "openssh-",
    "ifenslave",
    "cias-firstboot",
];

/// Where dpkg keeps what is installed.
pub const DPKG: &str = "/var/lib/dpkg/status";

/// All files to take; those of folders only as they are there.
pub fn sources(root: &Sysroot) -> Vec<Source> {
    let whole = |path: String| Source { path, tail: None };
    let mut all: Vec<Source> = FILES.iter().map(|path| whole((*path).to_owned())).collect();
    let ledger = format!("{}/ledger", cluster::FOLDER);
    for folder in ["/proc/net/bonding", &ledger, "/var/log/cias"] {
        let names = root.names(folder);
        if names.is_empty() {
            // It is told that there is none.
            all.push(whole(folder.to_owned()));
        }
        all.extend(names.iter().map(|name| whole(format!("{folder}/{name}"))));
    }
    all.extend(LOGS.iter().map(|path| Source { path: (*path).to_owned(), tail: Some(TAIL) }));
    all
}

/// Name, version and state of each package that matters, from dpkg's status file.
pub fn versions(status: &str) -> String {
    let field = |paragraph: &str, key: &str| {
        let value = paragraph.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        value.unwrap_or("unknown").to_owned()
    };
    let paragraphs = status.split("\n\n").filter(|paragraph| {
        let name = field(paragraph, "Package");
        PACKAGES.iter().any(|start| name.starts_with(start))
    });
    let line = |paragraph: &str| {
        format!(
            "{} {} ({})\n",
            field(paragraph, "Package"),
            field(paragraph, "Version"),
            field(paragraph, "Status")
        )
    };
    paragraphs.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn versions_of_what_matters_are_told() {
        let status = "Package: bash\nStatus: install ok installed\nVersion: 4.2\n\n\
                      Package: pve-manager\nStatus: install ok installed\nVersion: 3.2-4\n\nPackage: mfs-master\nVersion: 1.6\n";
        assert_eq!(versions(status), "pve-manager 3.2-4 (install ok installed)\nmfs-master 1.6 (unknown)\n");
    }

    #[test]
    fn every_log_and_bond_is_taken_and_a_missing_folder_is_told() {
        let tree = Tree::from_text("/var/log/cias/a.log = x\n/var/log/cias/a.log.1.gz = x\n");
        let paths: Vec<String> = sources(&tree.root()).into_iter().map(|source| source.path).collect();
        for wanted in ["/var/log/cias/a.log", "/var/log/cias/a.log.1.gz", "/proc/net/bonding", "/etc/hosts"] {
            assert!(paths.iter().any(|path| path == wanted), "{wanted}: {paths:?}");
        }
    }
}
