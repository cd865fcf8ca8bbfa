//! One server, from the image to a provisioned node.

use anyhow::{Result, ensure};

use super::Lab;
use super::asserts;
use super::road::{BOOT, Road};
use crate::site::{FOUNDER, SYSTEM};

/// Installed without video, without DHCP and onto the second BIOS disk, which somebody has used; then everything that the first boot must
/// have done.
pub fn one_node(lab: &Lab) -> Result<()> {
    let mut road = Road::prepare(lab, "one-node", FOUNDER, |_| ())?;
    road.machine.video = false;
    leave(&road)?;
    road.put_foreign_data()?;
    let foreign = asserts::fingerprint(road.disk("FOREIGN")?)?;
    road.install()?;
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)?;
    let node = road.node();
    let name = "pve-rack-a-0-1";
    node.equals("hostname", name)?;
    node.equals("hostname -f", &format!("{name}.example.com"))?;
    node.contains("cat /etc/hosts", &format!("10.254.0.1 {name}.example.com {name} pvelocalhost"))?;
    node.contains("cat /etc/hosts", "cias-pve-master")?;
    node.equals("cat /sys/class/net/bond0/bonding/mode", "active-backup 1")?;
    node.equals("cat /sys/class/net/bond0/bonding/slaves", "eth0 eth1")?;
    node.equals("ls /sys/class/net/vmbr0/brif", "bond0")?;
    node.contains("ip -4 -o addr show vmbr0", "10.254.0.1/8")?;
    node.contains("ip route", &format!("default via {}", crate::net::GATEWAY))?;
    // The vendor's own start-up must never have seen the installer's throw-away name.
    node.equals("sort -u /var/lib/pve-cluster/started-as", name)?;
    // Its file system, with what the installer put into the database.
    node.equals("readlink /etc/pve/local", &format!("nodes/{name}"))?;
    node.contains("cat /etc/pve/user.cfg", "user:root@pam:1:")?;
    node.equals("ls /etc/pve/nodes", name)?;
    // Both blank disks, mounted by UUID; the third was refused with its reason.
    node.equals("mount | grep -c ' on /data/.* type ext3 '", "2")?;
    node.equals("grep -c '^UUID=[^ ]* /data/[^ ]* ext3 ' /etc/fstab", "2")?;
    node.contains("cias status --json", "vdd")?;
    // Packages that came through the image and the vendor's own loop.
    node.equals(
        "dpkg-query -W -f '${Status}\\n' cias-firstboot ifenslave ethtool | sort -u",
        "install ok installed",
    )?;
    node.equals("stat -c %a /etc/cias/site.toml", "600")?;
    node.contains("cat /var/log/cias/install.log", "grub-install")?;
    // insserv shuffles the boot when scripts want each other, and only says so.
    node.equals("grep -ci 'there is a loop' /var/log/cias/install.log || true", "0")?;
    // A second run changes nothing.
    let state = "md5sum /etc/fstab /etc/hosts /etc/network/interfaces /etc/hostname; dumpe2fs -h /dev/vda 2>/dev/null | grep UUID";
    let before = node.ask(state)?;
    node.ask("cias run")?;
    node.equals(state, &before)?;
    asserts::password_login(&mut guest)?;
    drop(guest);
    ensure!(
        asserts::fingerprint(road.disk("FOREIGN")?)? == foreign,
        "the disk with foreign data was changed"
    );
    Ok(())
}

/// Leaves on the system disk what would make parted ask, vgcreate fail or mdadm grab the disk.
fn leave(road: &Road) -> Result<()> {
    let end = std::fs::metadata(road.disk(SYSTEM)?)?.len();
    // On-disk signatures: GPT at both ends, an LVM label, md superblocks 1.2 and 1.0, and swap.
    road.scribble(SYSTEM, 512, b"EFI PART\0\0\x01\0\x5c\0\0\0")?;
    road.scribble(SYSTEM, end - 512, b"EFI PART\0\0\x01\0\x5c\0\0\0")?;
    road.scribble(SYSTEM, (1 << 20) + 512, b"LABELONE\x01\0\0\0\0\0\0\0")?;
    road.scribble(SYSTEM, 4096, &[0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0])?;
    road.scribble(SYSTEM, (end - 8192) & !4095, &[0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0])?;
    road.scribble(SYSTEM, 4086, b"SWAPSPACE2")
}

/// The same, and no more than that: it is installed and comes up.
pub fn used_disk(lab: &Lab) -> Result<()> {
    let road = Road::prepare(lab, "used-disk", FOUNDER, |_| ())?;
    leave(&road)?;
    road.install()?;
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)
}

/// Not pinned as the founder: it waits, says so, and holds back what needs an identity.
pub fn not_founder(lab: &Lab) -> Result<()> {
    let mut road = Road::installed(lab, "not-founder")?;
    // It is told from the founder by this alone, and not before its first boot.
    "LAB-OTHER".clone_into(&mut road.machine.serial);
    let mut guest = road.boot()?;
    asserts::password_login(&mut guest)?;
    for (question, answer) in [
        ("cias run; echo \"code-$?\"", "code-6"),
        ("[ -e /var/lib/pve-cluster/started-as ] || echo \"held-$((40 + 2))\"", "held-42"),
        ("cias status; echo \"status-$((40 + 2))\"", "status-42"),
    ] {
        guest.send(&format!("{question}\n"))?;
        guest.wait_for(answer, BOOT)?;
    }
    let console = guest.console();
    ensure!(console.contains("role.founder"), "the console does not say what to change:\n{console}");
    Ok(())
}

/// Nobody is pinned: its agent hears nobody, elects it, and brings it up under its name without a reboot. After a power cut it
/// is the same founder.
pub fn elected(lab: &Lab) -> Result<()> {
    let mut road = Road::prepare(lab, "elected", "LAB-OTHER", |site| {
        if let Some(role) = site["role"].as_table_like_mut() {
            role.remove("founder");
        }
    })?;
    road.machine.disks.retain(|disk| disk.boot || disk.serial == "DATA1");
    road.install()?;
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)?;
    let founded = || -> Result<()> {
        let node = road.node();
        node.equals("hostname", "pve-rack-a-0-1")?;
        node.contains("cat /run/cias/agent.json", "\"phase\": \"founder\"")?;
        node.contains("cat /var/lib/cias/agent.json", "\"elected\": true")?;
        node.equals("sort -u /var/lib/pve-cluster/started-as", "pve-rack-a-0-1")?;
        node.equals("readlink /etc/pve/local", "nodes/pve-rack-a-0-1")
    };
    founded()?;
    drop(guest);
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)?;
    guest.wait("the founder's phase", BOOT, |_| Ok(founded().is_ok().then_some(())))
}
