//! What must be true of a cluster with its services, whoever looks.

use anyhow::{Context, Result, ensure};

use super::fleet::Fleet;
use super::formed;
use super::road::BOOT;
use super::services_formed::{NAS, OUTSIDE, VIP};
use crate::base::remove;
use crate::guest::{self, Guest};
use crate::nas::Nas;

/// A host that only the gateway outside leads to.
const FAR: &str = "198.51.100.7";

/// The port of the web view.
const WEB: u16 = 9425;

/// Names of the original plan, and how the help of each begins.
const COMMANDS: [(&str, &str); 4] = [
    ("dlll_cias-setup.sh", "Usage: cias setup"),
    ("keepalived_to_master.sh", "Usage: cias promote"),
    ("dlll_cias-switch_to_master.sh", "Usage: cias switch"),
    ("dlll_cias-swtich_to_master.sh", "Usage: cias switch"),
];

/// And the configurations among them.
const CONFIGURATIONS: [(&str, &str); 2] = [
    ("keepalived.conf", "/etc/keepalived/keepalived.conf"),
    ("keepalived-manual.conf", "/etc/cias/keepalived-manual.conf"),
];

/// A stranger's address: in the LAN, and not of the cluster.
const STRANGER: &str = "10.0.7.7";

/// Both addresses are on the Master, the first of `addresses`, alone, both answer, and answers from outside leave by the gateway there.
pub fn addresses(fleet: &Fleet, addresses: &[&str]) -> Result<()> {
    for (place, address) in addresses.iter().enumerate() {
        let shown = fleet.node(address).ask("ip -4 -o addr show")?;
        for wanted in [VIP, OUTSIDE.0] {
            let count = shown.matches(&format!(" {wanted}/")).count();
            ensure!(count == usize::from(place == 0), "{address}: found {wanted} {count} times in:\n{shown}");
        }
    }
    for address in [VIP, OUTSIDE.0] {
        ensure!(fleet.net.answers(address)?, "{address} does not answer");
    }
    let master = fleet.node(addresses[0]);
    let way = format!("via {} ", OUTSIDE.1);
    master.contains(&format!("ip route get {FAR} from {}", OUTSIDE.0), &way)?;
    let own = master.ask(&format!("ip route get {FAR}"))?;
    ensure!(
        !own.contains(&way),
        "{}: what it says itself leaves by the gateway outside: {own}",
        addresses[0]
    );
    for address in &addresses[1..] {
        fleet.node(address).equals("ip rule | grep -c 7322 || true", "0")?;
    }
    Ok(())
}

/// One metadata server runs, on the Master; every node has a metalogger and a chunkserver that it knows, and new files get `copies`.
pub fn moosefs(fleet: &Fleet, guests: &mut [Guest], addresses: &[&str], copies: usize) -> Result<()> {
    let master = fleet.node(addresses[0]);
    for (place, address) in addresses.iter().enumerate() {
        let node = fleet.node(address);
        node.equals("ss -Hltn 'sport = :9421' | wc -l", if place == 0 { "1" } else { "0" })?;
        node.equals(
            "pidof mfsmaster >/dev/null && echo runs || echo none",
            if place == 0 { "runs" } else { "none" },
        )?;
        node.equals("pidof mfsmetalogger mfschunkserver mfsmount | wc -w", "3")?;
        node.contains("grep ' /mnt/mfs fuse' /proc/mounts", "mfs")?;
    }
    for (what, section) in [("chunkservers", "-SCS"), ("metaloggers", "-SMB")] {
        guest::all(guests, &format!("connection of all {what}"), BOOT, |_| {
            let shown = master.ask(&format!("mfscli -H {VIP} -n -p {section}"))?;
            Ok(addresses.iter().all(|address| is_connected(&shown, address)).then_some(()))
        })?;
    }
    for (place, address) in addresses.iter().enumerate() {
        let listens = format!("ss -Hltn 'sport = :{WEB}' | wc -l");
        fleet.node(address).equals(&listens, if place == 0 { "1" } else { "0" })?;
    }
    master.contains(&format!("wget -qO- http://127.0.0.1:{WEB}/mfs.cgi"), "MFS")?;
    master.equals("mfsgetgoal /mnt/mfs", &format!("/mnt/mfs: {copies}"))?;
    // The stated default, a day.
    master.equals("mfsgettrashtime /mnt/mfs", "/mnt/mfs: 86400")
}

/// Does a table of the metadata server have the one at `address`, and not as one that is away?
fn is_connected(shown: &str, address: &str) -> bool {
    shown.lines().any(|line| {
        line.split(|c: char| !c.is_ascii_digit() && c != '.').any(|word| word == address)
            && !line.contains("isconnected")
    })
}

/// On every node both management folders have the plan's names, each does what it stands for, and what the Master keeps in them is the same
/// everywhere.
pub fn folders(fleet: &Fleet, addresses: &[&str]) -> Result<()> {
    let sums = "cd /data/cias && sha256sum cias-network.conf pve_master_vmid.conf";
    fleet.node(addresses[0]).ask("cias export-vms")?;
    let wanted = fleet.node(addresses[0]).ask(sums)?;
    for address in addresses {
        let node = fleet.node(address);
        for folder in ["/data/cias", "/mnt/mfs/cias"] {
            for (name, usage) in COMMANDS {
                node.contains(&format!("{folder}/{name} --help"), usage)?;
            }
            for (name, target) in CONFIGURATIONS {
                node.equals(&format!("readlink {folder}/{name}"), target)?;
            }
        }
        node.equals(sums, &wanted)?;
    }
    fleet.node(addresses[0]).equals(&sums.replace("/data/", "/mnt/mfs/"), &wanted)
}

/// A file that one node writes is read by every other one, and has its copies.
pub fn files(fleet: &Fleet, guests: &mut [Guest], addresses: &[&str], copies: usize) -> Result<()> {
    for (number, address) in addresses.iter().enumerate() {
        let (path, node) = (format!("/mnt/mfs/a/probe-{number}"), fleet.node(address));
        let sum =
            node.ask(&format!("head -c 300000 /dev/urandom >{path} && sync {path} && sha256sum <{path}"))?;
        for other in addresses {
            fleet.node(other).equals(&format!("sha256sum <{path}"), &sum)?;
        }
        let wanted = format!("chunks with {copies} cop");
        guest::all(guests, &format!("{copies} copies of {path}"), BOOT, |_| {
            Ok(node.ask(&format!("mfscheckfile {path}"))?.contains(&wanted).then_some(()))
        })?;
    }
    Ok(())
}

/// All storages are defined on each node; all but the NAS are active, and that is if it is on. Proxmox VE takes a NAS for off that answers
/// later than after two seconds, as this one may on a busy machine, and looks again.
pub fn defined(fleet: &Fleet, guests: &mut [Guest], addresses: &[&str], has_nas: bool) -> Result<()> {
    let nas = format!("{} nfs {}", NAS.0, u8::from(has_nas));
    let wanted = ["a_mfs dir 1", "local dir 1", "mfs-backup dir 1", &nas];
    for address in addresses {
        let mut shown = String::new();
        let seen = guest::all(guests, &format!("storages {wanted:?} on {address}"), BOOT, |_| {
            shown = fleet.node(address).ask("pvesm status")?;
            let found =
                shown.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
            Ok(found.eq(wanted.iter().map(ToString::to_string)).then_some(()))
        });
        seen.with_context(|| format!("{address}: found the storages:\n{shown}"))?;
    }
    Ok(())
}

/// All storages are active on each node, and the NAS is one for all.
pub fn storages(fleet: &Fleet, guests: &mut [Guest], nas: &Nas, addresses: &[&str]) -> Result<()> {
    defined(fleet, guests, addresses, true)?;
    for address in addresses {
        let node = fleet.node(address);
        // An earlier scenario wrote the same.
        remove(&nas.export.join("dump").join(address))?;
        node.contains(
            &format!("grep ' /mnt/pve/{} ' /proc/mounts", NAS.0),
            &format!("{}:/{} /mnt/pve/{} nfs", NAS.1, NAS.0, NAS.0),
        )?;
        node.equals("readlink /mnt/mfs/dump", "backup/dump")?;
        node.ask(&format!("echo {address} >/mnt/pve/{}/dump/{address}", NAS.0))?;
    }
    for address in addresses {
        let kept = nas.export.join("dump").join(address);
        let text = std::fs::read_to_string(&kept).with_context(|| format!("reading {}", kept.display()))?;
        ensure!(text.trim() == *address, "{}: found {text:?}", kept.display());
    }
    Ok(())
}

/// Both schedules are in the cluster's one table, which every node's cron reads.
pub fn schedules(fleet: &Fleet, addresses: &[&str]) -> Result<()> {
    for address in addresses {
        let node = fleet.node(address);
        node.equals("readlink /etc/cron.d/vzdump", "/etc/pve/vzdump.cron")?;
        node.equals("grep -c ' root vzdump ' /etc/pve/vzdump.cron", "2")?;
        for line in [
            "0 2 * * 1           root vzdump 100 --quiet 1 --mode snapshot --compress 0 --storage mfs-backup",
            "0 2 * * 7           root vzdump --quiet 1 --mode snapshot --compress gzip --all 1 --exclude 100 --storage a_mfs",
        ] {
            node.equals(&format!("grep -cxF '{line}' /etc/pve/vzdump.cron"), "1")?;
        }
        node.contains(
            "grep '^0 4 \\* \\* 1 root ' /etc/cron.d/cias",
            " cias-firstboot backup-gateway >/dev/null",
        )?;
        node.ask("pidof cron")?;
    }
    Ok(())
}

/// Whoever is not of the cluster's network may not mount, with the same words with which a node may.
pub fn strangers_are_refused(fleet: &Fleet, address: &str) -> Result<()> {
    let node = fleet.node(address);
    let mount = |from: &str| {
        format!(
            "mkdir -p /root/probe && mfsmount /root/probe -o mfsmaster={VIP},mfsport=9421,mfsbind={from} 2>&1"
        )
    };
    node.ask(&format!("ip address add {STRANGER}/8 dev vmbr0 && {} && umount /root/probe", mount(address)))?;
    let said = node.ask(&format!("if {}; then exit 1; fi", mount(STRANGER)))?;
    ensure!(
        said.contains("ermission denied"),
        "a stranger at {STRANGER}: found {said:?}, wanted to be refused"
    );
    node.ask(&format!("ip address del {STRANGER}/8 dev vmbr0 && ! grep ' /root/probe ' /proc/mounts"))
        .map(drop)
}

/// A mount whose mfsmount was killed is back with what was in it, by itself; so are the other daemons of a node.
pub fn what_was_killed_comes_back(fleet: &Fleet, guests: &mut [Guest], address: &str) -> Result<()> {
    let node = fleet.node(address);
    let before = node.ask("ls /mnt/mfs/a; kill -KILL $(pidof mfsmount)")?;
    node.ask("! ls /mnt/mfs 2>/dev/null")?;
    // Nobody can write below a folder that is not mounted: seen from another mount of the same disk.
    node.ask("mkdir -p /root/bare && mount --bind / /root/bare && ! touch /root/bare/mnt/mfs/lost && umount /root/bare")?;
    formed::holds(fleet, guests, address, "ls /mnt/mfs >/dev/null 2>&1", "return of a killed mount")?;
    node.equals("ls /mnt/mfs/a", &before)?;
    node.equals("grep -c ' /mnt/mfs ' /proc/mounts", "1")?;
    node.ask("kill -KILL $(pidof mfschunkserver mfsmetalogger)")?;
    let both = "[ $(pidof mfschunkserver mfsmetalogger | wc -w) = 2 ]";
    formed::holds(fleet, guests, address, both, "return of killed daemons")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_away_or_has_a_longer_address_is_not_connected() {
        let shown =
            "chunk servers: 10.254.1.1  9422  1  3.0.117\nchunk servers: 10.254.1.2  9422  2  disconnected\n";
        for (address, wanted) in [("10.254.1.1", true), ("10.254.1.2", false), ("10.254.1", false)] {
            assert_eq!(is_connected(shown, address), wanted, "{address}");
        }
    }
}
