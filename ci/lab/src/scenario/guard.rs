//! The medium stays in the server, first in the boot order, after it has installed it.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Lab;
use super::asserts;
use super::road::{BOOT, Road};
use crate::guest::Guest;
use crate::machine::Medium;

/// What the guard says when it leaves the installer's kernel alone.
pub const FOUND: &str = "carries the system that this build installed";

/// Three boots with the CD and three with a stick, which the firmware makes its first disk; then both overrides.
pub fn medium_left_in(lab: &Lab) -> Result<()> {
    let road = Road::installed(lab, "medium-left-in")?;
    let (cd, stick) = (Medium::Cd(&road.iso), Medium::Stick(&road.iso));
    let first = settle(&road, cd)?;
    for medium in [cd, cd, stick, stick] {
        boots(&road, medium)?;
    }
    ensure!(settle(&road, stick)? == first, "the stick started another system");
    // Without the guard the installer's own look at the disks stops it.
    let mut guest = choose(&road, "cias-direct")?;
    guest.wait_for("carries the finished installation of this very build", BOOT)?;
    drop(guest);
    let mut guest = choose(&road, "cias-reinstall")?;
    guest.wait_for("Press any key to stop. Erasing /dev/vdb", BOOT)
}

/// Boots with the medium in, up to the login prompt of the installed system.
fn boots<'r>(road: &'r Road, medium: Medium) -> Result<Guest<'r>> {
    let mut guest = road.boot_medium(medium)?;
    guest.wait_for(FOUND, BOOT)?;
    guest.wait_for_login(BOOT)?;
    let console = guest.console();
    ensure!(!console.contains("unattended installation"), "the installer started:\n{console}");
    Ok(guest)
}

/// Boots with the medium in, up to a node that says it is done; returns what tells its system from another.
fn settle(road: &Road, medium: Medium) -> Result<String> {
    let mut guest = boots(road, medium)?;
    asserts::settled(road, &mut guest)?;
    let node = road.node();
    node.ask(
        "cat /etc/cias/build.json; dumpe2fs -h /dev/mapper/pve-root 2>/dev/null | grep -E 'UUID|created'",
    )
}

fn choose<'r>(road: &'r Road, label: &str) -> Result<Guest<'r>> {
    let mut guest = road.boot_image()?;
    guest.wait_for("boot: ", Duration::from_mins(2))?;
    guest.send(&format!("{label}\r"))?;
    Ok(guest)
}
