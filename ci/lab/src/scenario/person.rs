//! A server in the hands of a person: installed by the vendor's label, and then at its console.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::asserts;
use super::road::{self, BOOT, INSTALL, Road};
use crate::guest::{Guest, Start};
use crate::machine::{Machine, Medium};
use crate::site::{PASSWORD, SYSTEM};

/// What the vendor's starter of X says, behind which the person's pages are.
pub const AT_X: &str = "LAB vendor xinit started with: -- -dpi 96";

/// What the console shows once the lab's key is let in.
pub const LET_IN: &str = "KEY-42";

/// The system's disk, the second one of the bus.
const DISK: &str = "/dev/vdb";

/// A server that a person sets up.
pub struct ByHand {
    /// What it is made of.
    pub machine: Machine,
    /// The address that the person gives it.
    pub address: &'static str,
    /// The name that the person gives it.
    pub name: &'static str,
    folder: PathBuf,
}

impl ByHand {
    /// The road's own server.
    pub fn first(road: &Road, name: &'static str, address: &'static str) -> Self {
        Self { machine: road.machine.clone(), address, name, folder: road.folder.clone() }
    }

    /// Another server on the same wire, with an empty disk for the system and one for data.
    pub fn second(road: &Road, name: &'static str, address: &'static str) -> Result<Self> {
        let folder = road.folder.join("second");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let disks = [road::disk(&folder, "DATA3", 2, false)?, road::disk(&folder, SYSTEM, 8, true)?];
        let machine = Machine {
            name: "second".into(),
            serial: "LAB-SECOND".into(),
            disks: disks.into(),
            nics: vec!["52:54:00:ca:00:03".into(), "52:54:00:ca:00:04".into()],
            ..road.machine.clone()
        };
        Ok(Self { machine, address, name, folder })
    }

    /// Boots the image, and types the vendor's label.
    pub fn types_the_label<'n>(&self, road: &'n Road) -> Result<Guest<'n>> {
        let how = Start::From(Medium::Cd(&road.iso));
        let mut guest = Guest::start(&road.net, &self.machine, how, &self.folder.join("install"))?;
        guest.wait_for("boot: ", BOOT)?;
        guest.send("linux\r")?;
        guest.wait_for(AT_X, BOOT)?;
        Ok(guest)
    }

    /// Fills the vendor's pages.
    pub fn fills_the_pages(&self, guest: &mut Guest) -> Result<()> {
        let answers = json!({
            "disk": DISK, "country": "Germany", "timezone": "Europe/Berlin", "keymap": "German",
            "password": PASSWORD, "mail": "person@example.com", "fqdn": format!("{}.example.com", self.name),
            "address": self.address, "netmask": "255.0.0.0", "gateway": crate::net::GATEWAY, "dns": crate::net::GATEWAY,
            // A person has nothing that follows.
            "late_command": "true",
        });
        guest.send(&format!("{answers}\n"))
    }

    /// Waits until the vendor's installer is done and reboots.
    pub fn is_installed(guest: &mut Guest) -> Result<()> {
        guest.wait_for("cias: installation done", INSTALL)?;
        guest.wait_for_end(BOOT)
    }

    /// Boots the installed system.
    pub fn starts<'n>(&self, road: &'n Road) -> Result<Guest<'n>> {
        Guest::start(&road.net, &self.machine, Start::On, &self.folder.join("boot"))
    }

    /// Boots the installed system; the person logs in at the console, and lets the lab's key in.
    pub fn logs_in<'n>(&self, road: &'n Road) -> Result<Guest<'n>> {
        let mut guest = self.starts(road)?;
        guest.wait_for_login(BOOT)?;
        asserts::password_login(&mut guest)?;
        let public =
            std::fs::read_to_string(road.site.key.with_extension("pub")).context("reading the lab's key")?;
        guest.send(&format!(
            "mkdir -p -m 700 .ssh && echo '{}' >>.ssh/authorized_keys && echo KEY-$((6 * 7))\n",
            public.trim()
        ))?;
        guest.wait_for(LET_IN, BOOT)?;
        Ok(guest)
    }

    /// Standard output of a command at the person's address, which must be `wanted`.
    pub fn says(&self, road: &Road, command: &str, wanted: &str) -> Result<()> {
        self.takes(road, command, "", wanted)
    }

    /// As [`ByHand::says`], with a standard input.
    pub fn takes(&self, road: &Road, command: &str, stdin: &str, wanted: &str) -> Result<()> {
        let output = road.net.ssh(self.address, &road.site.key, command, stdin)?;
        let found = output.stdout.trim();
        ensure!(
            output.code == 0 && found == wanted,
            "{}: `{command}`: exit code {}, found {found:?}, wanted {wanted:?}: {}",
            self.address,
            output.code,
            output.stderr
        );
        Ok(())
    }
}
