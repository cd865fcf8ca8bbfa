//! A cluster of three, from three servers that were switched on together. It has all services, and `services` looks at those.

use anyhow::{Context, Result, ensure};

use super::Lab;
use super::formed::{self, NODES};
use super::intruder::{self, Keys};
use super::services_formed;

/// Nobody is pinned: one founds, two join, and nobody else gets in.
pub fn three_nodes(lab: &Lab) -> Result<()> {
    let fleet = services_formed::three(lab, "three-nodes")?;
    let _guests = fleet.start(0..3)?;
    let serials: Vec<String> = NODES
        .iter()
        .map(|address| fleet.node(address).ask("cat /sys/class/dmi/id/product_serial"))
        .collect::<Result<_>>()?;
    ensure!(
        serials.iter().all(|serial| serials.iter().filter(|other| *other == serial).count() == 1),
        "found the serial numbers {serials:?}, wanted three servers"
    );
    formed::whole(&fleet, &NODES)?;
    let elected = |address: &&str| {
        fleet.node(address).ask("grep -c '\"elected\": true' /var/lib/cias/agent.json || true")
    };
    let elected: Vec<String> = NODES.iter().map(elected).collect::<Result<_>>()?;
    ensure!(
        elected == ["1", "0", "0"],
        "found the elected servers {elected:?}, wanted the one at {} alone",
        NODES[0]
    );
    for (address, phase) in NODES.iter().zip(["serving", "member", "member"]) {
        let node = fleet.node(address);
        node.contains("cat /run/cias/agent.json", &format!("\"phase\": \"{phase}\""))?;
        no_join_key(lab, &fleet, address)?;
        // What one writes all read.
        node.ask(&format!("echo {address} >/etc/pve/{address}"))?;
    }
    for address in NODES {
        fleet.node(address).equals("cat /etc/pve/10.254.*", &NODES.join("\n"))?;
    }
    intruder::is_kept_out(&fleet, &Keys::make(lab, &fleet.folder)?, NODES[0])
}

/// Whoever takes a node's disk does not get the key that opens the door.
fn no_join_key(lab: &Lab, fleet: &super::fleet::Fleet, address: &str) -> Result<()> {
    let key = intruder::join_key(lab)?;
    let line = key.lines().find(|line| !line.starts_with('-')).context("reading the join key")?;
    // Over standard input, not in the line of a command.
    let found = fleet.node(address).told("grep -rlF -f - /etc /root /var/lib/cias || true", line)?;
    ensure!(found.is_empty(), "{address}: found the join key in {found}, wanted it gone");
    Ok(())
}
