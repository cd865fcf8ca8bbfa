//! The cluster's stand-ins on an installed node, with real corosync.

use anyhow::Result;

use super::Lab;
use super::asserts;
use super::road::{BOOT, Road};

/// From a standalone node to a cluster of one, as `pvecm create` leaves it.
pub fn of_one(lab: &Lab) -> Result<()> {
    let road = Road::installed(lab, "cluster-of-one")?;
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)?;
    let node = road.node();
    node.contains("cat /etc/pve/user.cfg", "user:root@pam:1:")?;
    node.ask("pvecm create DLLL-CIAS </dev/null")?;
    guest.wait("quorum of a cluster of one", BOOT, |_| {
        let node = road.node();
        Ok(node.ask("cat /etc/pve/.members")?.contains("\"quorate\": 1").then_some(()))
    })?;
    let node = road.node();
    node.contains("cman_tool status", "Quorum: 1")?;
    node.contains("corosync-cmapctl runtime.members.", "joined")?;
    node.equals("mkdir /etc/pve/priv/lock/x && ls /etc/pve/priv/lock", "x")
}
