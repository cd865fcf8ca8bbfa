//! `cias facts`: what this machine is, for a person or a program.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use super::disks::{Disk, Source};
use super::{Facts, minimum};
use crate::runner::Runner;
use crate::system::Sysroot;

/// All facts.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Hardware and ports.
    #[serde(flatten)]
    pub facts: Facts,
    /// Disks.
    pub disks: Vec<Disk>,
    /// What the machine lacks to be a Master.
    pub below_minimum: Vec<String>,
}

impl Report {
    /// Gathers them.
    pub fn gather(root: &Sysroot, runner: &dyn Runner) -> Result<Self> {
        let facts = Facts::gather(root, runner);
        let disks = Source::machine(runner).below(root).disks()?;
        let below_minimum = minimum::misses(&facts.hardware, system_disk(&disks));
        Ok(Self { facts, disks, below_minimum })
    }

    /// For a person.
    pub fn show(&self) -> String {
        let mut text = String::new();
        let hardware = &self.facts.hardware;
        let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".into());
        for (key, value) in [
            ("machine", format!("{} {}", known(&hardware.vendor), known(&hardware.product))),
            ("serial", known(&hardware.serial)),
            ("cpu", format!("{} x {}", hardware.cpus, known(&hardware.cpu))),
            ("virtualisation", known(&hardware.virtualisation)),
            ("memory", format!("{} MiB", hardware.memory >> 20)),
            ("kernel", known(&hardware.kernel)),
            ("proxmox ve", known(&hardware.pve_version)),
        ] {
            line(&mut text, format_args!("{key:15} {value}"));
        }
        for nic in &self.facts.nics {
            let link = match (nic.carrier, nic.speed) {
                (Some(true), Some(speed)) => format!("link {speed} Mbit/s"),
                (Some(true), None) => "link".into(),
                (Some(false), _) => "no link".into(),
                (None, _) => "down".into(),
            };
            line(&mut text, format_args!("{:15} {} {} {link}", nic.name, nic.mac, known(&nic.driver)));
        }
        for disk in &self.disks {
            let gib = disk.size >> 30;
            let (model, serial) = (known(&disk.model), known(&disk.serial));
            let use_ = if disk.system { " system" } else { "" };
            line(&mut text, format_args!("{:15} {gib} GiB {model} {serial}{use_}", disk.path.display()));
        }
        for miss in &self.below_minimum {
            line(&mut text, format_args!("below the minimum of a Master: {miss}"));
        }
        text
    }
}

/// The size of the disk that the system is on, in bytes; of the largest if it is on several.
pub fn system_disk(disks: &[Disk]) -> Option<u64> {
    disks.iter().filter(|disk| disk.system).map(|disk| disk.size).max()
}

fn line(text: &mut String, more: std::fmt::Arguments) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{more}");
}
