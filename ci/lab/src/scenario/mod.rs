//! Scenarios: what a server goes through, and what must be true afterwards.

mod asserts;
mod attacker;
mod busy;
mod cluster;
mod fleet;
mod formed;
mod guard;
mod intruder;
mod join;
mod labels;
mod links;
mod manual;
mod one_node;
mod package;
mod person;
mod power;
mod probes;
pub mod road;
mod saved;
mod services;
mod services_boot;
mod services_formed;
mod services_shown;
mod services_told;
mod sites;
mod three;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::base::{Base, Variant};
use crate::site::Programs;

/// What a scenario runs with.
pub struct Lab {
    /// Folder for images and consoles of this run.
    pub folder: PathBuf,
    /// The stand-in of the vendor's image.
    pub base: Base,
    /// The programs under test.
    pub programs: Programs,
}

/// When CI runs a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ci {
    /// Not at all.
    No,
    /// First, with nothing beside it: three servers with all services need the whole machine.
    Alone,
    /// With most of those that begin with an empty server, beside the next.
    Fresh,
    /// With most of those that begin with an installed server.
    Installed,
}

impl Ci {
    /// Is a scenario of this part meant by `word`?
    pub fn is_meant_by(self, word: &str) -> bool {
        match word {
            "ci" => self != Self::No,
            "ci-alone" => self == Self::Alone,
            "ci-fresh" => self == Self::Fresh,
            "ci-installed" => self == Self::Installed,
            _ => false,
        }
    }
}

/// One scenario.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub shows: &'static str,
    /// When CI runs it.
    pub ci: Ci,
    /// The image that it needs.
    pub image: Variant,
    run: fn(&Lab) -> Result<()>,
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "services",
        shows: "three nodes: addresses, MooseFS with two copies, storages, schedules, the NAS and mail, from power-on",
        ci: Ci::Alone,
        image: Variant::Services,
        run: services::services,
    },
    Scenario {
        name: "three-nodes",
        shows: "three servers switched on together become one cluster: one founder, two that join, nobody else gets in",
        ci: Ci::Alone,
        image: Variant::Services,
        run: three::three_nodes,
    },
    Scenario {
        name: "one-node",
        shows: "installed unattended without video, DHCP or keyboard onto the second BIOS disk, which was used before, and provisioned (probes 12 to 15)",
        ci: Ci::Fresh,
        image: Variant::Plain,
        run: one_node::one_node,
    },
    Scenario {
        name: "used-disk",
        shows: "a system disk with an old GPT, LVM and md signatures is cleared and installed (probe 14); CI sees it in one-node",
        ci: Ci::No,
        image: Variant::Plain,
        run: one_node::used_disk,
    },
    Scenario {
        name: "medium-left-in",
        shows: "with the CD or a stick left in, an installed server starts its own system, three times each; the override works",
        ci: Ci::Installed,
        image: Variant::Plain,
        run: guard::medium_left_in,
    },
    Scenario {
        name: "power-cut-install",
        shows: "an installation that loses power starts afresh; one that was finished boots",
        ci: Ci::Fresh,
        image: Variant::Plain,
        run: power::install,
    },
    Scenario {
        name: "power-cut-identity",
        shows: "a node that loses power while it settles its name and network ends as if nothing had happened",
        ci: Ci::Installed,
        image: Variant::Plain,
        run: power::identity,
    },
    Scenario {
        name: "power-cut-disks",
        shows: "the same while it formats its data disks",
        ci: Ci::Installed,
        image: Variant::Plain,
        run: power::disks,
    },
    Scenario {
        name: "busy-disks",
        shows: "disks in use, read-only or broken stay as they are, byte for byte, whatever the site allows to wipe",
        ci: Ci::Installed,
        image: Variant::Plain,
        run: busy::busy_disks,
    },
    Scenario {
        name: "nic-loss",
        shows: "the address stays reachable with either NIC's link off, and is back after all were off",
        ci: Ci::Installed,
        image: Variant::Plain,
        run: links::nic_loss,
    },
    Scenario {
        name: "cluster-of-one",
        shows: "the stand-ins of pmxcfs, pvecm and cman make a quorate cluster of one on real corosync",
        ci: Ci::No,
        image: Variant::Plain,
        run: cluster::of_one,
    },
    Scenario {
        name: "no-network",
        shows: "installed without DHCP and without a cable in any NIC (probe 12)",
        ci: Ci::No,
        image: Variant::Plain,
        run: probes::no_network,
    },
    Scenario {
        name: "no-video",
        shows: "installed without a video card (probe 13)",
        ci: Ci::No,
        image: Variant::Plain,
        run: probes::no_video,
    },
    Scenario {
        name: "two-disks",
        shows: "the boot loader goes to the chosen disk, the second of the firmware (probe 15)",
        ci: Ci::No,
        image: Variant::Plain,
        run: probes::two_disks,
    },
    Scenario {
        name: "package",
        shows: "the package passes lintian and is installed, upgraded, removed and purged by dpkg in the image's base system",
        ci: Ci::Fresh,
        image: Variant::Plain,
        run: package::package,
    },
    Scenario {
        name: "not-founder",
        shows: "a server that the site does not pin waits, says so, and boots to a login prompt",
        ci: Ci::Fresh,
        image: Variant::Plain,
        run: one_node::not_founder,
    },
    Scenario {
        name: "elected",
        shows: "where nobody is pinned, the agent of a lone server elects it, and it comes up under its name without a reboot",
        ci: Ci::No,
        image: Variant::Plain,
        run: one_node::elected,
    },
    Scenario {
        name: "saved-fleet",
        shows: "two running servers are saved and go on from the same state twice",
        ci: Ci::No,
        image: Variant::Plain,
        run: saved::saved_fleet,
    },
    Scenario {
        name: "manual-setup",
        shows: "of two servers that a person installed by the vendor's label, `cias setup` makes the founder and a node that joins it",
        ci: Ci::No,
        image: Variant::Plain,
        run: manual::manual_setup,
    },
    Scenario {
        name: "join-interrupted",
        shows: "the power of a joining node goes, then the Master's during a join: both recover, nobody is there twice",
        ci: Ci::Fresh,
        image: Variant::Plain,
        run: join::join_interrupted,
    },
    Scenario {
        name: "attacker",
        shows: "a stranger who records, forges, floods and says to be the Master keeps no server out and gets in nowhere",
        ci: Ci::Installed,
        image: Variant::Plain,
        run: attacker::attacker,
    },
    Scenario {
        name: "late-joiner",
        shows: "servers whose clocks stand in 2000 and days ahead get the time and a place, and join",
        ci: Ci::No,
        image: Variant::Plain,
        run: join::late_joiner,
    },
    Scenario {
        name: "rejoin",
        shows: "a server that is installed again gets its own place; after it was removed, another one",
        ci: Ci::No,
        image: Variant::Plain,
        run: join::rejoin,
    },
    Scenario {
        name: "two-sites",
        shows: "two sites on one wire form two clusters; with equal addresses the second founder stops",
        ci: Ci::No,
        image: Variant::Plain,
        run: sites::two_sites,
    },
    Scenario {
        name: "multicast-dropped",
        shows: "a join over a wire without multicast is not begun, and the sentence names the IGMP querier",
        ci: Ci::No,
        image: Variant::Plain,
        run: sites::multicast_dropped,
    },
    Scenario {
        name: "services-one-node",
        shows: "one founder alone has the addresses, keeps files in one copy, and serves",
        ci: Ci::No,
        image: Variant::Services,
        run: services::one_node,
    },
    Scenario {
        name: "services-cold-boot",
        shows: "three nodes that were off, switched on in three orders, have the same files again with nobody's help",
        ci: Ci::No,
        image: Variant::Services,
        run: services_boot::cold_boot,
    },
    Scenario {
        name: "vendor-label",
        shows: "the vendor's own label still reaches the vendor's X starter",
        ci: Ci::Fresh,
        image: Variant::Plain,
        run: labels::vendor_label,
    },
    Scenario {
        name: "refused",
        shows: "without a disk that fits, nothing is written, the reason is on the screen and the server does not reboot",
        ci: Ci::Fresh,
        image: Variant::Plain,
        run: labels::refused,
    },
];

impl Scenario {
    /// Runs it and says how long it took.
    pub fn run(&self, lab: &Lab) -> Result<()> {
        let start = Instant::now();
        eprintln!("lab: {}: {}", self.name, self.shows);
        (self.run)(lab).with_context(|| format!("scenario {}", self.name))?;
        eprintln!("lab: {}: passed in {} s", self.name, start.elapsed().as_secs());
        Ok(())
    }
}

/// Installs and boots one server, and prints its status as an operator would see it.
///
/// It has `disks` blank data disks and `nics` NICs.
pub fn demo(lab: &Lab, disks: u8, nics: u8) -> Result<()> {
    let mut road = road::Road::prepare(lab, "demo", crate::site::FOUNDER, |_| ())?;
    road.machine.disks.retain(|disk| disk.boot);
    for number in 1..=disks {
        let disk = road::disk(&road.folder, &format!("DATA{number}"), 2, false)?;
        road.machine.disks.push(disk);
    }
    road.machine.nics = (1..=nics).map(|number| format!("52:54:00:ca:00:{number:02x}")).collect();
    road.install()?;
    let mut guest = road.boot()?;
    asserts::settled(&road, &mut guest)?;
    let node = road.node();
    println!(
        "{}",
        node.ask("cias status && echo && df -h -t ext3 && echo && cat /proc/net/bonding/bond0 | head -n 6")?
    );
    Ok(())
}
