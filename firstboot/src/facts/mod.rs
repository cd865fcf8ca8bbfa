//! What this machine is. Everything here only reads, below a root that tests can set.

pub mod disks;
mod hardware;
pub mod minimum;
mod nics;
pub mod report;

use serde::Serialize;

use crate::runner::Runner;
use crate::site::Who;
use crate::system::Sysroot;

pub use hardware::Hardware;
pub use nics::Nic;

/// All facts about the machine but its disks.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// Processor, memory, firmware and software.
    #[serde(flatten)]
    pub hardware: Hardware,
    /// Physical Ethernet ports, sorted by name.
    pub nics: Vec<Nic>,
}

impl Facts {
    /// Reads them.
    pub fn gather(root: &Sysroot, runner: &dyn Runner) -> Self {
        Self { hardware: Hardware::read(root), nics: nics::read(root, runner) }
    }

    /// What identifies this machine in the site file.
    pub fn who(&self) -> Who {
        Who {
            macs: self.nics.iter().map(|nic| nic.mac.clone()).collect(),
            serial: self.hardware.serial.clone(),
        }
    }
}
