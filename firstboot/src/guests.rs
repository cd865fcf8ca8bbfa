//! The step *start the guests that waited for `MooseFS`*, once after each boot, and last of all as it may take long.
//!
//! Proxmox VE starts its guests early in the boot, when nothing is mounted at `/mnt/mfs` yet: those whose disks are on it fail, and nothing starts
//! them again (docs/facts.md 8).

use std::time::Duration;

use anyhow::Result;

use crate::agent::published;
use crate::cluster::bring;
use crate::cluster::members::{self, Members};
use crate::files;
use crate::moosefs::detect;
use crate::moosefs::steps::{Mounted, POINT, mounted};
use crate::outcome::Class;
use crate::site::Site;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};

/// There once it was done; gone after a boot, as the guests are. Whoever ends a guest later on does not find it started again.
const DONE: &str = "/run/cias/guests-started";

const SCRIPT: &str = "/etc/init.d/pve-manager";

/// This node's own guests: the folder of their kind, and what begins the line that says whether one starts at boot.
const KINDS: [(&str, &str); 2] = [("qemu-server", "onboot:"), ("openvz", "ONBOOT=")];

/// How long all of them may take: each may have the next one wait for minutes (`startup`, `up=`).
const LIMIT: Duration = Duration::from_mins(30);

/// The step.
pub struct Guests {
    cluster: String,
}

impl Guests {
    /// For the cluster of the site.
    pub fn new(site: &Site) -> Self {
        Self { cluster: site.site.cluster_name.clone() }
    }

    /// Neither does Proxmox VE start anything without them.
    fn require(&self, root: &Sysroot) -> Result<()> {
        if mounted(root) != Mounted::MooseFs {
            return Err(Class::TryLater.error(format!(
                "{POINT}: found MooseFS not mounted, wanted it to be before guests start from it: `cias run` mounts it again"
            )));
        }
        if Members::read(root)?.is_some_and(|members| members.is_quorate_in(&self.cluster)) {
            return Ok(());
        }
        Err(Class::TryLater.error(format!(
            "the cluster {} has no quorum: {}",
            self.cluster,
            bring::NO_QUORUM
        )))
    }
}

/// Is a guest of this node to start at boot? What is below the first section is a snapshot's.
fn is_any_to_start(root: &Sysroot) -> bool {
    KINDS.iter().any(|(kind, key)| {
        let folder = format!("/etc/pve/local/{kind}");
        let names = root.names(&folder).into_iter().filter(|name| name.strip_suffix(".conf").is_some());
        let mut texts = names.filter_map(|name| root.attribute(&format!("{folder}/{name}")));
        texts.any(|text| {
            let mut lines = text.lines().take_while(|line| !line.starts_with('['));
            let value = lines.find_map(|line| line.trim().strip_prefix(key));
            value.is_some_and(|value| ["1", "yes"].contains(&value.trim().trim_matches('"')))
        })
    })
}

/// Has Proxmox VE start them, and returns its complaint. Which of them run is its business, and so is one that does not start.
fn start(system: &System) -> Result<Option<String>> {
    let said = match bring::service_within(system, &["pve-manager", "start"], LIMIT) {
        Err(error) if Class::of(&error) == Class::Interrupted => return Err(error),
        Err(error) => format!("{error:#}"),
        Ok(complaint) => complaint,
    };
    Ok((!said.is_empty()).then(|| {
        format!(
            "guests: `service pve-manager start` did not succeed (it said: {said}), wanted all that start at boot to run: start those that do not by hand"
        )
    }))
}

impl Step for Guests {
    fn name(&self) -> &'static str {
        "start the guests that waited for MooseFS"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let root = &system.root;
        let is_due = detect::dialect(root)?.is_some() && root.has(SCRIPT) && !root.has(DONE);
        Ok(if is_due {
            Finding::todo(
                "start this node's guests that are to start at boot and do not run, if there are any",
            )
        } else {
            Finding::done()
        })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let root = &system.root;
        // Without it no guest can be seen.
        members::needs_mounted(root)?;
        let mut warning = None;
        if is_any_to_start(root) {
            self.require(root)?;
            warning = start(system)?;
        }
        // At last: cut off before, it is done again, and passes over those that run.
        files::make_folder(&root.path(published::FOLDER), 0o755)?;
        files::write(&root.path(DONE), "", 0o644)?;
        Ok(warning.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::log::Log;
    use crate::moosefs::detect::tests::status;
    use crate::moosefs::dialect::ALL;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};
    use crate::tree::Tree;

    const START: &str = "service pve-manager start";
    const GUEST: &str = "/etc/pve/nodes/me/qemu-server/100.conf = name: gateway\\nonboot: 1\n";

    /// A node that has just booted and mounted `MooseFS`.
    fn node(more: &str) -> Tree {
        let tree = Tree::from_text(&format!(
            "/etc/init.d/pve-manager = x\n/etc/pve/nodes/me/\n/etc/pve/local -> nodes/me\n/var/lib/dpkg/status = x\n\
             /proc/mounts = mfs#cias-pve-master:9421 /mnt/mfs fuse.mfs rw 0 0\n{more}"
        ));
        fs::write(tree.root().path("/var/lib/dpkg/status"), status(ALL[0], "1.6.27-5")).unwrap();
        quorum(&tree, 1);
        tree
    }

    fn quorum(tree: &Tree, quorate: u8) {
        let members = format!(
            "{{\"nodename\": \"me\", \"cluster\": {{\"name\": \"DLLL-CIAS\", \"quorate\": {quorate}}}, \"nodelist\": {{\"me\": {{\"online\": 1}}}}}}"
        );
        fs::write(tree.root().path(members::FILE), members).unwrap();
    }

    /// Runs the step as the engine does, and returns its warnings.
    fn run(tree: &Tree, fake: &Fake) -> Result<Vec<String>> {
        let log = Log::silent();
        let system = System { root: tree.root(), runner: fake, log: &log };
        let step = Guests::new(&from_text(&example()).unwrap());
        if step.check(&system)?.todo.is_empty() {
            return Ok(Vec::new());
        }
        let warnings = step.apply(&system)?;
        assert_eq!(step.check(&system)?, Finding::done());
        Ok(warnings)
    }

    fn done(tree: &Tree) -> Vec<String> {
        let fake = Fake::default();
        assert_eq!(run(tree, &fake).unwrap(), [""; 0]);
        fake.lines()
    }

    #[test]
    fn guests_that_start_at_boot_are_started_once_after_each_boot() {
        let container = "/etc/pve/nodes/me/openvz/101.conf = ONBOOT=\"yes\"\\nHOSTNAME=\"web\"\n";
        for guest in [GUEST, container] {
            let tree = node(guest);
            assert_eq!(done(&tree), [START], "{guest}");
            assert_eq!(done(&tree), [""; 0], "{guest}");
            fs::remove_dir_all(tree.root().path("/run/cias")).unwrap();
            assert_eq!(done(&tree), [START], "{guest}");
        }
    }

    #[test]
    fn where_none_waits_nothing_is_started_then_or_later_in_this_boot() {
        for guest in [
            "",
            "/etc/pve/nodes/me/qemu-server/100.conf = name: gateway\\nonboot: 0\n",
            "/etc/pve/nodes/me/qemu-server/100.conf = name: gateway\\n\\n[before]\\nonboot: 1\n",
            "/etc/pve/nodes/me/openvz/101.conf = ONBOOT=\"no\"\n",
            "/etc/pve/nodes/other/qemu-server/100.conf = onboot: 1\n",
        ] {
            let tree = node(guest);
            assert_eq!(done(&tree), [""; 0], "{guest}");
            let folder = tree.root().path("/etc/pve/nodes/me/qemu-server");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("102.conf"), "onboot: 1\n").unwrap();
            assert_eq!(done(&tree), [""; 0], "{guest}");
        }
    }

    #[test]
    fn without_moosefs_or_proxmox_ve_nobody_waits() {
        for path in ["/var/lib/dpkg/status", SCRIPT] {
            let tree = node(GUEST);
            fs::remove_file(tree.root().path(path)).unwrap();
            assert_eq!(done(&tree), [""; 0], "{path}");
            assert!(!tree.root().has(DONE), "{path}");
        }
    }

    #[test]
    fn they_wait_for_the_mount_the_quorum_and_the_clusters_file_system() {
        let later = |tree: &Tree, part: &str| {
            let fake = Fake::default();
            let error = run(tree, &fake).unwrap_err();
            assert!(Class::of(&error) == Class::TryLater && format!("{error:#}").contains(part), "{error:#}");
            assert_eq!(fake.lines(), [""; 0]);
        };
        let tree = node(GUEST);
        let mounts = tree.root().path("/proc/mounts");
        let whole = fs::read_to_string(&mounts).unwrap();
        fs::write(&mounts, "").unwrap();
        later(&tree, "found MooseFS not mounted");
        fs::write(&mounts, whole).unwrap();
        quorum(&tree, 0);
        later(&tree, "has no quorum");
        quorum(&tree, 1);
        fs::remove_file(tree.root().path("/etc/pve/local")).unwrap();
        later(&tree, "/etc/pve: found it not mounted");
        std::os::unix::fs::symlink("nodes/me", tree.root().path("/etc/pve/local")).unwrap();
        assert_eq!(done(&tree), [START]);
    }

    #[test]
    fn what_proxmox_ve_complains_of_is_told_and_stops_nothing() {
        let tree = node(GUEST);
        let fake = Fake::default().fails("service", 1, "cluster not ready - no quorum?");
        let warnings = run(&tree, &fake).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("said: cluster not ready"), "{warnings:?}");
        assert_eq!(done(&tree), [""; 0]);
    }

    #[test]
    fn cut_off_it_is_done_again() {
        for at in [0, 1] {
            let tree = node(GUEST);
            assert!(run(&tree, &Fake::default().cut_at(at)).is_err());
            assert_eq!(done(&tree), [START]);
        }
    }
}
