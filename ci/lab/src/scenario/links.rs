//! Cables that are pulled and put back.

use anyhow::{Result, ensure};
use cias_firstboot::runner::Call;

use super::Lab;
use super::asserts::{self, Node};
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
    ensure!(!answers(&road)?, "{ADDRESS} answers although no NIC has a link: the scenario shows nothing");
    for nic in [0, 1] {
        guest.link(nic, true)?;
    }
    guest.wait("answer after all links were off", BOOT, |_| Ok(answers(&road)?.then_some(())))?;
    asserts::settled(&road, &mut guest)
}

/// One echo request that comes back within two seconds.
fn answers(road: &Road) -> Result<bool> {
    let ping = Call::new("ping").args(["-n", "-c", "1", "-W", "2", ADDRESS]);
    let output = road.net.outcome(&ping)?;
    // 1 says that nothing came back, or not yet a way to it; everything else, that ping itself failed.
    ensure!(matches!(output.code, 0 | 1), "ping ended with {}: {}", output.code, output.stderr);
    Ok(output.code == 0)
}

fn carried_by(road: &Road, guest: &mut Guest, nic: &str) -> Result<()> {
    guest.wait(&format!("answer over {nic}"), BOOT, |_| Ok(answers(road)?.then_some(())))?;
    let node = Node { guest, key: &road.site.key };
    node.equals("cat /sys/class/net/bond0/bonding/active_slave", nic)
}

fn active(road: &Road, guest: &mut Guest, nic: &str, wanted: &str) -> Result<()> {
    let state = format!("grep -A1 '^Slave Interface: {nic}$' /proc/net/bonding/bond0");
    guest.wait(&format!("link of {nic} {wanted}"), BOOT, |guest| {
        let node = Node { guest, key: &road.site.key };
        Ok(node.ask(&state)?.contains(&format!("MII Status: {wanted}")).then_some(()))
    })
}
