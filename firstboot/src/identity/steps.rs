//! How the plan is brought about. Nothing is decided here.

use anyhow::Result;

use crate::files;
use crate::runner::Call;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};

/// The services that the package holds back until the identity is settled, each after those that it needs
/// (docs/facts.md 8).
pub const HELD: [&str; 11] = [
    "pve-cluster",
    "cman",
    "clvm",
    "pvedaemon",
    "pvestatd",
    "pveproxy",
    "spiceproxy",
    "qemu-server",
    "vz",
    "pve-manager",
    "rgmanager",
];

/// Writes one file that everybody may read.
pub(super) struct WriteFile {
    name: String,
    path: &'static str,
    content: String,
}

impl WriteFile {
    pub(super) fn new(path: &'static str, content: String) -> Self {
        Self { name: format!("write {path}"), path, content }
    }
}

const MODE: u32 = 0o644;

impl Step for WriteFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let same = files::is(&system.root.path(self.path), &self.content, MODE);
        Ok(if same { Finding::done() } else { Finding::todo(format!("write {}", self.path)) })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let path = system.root.path(self.path);
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            files::make_folder(folder, 0o755)?;
        }
        files::write(&path, &self.content, MODE)?;
        Ok(Vec::new())
    }
}

/// Removes a file that would undo the plan.
pub(super) struct Remove {
    name: String,
    path: &'static str,
}

impl Remove {
    pub(super) fn new(path: &'static str) -> Self {
        Self { name: format!("remove a stray {path}"), path }
    }
}

impl Step for Remove {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let there = system.root.has(self.path);
        Ok(if there { Finding::todo(format!("remove {}", self.path)) } else { Finding::done() })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        files::remove(&system.root.path(self.path))?;
        Ok(Vec::new())
    }
}

/// Gives the running system its name: hostname.sh ran before us.
pub(super) struct HostName(pub(super) String);

impl Step for HostName {
    fn name(&self) -> &'static str {
        "name the running system"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let found = system.root.attribute("/proc/sys/kernel/hostname").unwrap_or_default();
        let sentence = format!("set the host name to {} (now {found})", self.0);
        Ok(if found == self.0 { Finding::done() } else { Finding::todo(sentence) })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        system.runner.run(&Call::new("hostname").args(["-F", "/etc/hostname"]))?;
        Ok(Vec::new())
    }
}

/// What the package held back (overlay/debian/postinst); it would release them again when it is removed.
pub const LIST: &str = "/var/lib/cias/held";

/// Lets the held services start when their runlevel is entered.
pub(super) struct Release;

impl Step for Release {
    fn name(&self) -> &'static str {
        "release the services of Proxmox VE"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let held = held(&system.root).map(|service| format!("let {service} start in its runlevels"));
        let list = system.root.has(LIST).then(|| format!("remove {LIST}"));
        Ok(Finding { todo: held.chain(list).collect(), warnings: Vec::new() })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        for service in held(&system.root) {
            system.runner.run(&Call::new("update-rc.d").args([service, "enable"]))?;
        }
        files::remove(&system.root.path(LIST))?;
        Ok(Vec::new())
    }
}

fn held(root: &Sysroot) -> impl Iterator<Item = &'static str> {
    HELD.into_iter().filter(|service| is_held(root, service))
}

/// Is `service` installed but kept from starting? `update-rc.d disable` turns each of its start links into a stop link.
pub fn is_held(root: &Sysroot, service: &str) -> bool {
    root.has(&format!("/etc/init.d/{service}")) && has_link(root, 'K', service) && !starts(root, service)
}

/// Has `service` a start link in a runlevel that a node works in?
pub fn starts(root: &Sysroot, service: &str) -> bool {
    has_link(root, 'S', service)
}

fn has_link(root: &Sysroot, kind: char, service: &str) -> bool {
    (2..=5).flat_map(|level| root.names(&format!("/etc/rc{level}.d"))).any(|link| {
        link.strip_prefix(kind)
            .is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()) == service)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::tree::Tree;

    #[test]
    fn held_services_are_released_after_those_they_need() {
        let tree = Tree::from_text(
            "/etc/init.d/pveproxy = x\n/etc/init.d/pve-cluster = x\n/etc/init.d/cman = x\n\
             /etc/rc2.d/K01pveproxy -> ../init.d/pveproxy\n/etc/rc2.d/K05pve-cluster -> ../init.d/pve-cluster\n\
             /etc/rc2.d/S03cman -> ../init.d/cman\n/etc/rc0.d/K01vz -> ../init.d/vz\n",
        );
        let (fake, log) = (Fake::default(), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        assert_eq!(Release.check(&system).unwrap().todo.len(), 2);
        Release.apply(&system).unwrap();
        assert_eq!(fake.lines(), ["update-rc.d pve-cluster enable", "update-rc.d pveproxy enable"]);
    }

    #[test]
    fn a_file_is_written_where_its_content_or_mode_differs() {
        let tree = Tree::from_text("/etc/hostname = proxmox\n");
        let (fake, log) = (Fake::default(), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let step = WriteFile::new("/etc/hostname", "pve-a-0-1\n".into());
        assert_eq!(step.check(&system).unwrap().todo, ["write /etc/hostname"]);
        step.apply(&system).unwrap();
        assert_eq!(step.check(&system).unwrap(), Finding::done());
    }

    #[test]
    fn the_name_of_the_running_system_is_set_from_the_file() {
        let tree = Tree::of("node-bonded-virtio");
        let (fake, log) = (Fake::default(), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        assert_eq!(HostName("proxmox".into()).check(&system).unwrap(), Finding::done());
        let step = HostName("pve-a-0-1".into());
        assert_eq!(step.check(&system).unwrap().todo, ["set the host name to pve-a-0-1 (now proxmox)"]);
        step.apply(&system).unwrap();
        assert_eq!(fake.lines(), ["hostname -F /etc/hostname"]);
    }
}
