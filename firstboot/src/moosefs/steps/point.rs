//! The step *close /mnt/mfs until `MooseFS` is there*. It comes before the cluster: once a node is in that, Proxmox VE makes the folders of every
//! storage that the cluster has, every few seconds, whether something is mounted there or not (docs/facts.md 19).

use anyhow::Result;

use super::super::detect;
use super::mount::{Mounted, POINT, mounted, refuse_other};
use crate::files;
use crate::outcome::Class;
use crate::runner::Call;
use crate::step::{Finding, Step};
use crate::system::System;

/// The step.
pub struct Point;

/// What is to be done about an open one.
pub(super) const CLOSE: &str =
    "make /mnt/mfs a folder that nothing can be written to while nothing is mounted there";

/// Can nothing be made in the folder?
pub(super) fn is_closed(system: &System) -> Result<bool> {
    if !system.root.has(POINT) {
        return Ok(false);
    }
    let path = system.root.path(POINT).display().to_string();
    let output = system.runner.run(&Call::new("lsattr").args(["-d", &path]))?;
    Ok(output.stdout.split_whitespace().next().is_some_and(|flags| flags.contains('i')))
}

/// Makes the folder, with nothing in it, and immutable.
pub(super) fn close(system: &System) -> Result<()> {
    let names = system.root.names(POINT);
    if !names.is_empty() {
        return Err(Class::Refused.error(format!(
            "{POINT}: found {} in it while nothing is mounted there, wanted it empty: it was written past MooseFS; move it elsewhere, then `cias run` goes on",
            names.join(", ")
        )));
    }
    if !is_closed(system)? {
        let path = system.root.path(POINT);
        files::make_folder(&path, 0o755)?;
        system.runner.run(&Call::new("chattr").args(["+i", &path.display().to_string()]))?;
    }
    Ok(())
}

impl Step for Point {
    fn name(&self) -> &'static str {
        "close /mnt/mfs until MooseFS is there"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        // Wrong packages are what the steps that need them complain of; the storage comes to this node all the same.
        if matches!(detect::dialect(&system.root), Ok(None)) {
            return Ok(Finding::done());
        }
        match mounted(&system.root) {
            Mounted::MooseFs => Ok(Finding::done()),
            Mounted::Other(kind) => Err(refuse_other(&kind)),
            Mounted::Nothing if is_closed(system)? => Ok(Finding::done()),
            Mounted::Nothing => Ok(Finding::todo(CLOSE)),
        }
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        close(system)?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::super::super::dialect::{ALL, Old};
    use super::super::mount::Mount;
    use super::super::testing::{World, fake, world};
    use super::super::{Node, Part};
    use super::*;
    use crate::log::Log;
    use crate::site::{from_text, tests::example};

    /// Runs the step as the engine does, and returns what it had to do and did.
    fn run(world: &Arc<World>) -> Result<Vec<String>> {
        let (fake, log) = (fake(world), Log::silent());
        let system = System { root: world.tree.root(), runner: &fake, log: &log };
        let todo = Point.check(&system)?.todo;
        if !todo.is_empty() {
            Point.apply(&system)?;
            assert_eq!(Point.check(&system)?, Finding::done());
        }
        let acts = fake.lines().into_iter().filter(|line| !line.starts_with("lsattr"));
        let root = world.tree.path().display().to_string();
        Ok(todo.into_iter().chain(acts.map(|line| line.replace(&root, ""))).collect())
    }

    #[test]
    fn it_is_made_once_and_stays() {
        for dialect in ALL {
            let world = world(dialect);
            assert_eq!(run(&world).unwrap(), [CLOSE, "chattr +i /mnt/mfs"]);
            assert_eq!(run(&world).unwrap(), [""; 0]);
            assert_eq!(world.tree.root().names(POINT), [""; 0]);
        }
    }

    #[test]
    fn a_folder_that_is_there_is_closed_if_nothing_is_in_it_and_else_refused() {
        let world = world(&Old);
        let root = world.tree.root();
        fs::create_dir_all(root.path("/mnt/mfs/a")).unwrap();
        let error = run(&world).unwrap_err();
        let said = format!("{error:#}");
        assert!(Class::of(&error) == Class::Refused && said.contains("/mnt/mfs: found a in it"), "{said}");
        assert!(!world.state.lock().unwrap().is_immutable);
        fs::remove_dir(root.path("/mnt/mfs/a")).unwrap();
        assert_eq!(run(&world).unwrap(), [CLOSE, "chattr +i /mnt/mfs"]);
    }

    #[test]
    fn what_is_mounted_is_left_alone_and_what_is_not_moosefs_is_refused() {
        let world = world(&Old);
        let mounts = |line: &str| fs::write(world.tree.root().path("/proc/mounts"), line).unwrap();
        fs::create_dir_all(world.tree.root().path("/mnt/mfs/a")).unwrap();
        mounts("mfs#10.254.0.254:9421 /mnt/mfs fuse.mfs rw 0 0\n");
        assert_eq!(run(&world).unwrap(), [""; 0]);
        mounts("nas:/x /mnt/mfs nfs rw 0 0\n");
        let error = run(&world).unwrap_err();
        assert!(
            Class::of(&error) == Class::Refused && format!("{error:#}").contains("type nfs"),
            "{error:#}"
        );
    }

    #[test]
    fn the_mount_looks_for_itself() {
        let world = world(&Old);
        let site = from_text(&example()).unwrap();
        let place = site.founder_place(None);
        let node = Node { site, place, is_founder: true, net: world.clone() };
        fs::create_dir_all(world.tree.root().path("/mnt/mfs/a")).unwrap();
        let (fake, log) = (fake(&world), Log::silent());
        let system = System { root: world.tree.root(), runner: &fake, log: &log };
        assert_eq!(Mount.check(&node, &Old, &system).unwrap().todo, [CLOSE, "mount MooseFS at /mnt/mfs"]);
        let error = Mount.apply(&node, &Old, &system).unwrap_err();
        assert!(Class::of(&error) == Class::Refused && format!("{error:#}").contains("a in it"), "{error:#}");
    }

    #[test]
    fn it_is_made_where_packages_of_moosefs_are_be_they_the_wrong_ones_and_only_there() {
        let world = world(&Old);
        let status = world.tree.root().path("/var/lib/dpkg/status");
        let whole = fs::read_to_string(&status).unwrap();
        fs::write(&status, "").unwrap();
        assert_eq!(run(&world).unwrap(), [""; 0]);
        fs::write(&status, whole.replace("1.6.27-5", "1.6.26-1")).unwrap();
        assert!(detect::dialect(&world.tree.root()).is_err());
        assert_eq!(run(&world).unwrap().len(), 2);
    }
}
