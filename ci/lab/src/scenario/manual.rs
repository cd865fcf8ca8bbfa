//! The way by hand: servers on which a person installed Proxmox VE by the vendor's label, and which then get `cias setup`.

use std::io::Read;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cias_builder::iso9660::{Entry, Image};

use super::Lab;
use super::asserts::Node;
use super::person::{ByHand, LET_IN};
use super::road::{ADDRESS, BOOT, Road};
use crate::guest::{self, Guest};
use crate::site::FOUNDER;

/// The way of the original plan: a file as the argument.
const SETUP: &str = "dlll_cias-setup.sh /root/site.toml";

/// Their addresses and names by the plan: the founder's, and the first place that it gives away.
const NODES: [(&str, &str); 2] = [(ADDRESS, "pve-rack-a-0-1"), ("10.254.1.1", "pve-rack-a-1-1")];

/// One becomes the founder, and the other joins it.
pub fn manual_setup(lab: &Lab) -> Result<()> {
    let road = Road::prepare(lab, "manual-setup", FOUNDER, |_| ())?;
    road.put_foreign_data()?;
    let servers = [ByHand::first(&road, "byhand", "10.1.2.3"), ByHand::second(&road, "another", "10.1.2.4")?];
    {
        let mut guests =
            servers.iter().map(|server| server.types_the_label(&road)).collect::<Result<Vec<_>>>()?;
        for (server, guest) in servers.iter().zip(&mut guests) {
            server.fills_the_pages(guest)?;
        }
        for guest in &mut guests {
            ByHand::is_installed(guest)?;
        }
    }
    let mut guests = servers.iter().map(|server| server.logs_in(&road)).collect::<Result<Vec<_>>>()?;
    for server in &servers {
        is_the_persons(&road, server)?;
        let site = std::fs::read_to_string(&road.site.file).context("reading the lab's site")?;
        server.takes(&road, "umask 077 && cat >/root/site.toml", &site, "")?;
    }
    gets_the_package(&road, &servers[0])?;
    refuses_without_a_person(&road, &servers[0])?;
    for guest in &guests {
        let said = guest.console();
        let since = said.rsplit(LET_IN).next().unwrap_or_default();
        ensure!(!since.contains("cias"), "the console is the person's, and it said: {since}");
    }
    // Whoever joins waits for a place, and the agent goes on once the Master gives one.
    for (number, code) in [0, 6].into_iter().enumerate() {
        sets_up(&mut guests[number], code)?;
        let node = node(&road, NODES[number].0);
        guest::all(&mut guests, "node that is done", BOOT, |_| Ok(node.is_done()?.then_some(())))?;
    }
    for ((address, name), disks) in NODES.into_iter().zip(["2", "1"]) {
        is_node(&node(&road, address), name, disks)?;
    }
    // And both come up so by themselves, in whatever order.
    for (address, _) in NODES {
        node(&road, address).ask("nohup sh -c 'sleep 1; poweroff -f' >/dev/null 2>&1 </dev/null &")?;
    }
    for guest in &mut guests {
        guest.wait_for_end(BOOT)?;
    }
    drop(guests);
    let mut guests = servers.iter().map(|server| server.starts(&road)).collect::<Result<Vec<_>>>()?;
    for (address, name) in NODES {
        let node = node(&road, address);
        guest::all(&mut guests, &format!("done at {address}"), BOOT, |_| Ok(node.is_done()?.then_some(())))?;
        node.equals("hostname", name)?;
    }
    Ok(())
}

fn node<'a>(road: &'a Road, address: &'a str) -> Node<'a> {
    Node { net: &road.net, key: &road.site.key, address }
}

/// By itself nothing becomes a node: Proxmox VE runs under the name that the person gave, and no disk was touched.
fn is_the_persons(road: &Road, server: &ByHand) -> Result<()> {
    server.says(road, "test -L /etc/pve/local && hostname", server.name)?;
    server.says(road, "ls /sys/class/net/vmbr0/brif", "eth0")?;
    server.says(
        road,
        "ls /etc/cias; test ! -e /var/lib/cias/held && grep -c ' /data' /proc/mounts || true",
        "0",
    )?;
    server.says(road, "readlink /usr/sbin/dlll_cias-setup.sh", "cias-firstboot")
}

/// As after an installation from a medium that is not ours, which leaves none: the package's way onto a system that runs.
fn gets_the_package(road: &Road, server: &ByHand) -> Result<()> {
    let image = Image::open(&road.iso)?;
    let is_ours = |entry: &&Entry| entry.path.starts_with("/proxmox/packages/cias-firstboot_");
    let entry = image.children("/proxmox/packages").find(is_ours).context("finding our package")?;
    let mut package = Vec::new();
    image.reader(entry)?.read_to_end(&mut package).context("reading our package")?;
    let there =
        "dpkg -P cias-firstboot >&2 && test ! -e /usr/sbin/cias-firstboot && base64 -d >/root/cias.deb";
    server.takes(road, there, &STANDARD.encode(package), "")?;
    server.says(road, "dpkg -i /root/cias.deb >&2 && readlink /usr/sbin/dlll_cias-setup.sh", "cias-firstboot")
}

/// Without --yes and without a terminal nothing begins.
fn refuses_without_a_person(road: &Road, server: &ByHand) -> Result<()> {
    let refused = road.net.ssh(server.address, &road.site.key, SETUP, "")?;
    ensure!(
        refused.code == 5,
        "found exit code {}, wanted 5: {}{}",
        refused.code,
        refused.stdout,
        refused.stderr
    );
    server.says(road, "test ! -e /var/lib/cias/journal.json && hostname", server.name)
}

/// The person reads the plan and presses Enter, and the command ends with `code`.
fn sets_up(guest: &mut Guest, code: u8) -> Result<()> {
    guest.send(&format!("{SETUP}; echo SETUP-$((6 * 7))-$?\n"))?;
    guest.wait_for("Press Enter to do all this", BOOT)?;
    guest.send("\n")?;
    guest.wait_for(&format!("SETUP-42-{code}"), BOOT)
}

/// It has its name and its network by the plan and nothing of what the person gave it, and sees both nodes.
fn is_node(node: &Node, name: &str, disks: &str) -> Result<()> {
    node.equals("hostname", name)?;
    node.equals("mount | grep -c ' on /data/.* type ext3 '", disks)?;
    node.equals("readlink /etc/pve/local", &format!("nodes/{name}"))?;
    node.equals("ls /etc/pve/nodes", &NODES.map(|(_, name)| name).join("\n"))?;
    node.equals("ls /sys/class/net/vmbr0/brif", "bond0")?;
    node.equals("cat /sys/class/net/bond0/bonding/slaves", "eth0 eth1")?;
    node.equals("ip -4 -o addr show | grep -c ' 10.1.2.' || true", "0")?;
    node.equals("test -f /var/lib/pve-cluster/config.db.before-cias && stat -c %a /etc/cias/site.toml", "600")
}
