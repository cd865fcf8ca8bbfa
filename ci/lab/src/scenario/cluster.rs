//! The cluster's stand-ins on an installed node, with real corosync.

use anyhow::Result;

use super::Lab;
use super::asserts::{self, Node};
use super::road::{BOOT, Road};

/// From a standalone node to a cluster of one, as `pvecm create` leaves it.
pub fn of_one(lab: &Lab) -> Result<()> {
    let road = Road::installed(lab, "cluster-of-one")?;
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)?;
    let node = Node { guest: &guest, key: &road.site.key };
    node.contains("cat /etc/pve/user.cfg", "user:root@pam:1:")?;
    node.ask("pvecm create DLLL-CIAS </dev/null")?;
    guest.wait("quorum of a cluster of one", BOOT, |guest| {
        let node = Node { guest, key: &road.site.key };
        Ok(node.ask("cat /etc/pve/.members")?.contains("\"quorate\": 1").then_some(()))
    })?;
    let node = Node { guest: &guest, key: &road.site.key };
    node.contains("cman_tool status", "Quorum: 1")?;
    node.contains("corosync-cmapctl runtime.members.", "joined")?;
    node.equals("mkdir /etc/pve/priv/lock/x && ls /etc/pve/priv/lock", "x")
}
