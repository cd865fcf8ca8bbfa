//! What the boot menu offers beside the unattended installation, and what happens when that is refused.

use std::time::Duration;

use anyhow::{Result, ensure};
use toml_edit::value;

use super::Lab;
use super::asserts;
use super::person::AT_X;
use super::road::{BOOT, Road};
use crate::guest::Guest;
use crate::site::FOUNDER;

/// A person types the vendor's label and gets the vendor's installer.
pub fn vendor_label(lab: &Lab) -> Result<()> {
    let road = Road::prepare(lab, "vendor-label", FOUNDER, |_| ())?;
    let mut guest = road.boot_image()?;
    guest.wait_for("boot: ", Duration::from_mins(2))?;
    // isolinux shows message files on the screen only.
    on_screen(&mut guest, "INSTALLS ITSELF WITHOUT A QUESTION")?;
    guest.send("linux\r")?;
    guest.wait_for(AT_X, BOOT)?;
    ensure!(!guest.console().contains("cias: "), "the unattended installation started too");
    Ok(())
}

/// No disk passes the filter: nothing is written, the reason stands on the console, and the server stays.
pub fn refused(lab: &Lab) -> Result<()> {
    let road = Road::prepare(lab, "refused", FOUNDER, |site| {
        site["install"]["disk"]["serial"] = value("NO-SUCH-DISK");
    })?;
    let before: Vec<String> = fingerprints(&road)?;
    let mut guest = road.boot_image()?;
    guest.wait_for("NO-SUCH-DISK", BOOT)?;
    guest.wait_for("DATA1", BOOT)?;
    on_screen(&mut guest, "The installation stopped")?;
    // A shell is offered on the console.
    guest.send("\necho LAB-$((6 * 7))\n")?;
    guest.wait_for("LAB-42", BOOT)?;
    drop(guest);
    ensure!(fingerprints(&road)? == before, "a disk was changed although the installation was refused");
    Ok(())
}

/// Waits until the video card shows a text.
fn on_screen(guest: &mut Guest, text: &str) -> Result<()> {
    guest.wait(&format!("{text:?} on the screen"), BOOT, |guest| {
        Ok(guest.screen()?.contains(text).then_some(()))
    })
}

fn fingerprints(road: &Road) -> Result<Vec<String>> {
    road.machine.disks.iter().map(|disk| asserts::fingerprint(&disk.image)).collect()
}
