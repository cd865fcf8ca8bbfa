//! What only a boot can tell about an image (docs/facts.md 7.2), each on its own: installed, and up to the login prompt.

use anyhow::Result;

use super::Lab;
use super::road::Road;
use crate::site::FOUNDER;

/// No DHCP server, and no cable in any NIC.
pub fn no_network(lab: &Lab) -> Result<()> {
    let mut road = Road::prepare(lab, "no-network", FOUNDER, |_| ())?;
    road.machine.link = false;
    there_and_back(&road)
}

/// No video card at all.
pub fn no_video(lab: &Lab) -> Result<()> {
    let mut road = Road::prepare(lab, "no-video", FOUNDER, |_| ())?;
    road.machine.video = false;
    there_and_back(&road)
}

/// The chosen disk is not the first that the firmware knows.
pub fn two_disks(lab: &Lab) -> Result<()> {
    let mut road = Road::prepare(lab, "two-disks", FOUNDER, |_| ())?;
    road.machine.disks.truncate(2);
    there_and_back(&road)
}

fn there_and_back(road: &Road) -> Result<()> {
    road.install()?;
    road.boot().map(drop)
}
