//! Processor, memory, what the firmware says about the machine, and which Proxmox VE runs on it.

use serde::Serialize;

use crate::site;
use crate::system::Sysroot;

/// Processor, memory, firmware and software of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hardware {
    /// The processor's name.
    pub cpu: Option<String>,
    /// Logical processors.
    pub cpus: usize,
    /// The processor runs 64-bit code (flag `lm`).
    pub cpu_64_bit: bool,
    /// The processor's virtualisation: `vmx` or `svm`.
    pub virtualisation: Option<String>,
    /// Memory that the kernel manages, in bytes.
    pub memory: u64,
    /// Who made the machine, as the firmware says.
    pub vendor: Option<String>,
    /// What it is called, as the firmware says.
    pub product: Option<String>,
    /// Its serial number, as the firmware says; only root can read it.
    pub serial: Option<String>,
    /// Version of the package pve-manager.
    pub pve_version: Option<String>,
    /// Release of the running kernel.
    pub kernel: Option<String>,
}

impl Hardware {
    /// Reads `/proc`, the firmware's table in `/sys/class/dmi/id` and dpkg's status file.
    pub fn read(root: &Sysroot) -> Self {
        let cpuinfo = root.attribute("/proc/cpuinfo").unwrap_or_default();
        let flags: Vec<&str> = value(&cpuinfo, "flags").unwrap_or_default().split_whitespace().collect();
        let dmi = |name: &str| {
            root.attribute(&format!("/sys/class/dmi/id/{name}")).filter(|text| !site::is_placeholder(text))
        };
        Self {
            cpu: value(&cpuinfo, "model name").map(ToOwned::to_owned),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            cpu_64_bit: flags.contains(&"lm"),
            virtualisation: ["vmx", "svm"]
                .into_iter()
                .find(|flag| flags.contains(flag))
                .map(ToOwned::to_owned),
            memory: memory(&root.attribute("/proc/meminfo").unwrap_or_default()),
            vendor: dmi("sys_vendor"),
            product: dmi("product_name"),
            serial: dmi("product_serial"),
            pve_version: root
                .attribute("/var/lib/dpkg/status")
                .and_then(|status| version(&status, "pve-manager")),
            kernel: root.attribute("/proc/sys/kernel/osrelease"),
        }
    }
}

/// The first value of `key` in lines of `key : value`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// `MemTotal` in bytes; the kernel's "kB" are KiB.
fn memory(meminfo: &str) -> u64 {
    value(meminfo, "MemTotal")
        .and_then(|total| total.strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// The version of an installed package.
fn version(status: &str, package: &str) -> Option<String> {
    let wanted = format!("Package: {package}");
    let paragraph = status.split("\n\n").find(|paragraph| paragraph.lines().any(|line| line == wanted))?;
    value(paragraph, "Status").filter(|state| state.ends_with(" installed"))?;
    value(paragraph, "Version").map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn a_real_looking_server_is_read() {
        let tree = Tree::of("server-two-bnx2");
        let found = Hardware::read(&tree.root());
        assert_eq!(found.cpus, 2);
        assert!(found.cpu_64_bit);
        assert_eq!(found.virtualisation.as_deref(), Some("vmx"));
        assert_eq!(found.memory, 8_174_352 * 1024);
        assert_eq!(found.serial.as_deref(), Some("CZ3104ABCD"));
        assert_eq!(found.pve_version.as_deref(), Some("3.2-4"));
    }

    #[test]
    fn what_firmware_writes_by_default_is_no_serial_number() {
        let tree = Tree::from_text("/sys/class/dmi/id/product_serial = To Be Filled By O.E.M.\n");
        assert_eq!(Hardware::read(&tree.root()).serial, None);
    }

    #[test]
    fn a_package_that_was_removed_has_no_version() {
        let status = "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: pve-manager\nStatus: deinstall ok config-files\nVersion: 3.2-4\n";
        assert_eq!(version(status, "pve-manager"), None);
        assert_eq!(version(status, "a").as_deref(), Some("1"));
    }
}
