//! The way by hand: a server that has run Proxmox VE under its own name, and then gets the package and `cias setup`.

use anyhow::{Context, Result, ensure};

use super::Lab;
use super::asserts;
use super::guard::FOUND;
use super::road::{BOOT, Road};
use crate::machine::Medium;

/// The address that a person gave the server.
const OLD: &str = "10.1.2.3";

/// Makes of a node what the vendor's installer leaves when a person runs it: no package of ours, a name, an address and a bridge of its
/// own. (The lab cannot drive the vendor's label, which ends at X.) It keeps our package and the site in /root.
const BY_HAND: &str = r#"set -e
mount /dev/sr0 /mnt
cp /mnt/proxmox/packages/cias-firstboot_*.deb /root/
umount /mnt
install -m 600 /etc/cias/site.toml /root/site.toml
keys=$(cat /root/.ssh/authorized_keys)
dpkg -P cias-firstboot
/etc/init.d/pve-manager stop || true
/etc/init.d/pve-cluster stop
rm -rf /var/lib/cias /etc/cias /var/log/cias /var/lib/pve-cluster/config.db* /root/.ssh/authorized_keys
echo "$keys" >/root/.ssh/authorized_keys
chmod 600 /root/.ssh/authorized_keys
echo byhand >/etc/hostname
printf '127.0.0.1 localhost\n10.1.2.3 byhand.example.com byhand pvelocalhost\n' >/etc/hosts
printf 'auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 10.1.2.3\n\tnetmask 255.0.0.0\n\tbridge_ports eth0\n\tbridge_stp off\n\tbridge_fd 0\n' >/etc/network/interfaces
sync
nohup sh -c 'sleep 1; poweroff -f' >/dev/null 2>&1 </dev/null &
"#;

/// Over ssh, which the change of the network cuts off, and nobody at the console.
pub fn manual_setup(lab: &Lab) -> Result<()> {
    let road = Road::installed(lab, "manual-setup")?;
    {
        let mut guest = road.boot_medium(Medium::Cd(&road.iso))?;
        guest.wait_for(FOUND, BOOT)?;
        asserts::settled(&road, &mut guest)?;
        road.node().ask(BY_HAND)?;
        guest.wait_for_end(BOOT)?;
    }
    let mut guest = road.boot()?;
    old(&road, "test -L /etc/pve/local && hostname", "byhand")?;
    old(
        &road,
        "dpkg -i /root/cias-firstboot_*.deb >&2 && readlink /usr/sbin/dlll_cias-setup.sh",
        "cias-firstboot",
    )?;
    // Without --yes and without a terminal nothing begins.
    let refused = road.net.ssh(OLD, &road.site.key, "dlll_cias-setup.sh /root/site.toml", "")?;
    ensure!(
        refused.code == 5,
        "found exit code {}, wanted 5: {}{}",
        refused.code,
        refused.stdout,
        refused.stderr
    );
    old(
        &road,
        "nohup dlll_cias-setup.sh /root/site.toml --yes >/root/setup.log 2>&1 </dev/null & echo begun",
        "begun",
    )?;
    asserts::settled(&road, &mut guest).with_context(|| {
        let log = road.net.ssh(OLD, &road.site.key, "cat /root/setup.log", "").map(|output| output.stdout);
        format!("what setup said, if the old address still answers: {log:?}")
    })?;
    let node = road.node();
    let name = "pve-rack-a-0-1";
    node.equals("hostname", name)?;
    node.equals("readlink /etc/pve/local", &format!("nodes/{name}"))?;
    node.equals("ls /etc/pve/nodes", name)?;
    node.equals("ls /sys/class/net/vmbr0/brif", "bond0")?;
    node.equals("cat /sys/class/net/bond0/bonding/slaves", "eth0 eth1")?;
    node.equals(&format!("ip -4 -o addr show | grep -c ' {OLD}/' || true"), "0")?;
    node.equals(
        "test -f /var/lib/pve-cluster/config.db.before-cias && stat -c %a /etc/cias/site.toml",
        "600",
    )?;
    node.equals("mount | grep -c ' on /data/.* type ext3 '", "2")?;
    // And it comes up so by itself.
    node.ask("nohup sh -c 'sleep 1; poweroff -f' >/dev/null 2>&1 </dev/null &")?;
    guest.wait_for_end(BOOT)?;
    drop(guest);
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)?;
    road.node().equals("hostname", name)
}

/// A command's output at the old address must be `wanted`.
fn old(road: &Road, command: &str, wanted: &str) -> Result<()> {
    let output = road.net.ssh(OLD, &road.site.key, command, "")?;
    let found = output.stdout.trim();
    ensure!(
        output.code == 0 && found == wanted,
        "`{command}`: exit code {}, found {found:?}, wanted {wanted:?}: {}",
        output.code,
        output.stderr
    );
    Ok(())
}
