//! Disks that something uses, and disks that are broken, under the policy that wipes most.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Lab;
use super::asserts;
use super::road::{self, BOOT, Road};
use crate::guest::Guest;
use crate::machine::Fault;

/// Disks behind the usual four, in the order of the bus: serial number, device, fault, and why it must be refused.
const DISKS: [(&str, &str, Fault, &str); 8] = [
    ("MD1", "/dev/vde", Fault::None, "it is in use by md7"),
    ("MD2", "/dev/vdf", Fault::None, "it is in use by md7"),
    ("LVM", "/dev/vdg", Fault::None, "it is in use by dm-"),
    ("MOUNTED", "/dev/vdh", Fault::None, "it is mounted at /mnt/busy"),
    ("SWAP", "/dev/vdi", Fault::None, "it is in use as swap space"),
    ("HELD", "/dev/vdj", Fault::None, "it is in use by dm-"),
    ("READ-ONLY", "/dev/vdk", Fault::ReadOnly, "it is read-only"),
    ("BROKEN", "/dev/vdl", Fault::Unreadable, "it can't be read"),
];

/// What puts them to use.
const USE: &str = "set -e; mdadm --create /dev/md7 --run --assume-clean --level=1 --raid-devices=2 /dev/vde /dev/vdf; \
    pvcreate -q -y -ff /dev/vdg; vgcreate -q busy /dev/vdg; lvcreate -q -y -n it -L 64m busy; \
    mkfs.ext3 -q -F /dev/vdh; mkdir -p /mnt/busy; mount -o ro /dev/vdh /mnt/busy; \
    mkswap /dev/vdi; swapon /dev/vdi; dmsetup create held --table '0 2048 linear /dev/vdj 0'; udevadm settle; sync";

/// What ends the use.
const LEAVE: &str = "set -e; mdadm --stop /dev/md7; vgchange -q -an busy; umount /mnt/busy; swapoff /dev/vdi; dmsetup remove held; udevadm settle";

/// The site may wipe all, and yet nothing that is in use or broken is written to; once it is not in use any more, it is.
pub fn busy_disks(lab: &Lab) -> Result<()> {
    let mut road = Road::installed(lab, "busy-disks")?;
    for (serial, _, fault, _) in DISKS {
        let disk = road::disk(&road.folder, serial, 2, false)?;
        road.machine.disks.push(crate::machine::Disk { fault, ..disk });
        // The first boot leaves foreign data alone.
        road.scribble(serial, 0, &[0xa5; 4096])?;
    }
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)?;
    let node = road.node();
    node.ask(USE)?;
    node.ask("sed -i 's/^# wipe = .*/wipe = \"all\"/' /etc/cias/site.toml && grep -q '^wipe = \"all\"' /etc/cias/site.toml")?;
    guest.wait("clean array", BOOT, |_| {
        let state = road.node().ask("cat /sys/block/md7/md/array_state")?;
        Ok((state == "clean").then_some(()))
    })?;
    let before = fingerprints(&road, &guest)?;
    let node = road.node();
    node.ask("cias run --stage provision --again")?;
    let status = node.ask("cias status")?;
    for (_, device, _, reason) in DISKS {
        let line = status.lines().find(|line| line.contains(device)).unwrap_or_default();
        ensure!(line.contains(reason), "{device}: found {line:?}, wanted {reason:?} in:\n{status}");
    }
    for ((serial, ..), (old, new)) in DISKS.iter().zip(before.iter().zip(fingerprints(&road, &guest)?)) {
        ensure!(*old == new, "{serial} was written to");
    }
    // The policy itself allows it: the disk with foreign data was formatted, and so are those that nothing uses.
    node.equals("grep -c ' /data/' /proc/mounts", "3")?;
    node.ask(LEAVE)?;
    node.ask("cias run --stage provision --again")?;
    node.equals("grep -c ' /data/' /proc/mounts", "9")
}

/// What stands on each of [`DISKS`], while the server holds still.
fn fingerprints(road: &Road, guest: &Guest) -> Result<Vec<String>> {
    guest.qmp("stop", &json!({}))?;
    let prints = || DISKS.iter().map(|(serial, ..)| asserts::fingerprint(road.disk(serial)?)).collect();
    let found: Result<Vec<String>> = prints();
    guest.qmp("cont", &json!({}))?;
    found.context("reading the disks")
}
