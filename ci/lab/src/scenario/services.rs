//! All services of a cluster, on three nodes and on one.

use anyhow::Result;

use super::Lab;
use super::fleet::Fleet;
use super::formed::{self, NODES};
use super::road::{BOOT, PHASES};
use super::services_formed::{self, Beside, VIP};
use super::services_shown as shown;
use super::services_told;
use crate::guest::{self, Guest};
use crate::kept;
use crate::phases::Phases;

/// The name of an archive of the gateway.
const ARCHIVE: &str = "vzdump-qemu-100-2026_01_05-02_00_01.vma";

/// The archive of the gateway that each node keeps.
const KEPT: &str = "/var/lib/vz/dump/zentyal.tar.vma";

/// Three servers that nobody touched have all services; the times of the way there are printed.
pub fn services(lab: &Lab) -> Result<()> {
    // Another run's cluster would show nothing about this one.
    kept::forget(&lab.folder.join(services_formed::THREE))?;
    let fleet = services_formed::three(lab, "services")?;
    let beside = Beside::start(&fleet)?;
    let mut phases = Phases::begin();
    let mut guests = fleet.start(0..3)?;
    guest::all(&mut guests, "answer of the Master", BOOT, |_| Ok(fleet.net.answers(VIP)?.then_some(())))?;
    formed::whole(&fleet, &NODES)?;
    phases.note("the cluster goes on");
    serves(&fleet, &mut guests, &beside, (&NODES, 2), &mut phases)?;
    shown::strangers_are_refused(&fleet, NODES[1])?;
    phases.note("a stranger is refused");
    shown::what_was_killed_comes_back(&fleet, &mut guests, NODES[2])?;
    phases.note("what was killed is back");
    cron(&fleet, &mut guests)?;
    phases.note("jobs run");
    services_told::arrives(lab, &fleet, &mut guests, &beside)?;
    phases.note("what happened is told");
    phases.end(&fleet.folder.join(PHASES))
}

/// A founder alone keeps one copy of all, and serves.
pub fn one_node(lab: &Lab) -> Result<()> {
    let fleet = Fleet::new(lab, "services-one-node", &services_formed::mould(lab)?, 1)?;
    let mut beside = Beside::start(&fleet)?;
    beside.nas.off()?;
    let mut guests = fleet.start(0..1)?;
    let mut phases = Phases::begin();
    services_formed::up(&fleet, &mut guests, &NODES[..1], &mut phases)?;
    shown::defined(&fleet, &mut guests, &NODES[..1], false)?;
    phases.note("a NAS that is off stalls nothing");
    beside.nas.on()?;
    formed::serves(&fleet, &mut guests)?;
    // insserv shuffles the boot when scripts want each other, and only says so.
    let loops = "grep -ci 'there is a loop' /var/log/cias/install.log || true";
    fleet.node(NODES[0]).equals(loops, "0")?;
    serves(&fleet, &mut guests, &beside, (&NODES[..1], 1), &mut phases)?;
    shown::what_was_killed_comes_back(&fleet, &mut guests, NODES[0])?;
    phases.note("what was killed is back");
    phases.end(&fleet.folder.join(PHASES))?;
    beside.has_told(&fleet, &mut guests, &NODES[..1])
}

/// Everything that nodes in any number have; new files get so many `copies`.
fn serves(
    fleet: &Fleet,
    guests: &mut [Guest],
    beside: &Beside,
    (addresses, copies): (&[&str], usize),
    phases: &mut Phases,
) -> Result<()> {
    shown::addresses(fleet, addresses)?;
    phases.note("addresses");
    shown::moosefs(fleet, guests, addresses, copies)?;
    phases.note("MooseFS");
    shown::files(fleet, guests, addresses, copies)?;
    phases.note("files");
    shown::storages(fleet, guests, &beside.nas, addresses)?;
    phases.note("storages");
    shown::schedules(fleet, addresses)?;
    phases.note("schedules");
    shown::folders(fleet, addresses)?;
    phases.note("management folders");
    Ok(())
}

/// Every node's cron reads the cluster's table, and takes the gateway's archive on a Monday at four.
fn cron(fleet: &Fleet, guests: &mut [Guest]) -> Result<()> {
    fleet.node(NODES[0]).ask("echo '* * * * * root touch /root/cron-was-here' >>/etc/pve/vzdump.cron")?;
    for address in NODES {
        formed::holds(fleet, guests, address, "[ -e /root/cron-was-here ]", "job of the cluster's table")?;
    }
    let node = fleet.node(NODES[2]);
    let archive = format!("/mnt/mfs/backup/dump/{ARCHIVE}");
    node.ask(&format!("[ ! -e {KEPT} ] && echo 'memory: 512' >/root/qemu-server.conf && vma create {archive} -c /root/qemu-server.conf"))?;
    node.ask("date -s \"$(date -d 'next monday' +%F) 03:59:30\"")?;
    formed::holds(
        fleet,
        guests,
        NODES[2],
        &format!("cmp -s {KEPT} {archive}"),
        "kept archive of the gateway",
    )?;
    node.contains("cias backup-gateway", &format!("{ARCHIVE}, the newest one, already"))?;
    // One that came when the archive was there gets it at once, in the background.
    fleet.node(NODES[1]).ask(&format!("[ ! -e {KEPT} ] && cias run"))?;
    formed::holds(
        fleet,
        guests,
        NODES[1],
        &format!("cmp -s {KEPT} {archive}"),
        "archive of the gateway on a node that fetches it",
    )?;
    // What vzdump has not finished, or is none, replaces nothing.
    node.ask(&format!("echo rubbish >{}", archive.replace("2026", "2027")))?;
    node.contains("cias backup-gateway 2>&1; echo code-$?", "code-1")?;
    node.equals(&format!("cmp {KEPT} {archive} && echo same"), "same")
}
