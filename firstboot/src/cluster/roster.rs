//! All nodes of the cluster, as any of them knows them: from the ledger, from `.members`, and from what each node's agent leaves on the
//! cluster's file system.

use std::fmt;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::members::{self, Members};
use super::{MOUNTED, record, register};
use crate::files;
use crate::hello::ledger::State;
use crate::system::Sysroot;

/// How often a node writes that it is there: each write goes to all nodes.
pub const EVERY: Duration = Duration::from_mins(5);

/// What a node leaves for the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Version of the program.
    pub version: String,
    /// `Master` or `node`.
    pub role: String,
    /// When it was written, in seconds since 1970.
    pub at: u64,
}

/// A node in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Host name.
    pub name: String,
    /// `Master` or `node`.
    pub role: String,
    /// Its own address.
    pub address: Ipv4Addr,
    /// `offered`, `member` or `retired`, as the ledger has it.
    pub place: &'static str,
    /// It takes part in the cluster now.
    pub online: bool,
    /// Version of its program, if it told one.
    pub version: Option<String>,
    /// When it told so, in seconds since 1970.
    pub last_contact: Option<u64>,
}

fn file(name: &str) -> String {
    format!("/etc/pve/nodes/{name}/cias.json")
}

/// Leaves this node's word for the others.
pub fn leave_word(root: &Sysroot, name: &str, is_master: bool) -> Result<()> {
    let contact = Contact {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        role: if is_master { "Master" } else { "node" }.to_owned(),
        at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
    };
    let text = serde_json::to_string(&contact).context("writing the node's word as JSON")?;
    files::write_shared(&root.path(&file(name)), text + "\n")
}

/// All nodes by address, those that were removed too; none on a node that is in no cluster yet. An error says why they are not to be seen.
pub fn read(root: &Sysroot) -> Result<Vec<Row>> {
    let mounted = std::fs::symlink_metadata(root.path(MOUNTED));
    if mounted.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
        return Err(register::not_root());
    }
    if !members::is_mounted(root) && record::read(root).is_none() {
        return Ok(Vec::new());
    }
    let ledger = register::read(root)?;
    let members = Members::read(root)?.unwrap_or_default();
    let row = |entry: &crate::hello::ledger::Entry| {
        let name = &entry.place.name;
        let told = root.attribute(&file(name)).and_then(|text| serde_json::from_str::<Contact>(&text).ok());
        let online = entry.state == State::Member && members.is_online(name);
        Row {
            name: name.clone(),
            role: told.as_ref().map_or_else(|| "node".to_owned(), |told| told.role.clone()),
            address: entry.place.address,
            place: entry.state.name(),
            online,
            version: told.as_ref().map(|told| told.version.clone()),
            last_contact: told.map(|told| told.at),
        }
    };
    Ok(ledger.entries().map(row).collect())
}

/// For people, with `now` in seconds since 1970.
pub fn show(rows: &[Row], now: u64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for row in rows {
        let state = if row.online {
            "online"
        } else if row.place == "member" {
            "offline"
        } else {
            row.place
        };
        let told = match (&row.version, row.last_contact) {
            (Some(version), Some(at)) => {
                format!("version {version}, {} min ago", now.saturating_sub(at) / 60)
            }
            _ => "not heard of yet".to_owned(),
        };
        writeln!(
            out,
            "  {:<15} {:<28} {:<7} {state:<8} {}",
            row.address.to_string(),
            row.name,
            crate::site::visible(&row.role),
            crate::site::visible(&told)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::MachineId;
    use crate::hello::ledger::Entry;
    use crate::site::Place;
    use crate::tree::Tree;

    struct Shown(Vec<Row>);

    impl fmt::Display for Shown {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            show(&self.0, 1000, out)
        }
    }

    #[test]
    fn the_list_has_all_that_the_ledger_has() {
        let tree = Tree::from_text(
            "/etc/pve/local -> nodes/m\n/run/cias/\n\
             /etc/pve/.members = {\"nodename\": \"m\", \"nodelist\": {\"m\": {\"online\": 1}, \"n\": {\"online\": 0}}}\n\
             /etc/pve/nodes/m/cias.json = {\"version\": \"0.1.0\", \"role\": \"Master\", \"at\": 880}\n\
             /etc/pve/nodes/n/cias.json = torn\n",
        );
        let root = tree.root();
        assert_eq!(read(&Tree::from_text("").root()).unwrap(), []);
        register::change(&root, |ledger| {
            for (byte, name, state) in [
                (1, "m", State::Member),
                (2, "n", State::Member),
                (3, "o", State::Offered),
                (4, "p", State::Retired),
            ] {
                let place =
                    Place { address: [10, 254, 1, byte].into(), name: name.into(), fqdn: name.into() };
                ledger.enter(Entry { machine: MachineId([byte; 16]), state, place, serial: None })?;
            }
            Ok(())
        })
        .unwrap();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: Vec<String> = Shown(read(&root).unwrap()).to_string().lines().map(words).collect();
        assert_eq!(
            shown,
            [
                "10.254.1.1 m Master online version 0.1.0, 2 min ago",
                "10.254.1.2 n node offline not heard of yet",
                "10.254.1.3 o node offered not heard of yet",
                "10.254.1.4 p node retired not heard of yet",
            ]
        );
    }

    #[test]
    fn a_member_whose_cluster_is_not_there_says_so() {
        let error = read(&Tree::from_text("/var/lib/cias/member-of = DLLL-CIAS\n").root()).unwrap_err();
        assert!(error.to_string().contains("is not mounted at /etc/pve"), "{error}");
    }

    #[test]
    fn whoever_may_not_read_the_ledger_hears_that_root_may() {
        use std::os::unix::fs::PermissionsExt;
        let ledger = "/etc/pve/priv/cias/ledger/1 = x\n";
        for (text, closed) in
            [(ledger, "/etc/pve"), (ledger, "/etc/pve/priv"), ("/etc/pve/priv/\n", "/etc/pve/priv")]
        {
            let tree =
                Tree::from_text(&format!("/etc/pve/local -> nodes/m\n/etc/pve/.members = {{}}\n{text}"));
            let root = tree.root();
            let mode = |path: &str, mode| {
                std::fs::set_permissions(root.path(path), PermissionsExt::from_mode(mode)).unwrap();
            };
            mode("/", 0o755);
            mode(closed, 0o700);
            // Of this thread alone, and root's rights over files go with it. Without root, closed is closed.
            nix::unistd::setfsuid(65534.into());
            if !nix::unistd::geteuid().is_root() {
                mode(closed, 0);
            }
            let found = read(&root);
            nix::unistd::setfsuid(nix::unistd::geteuid());
            mode(closed, 0o700);
            let error = found.unwrap_err().to_string();
            assert!(error.contains("only root may read the ledger"), "{closed}: {error}");
        }
    }
}
