//! Servers that come to a cluster which is there already.

use anyhow::{Context, Result, ensure};

use super::Lab;
use super::fleet::{Fleet, Mould};
use super::formed::{self, NODES};
use super::road::{BOOT, PHASES};
use crate::guest::Guest;
use crate::phases::Phases;

/// Name of the first node, by the plan.
const FIRST: &str = "pve-rack-a-1-1";

/// And of the second.
const SECOND: &str = "pve-rack-a-1-2";

/// Furthest that two clocks may be apart, in seconds: a question over ssh takes some of them here.
const APART: i64 = 20;

/// The power of a node goes while it joins, and then that of the Master while another one does: both come back, and nobody is there
/// twice.
pub fn join_interrupted(lab: &Lab) -> Result<()> {
    let mould = Mould::unpinned(lab)?;
    let mut fleet = formed::founder(lab, "join-interrupted")?;
    fleet.add(&mould)?;
    fleet.add(&mould)?;
    let mut guests = fleet.start(0..2)?;
    let mut phases = Phases::begin();
    begun(&fleet, &mut guests, FIRST)?;
    phases.note("the first node is being added");
    // Off as by a power cut.
    drop(guests.pop());
    guests.push(fleet.boot(1)?);
    phases.note("its power was cut");
    formed::joined(&fleet, &mut guests, &NODES[..2], &mut phases)?;
    formed::whole(&fleet, &NODES[..2])?;
    once(&fleet)?;

    guests.push(fleet.boot(2)?);
    begun(&fleet, &mut guests, SECOND)?;
    phases.note("the second node is being added");
    drop(guests.remove(0));
    guests.insert(0, fleet.boot(0)?);
    phases.note("the Master's power was cut");
    formed::joined(&fleet, &mut guests, &NODES, &mut phases)?;
    formed::whole(&fleet, &NODES)?;
    once(&fleet)?;
    phases.end(&fleet.folder.join(PHASES))
}

/// A node that was removed says so, has ended its services and does not say that all is well.
fn stays_out(guest: &mut Guest) -> Result<()> {
    guest.wait_for("install this server anew", BOOT)?;
    // With them went the keys that ssh takes.
    guest.wait_for("and its services were ended", BOOT)?;
    guest.send("\r")?;
    guest.wait_for("(node, 10.254.1.2): STOPPED", BOOT)
}

/// Waits until the Master's configuration has the node `name`: it has begun to join, and is not in yet.
fn begun(fleet: &Fleet, guests: &mut [Guest], name: &str) -> Result<()> {
    let there = format!("grep -q {name} /etc/pve/cluster.conf");
    formed::holds(fleet, guests, NODES[0], &there, &format!("{name} in the Master's configuration"))?;
    let members = formed::members(fleet, NODES[0])?.context("asking the Master")?;
    ensure!(
        !members.is_online(name),
        "{name} had joined before its power was cut: the scenario shows nothing"
    );
    Ok(())
}

/// What nodes leave behind on the cluster's file system is there once for each.
fn once(fleet: &Fleet) -> Result<()> {
    let node = fleet.node(NODES[0]);
    let keys = node.ask("awk '{ print $2 }' /etc/pve/priv/authorized_keys | sort | uniq -d")?;
    ensure!(keys.is_empty(), "found keys twice in authorized_keys:\n{keys}");
    for address in NODES {
        let known = format!("ssh-keygen -F {address} -f /etc/pve/priv/known_hosts | grep -vc '^#' || true");
        let count = node.ask(&known)?;
        ensure!(matches!(count.as_str(), "0" | "1"), "found {count} host keys of {address}, wanted one");
    }
    Ok(())
}

/// Servers whose clocks stand years back or days ahead get the time, a place, and join.
pub fn late_joiner(lab: &Lab) -> Result<()> {
    let mould = Mould::unpinned(lab)?;
    let mut fleet = formed::founder(lab, "late-joiner")?;
    for clock in ["2000-01-01T00:00:00".to_owned(), later()?] {
        fleet.add(&mould)?;
        let last = fleet.servers.len() - 1;
        fleet.servers[last].machine.clock = Some(clock);
    }
    let mut guests = fleet.start(0..1)?;
    let mut phases = Phases::begin();
    for count in 1..=2 {
        guests.push(fleet.boot(count)?);
        formed::joined(&fleet, &mut guests, &NODES[..=count], &mut phases)?;
        let clock = |address: &str| -> Result<i64> {
            fleet.node(address).ask("date +%s")?.parse().context("reading a clock")
        };
        let (theirs, mine) = (clock(NODES[0])?, clock(NODES[count])?);
        ensure!((theirs - mine).abs() < APART, "found the clocks {theirs} and {mine}, wanted the Master's");
        // The battery's clock stands where the system's does, or the next boot is years back again.
        let hardware: i64 = fleet
            .node(NODES[count])
            .ask("cat /sys/class/rtc/rtc0/since_epoch")?
            .parse()
            .context("reading the hardware's clock")?;
        ensure!((theirs - hardware).abs() < APART, "found the hardware's clock {hardware}, wanted {theirs}");
    }
    formed::whole(&fleet, &NODES)?;
    phases.end(&fleet.folder.join(PHASES))
}

/// A date some days after today, as QEMU takes it.
fn later() -> Result<String> {
    use cias_firstboot::runner::{Call, Host, Runner};
    let call = Call::new("date").args(["-u", "-d", "9 days", "+%Y-%m-%dT%H:%M:%S"]);
    Ok(Host::unchecked(|_| ()).run(&call)?.stdout.trim().to_owned())
}

/// A server that is installed again gets its own place; after it was removed, another one.
pub fn rejoin(lab: &Lab) -> Result<()> {
    let mould = Mould::unpinned(lab)?;
    let fleet = formed::three(lab, "rejoin")?;
    let mut guests = fleet.start(0..3)?;
    let mut phases = Phases::begin();
    let (index, node) = (fleet.at(NODES[2])?, fleet.node(NODES[0]));
    drop(guests.remove(index));
    fleet.renew(index, &mould)?;
    guests.insert(index, fleet.boot(index)?);
    phases.note("installed again");
    // Before that the others still take it for the one that they know.
    guests[index].wait_for("10.254.1.2): done", BOOT)?;
    formed::joined(&fleet, &mut guests, &NODES, &mut phases)?;
    formed::whole(&fleet, &NODES)?;
    once(&fleet)?;
    drop(guests.remove(index));
    // As `cias remove` is to do it: the node is gone, its place is nobody's.
    node.ask(&format!("pvecm delnode {SECOND}"))?;
    node.ask("cd /etc/pve/priv/cias/ledger && sed '/10\\.254\\.1\\.2\"/s/\"member\"/\"retired\"/' 1 >1.new && mv 1.new 1")?;
    ensure!(
        formed::ledger(&fleet, NODES[0])?.is_retired([10, 254, 1, 2].into()),
        "the ledger does not have the node as retired"
    );
    // It boots as it was, with the cluster's configuration and key, and is told.
    guests.insert(index, fleet.boot(index)?);
    stays_out(&mut guests[index])?;
    phases.note("removed, booted again and stopped");
    drop(guests.remove(index));
    for address in &NODES[..2] {
        let members = formed::members(&fleet, address)?.context("asking a node that stays")?;
        ensure!(
            members.is_quorate_in(formed::CLUSTER) && members.nodes.len() == 2,
            "{address}: found {members:?}, wanted a quorate cluster of two"
        );
    }
    fleet.renew(index, &mould)?;
    guests.insert(index, fleet.boot(index)?);
    phases.note("removed, and installed again");
    let addresses = [NODES[0], NODES[1], "10.254.1.3"];
    formed::joined(&fleet, &mut guests, &addresses, &mut phases)?;
    fleet.node(addresses[2]).equals("hostname", "pve-rack-a-1-3")?;
    ensure!(!fleet.net.answers(NODES[2])?, "somebody answers at the old address {}", NODES[2]);
    phases.end(&fleet.folder.join(PHASES))
}
