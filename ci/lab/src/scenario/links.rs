//! Cables that are pulled and put back.

use anyhow::{Result, ensure};

use super::Lab;
use super::asserts;
use super::road::{ADDRESS, BOOT, Road};
use crate::guest::Guest;

/// Either NIC alone carries the address, and without both it is gone until they are back.
pub fn nic_loss(lab: &Lab) -> Result<()> {
    let road = Road::installed(lab, "nic-loss")?;
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)?;
    for (nic, other) in [(0, 1), (1, 0)] {
        guest.link(nic, false)?;
        carried_by(&road, &mut guest, &format!("eth{other}"))?;
        guest.link(nic, true)?;
        // Else the next cable would be pulled before this one is known to be back.
        active(&road, &mut guest, &format!("eth{nic}"), "up")?;
    }
    for nic in [0, 1] {
        guest.link(nic, false)?;
    }
    ensure!(
        !road.net.answers(ADDRESS)?,
        "{ADDRESS} answers although no NIC has a link: the scenario shows nothing"
    );
    for nic in [0, 1] {
        guest.link(nic, true)?;
    }
    guest.wait("answer after all links were off", BOOT, |_| Ok(road.net.answers(ADDRESS)?.then_some(())))?;
    asserts::settled(&road, &mut guest)
}

fn carried_by(road: &Road, guest: &mut Guest, nic: &str) -> Result<()> {
    guest.wait(&format!("answer over {nic}"), BOOT, |_| Ok(road.net.answers(ADDRESS)?.then_some(())))?;
    let node = road.node();
    node.equals("cat /sys/class/net/bond0/bonding/active_slave", nic)
}

fn active(road: &Road, guest: &mut Guest, nic: &str, wanted: &str) -> Result<()> {
    let state = format!("grep -A1 '^Slave Interface: {nic}$' /proc/net/bonding/bond0");
    guest.wait(&format!("link of {nic} {wanted}"), BOOT, |_| {
        let node = road.node();
        Ok(node.ask(&state)?.contains(&format!("MII Status: {wanted}")).then_some(()))
    })
}
