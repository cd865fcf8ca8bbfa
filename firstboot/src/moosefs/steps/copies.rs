//! The step *set the copies and the trash time*. Each node raises the copies when it has brought a chunkserver; the rest is the founder's.

use std::time::Duration;

use anyhow::{Context, Result};

use super::super::conf::DataDisk;
use super::super::decide::{Chunkserver, goal, trash_time};
use super::super::dialect::Dialect;
use super::super::{ask, metadata};
use super::mount::{Mounted, POINT, await_server, is_dead, mounted};
use super::{Node, Part, data_disks};
use crate::cluster::wait::await_until;
use crate::files;
use crate::outcome::Class;
use crate::runner::{Call, Runner};
use crate::step::Finding;
use crate::system::System;

/// What Proxmox VE and this program use of it.
const FOLDERS: [&str; 3] = ["a", "backup", "cias"];

/// How long a chunkserver may take to be known to the metadata server: it looks for it every second.
const KNOWN: Duration = Duration::from_secs(30);

/// How long a question to the mounted file system may take.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Copies;

/// One thing to do.
enum Deed {
    Folder(&'static str),
    Goal(u8),
    TrashTime(u32),
    /// This node's chunkserver is not known yet.
    Await,
}

impl Deed {
    fn sentence(&self) -> String {
        match self {
            Self::Folder(name) => format!("make {POINT}/{name}"),
            Self::Goal(goal) => {
                format!("have {goal} {} of each chunk", if *goal == 1 { "copy" } else { "copies" })
            }
            Self::TrashTime(seconds) => format!("keep deleted files for {seconds} s"),
            Self::Await => "wait until the metadata server knows this node's chunkserver".to_owned(),
        }
    }
}

fn servers(node: &Node, dialect: &dyn Dialect) -> Result<Vec<Chunkserver>> {
    node.net.chunkservers(dialect, node.site.network.vip)
}

fn is_known(node: &Node, servers: &[Chunkserver]) -> bool {
    servers.iter().any(|server| server.address == node.place.address && server.is_connected)
}

/// What one of the tools tells of the whole file system: `/mnt/mfs: 2`.
fn told(runner: &dyn Runner, call: Call) -> Result<String> {
    let output = runner.run(&call.limit(LIMIT))?;
    Ok(output.stdout.trim().rsplit(": ").next().unwrap_or_default().to_owned())
}

fn deeds(node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Vec<Deed>> {
    let point = system.root.path(POINT).display().to_string();
    let servers = servers(node, dialect)?;
    let mut deeds = Vec::new();
    if !is_known(node, &servers) && !data_disks(system)?.is_empty() {
        deeds.push(Deed::Await);
    }
    if node.is_founder {
        let missing = FOLDERS.into_iter().filter(|name| !system.root.has(&format!("{POINT}/{name}")));
        deeds.extend(missing.map(Deed::Folder));
        let wanted = trash_time(node.site.moosefs.trash_time, dialect.trash_unit());
        let now = told(system.runner, Call::new("mfsgettrashtime").arg(&point))?;
        deeds.extend((now != wanted.to_string()).then_some(Deed::TrashTime(wanted)));
    }
    let now = told(system.runner, Call::new("mfsgetgoal").arg(&point))?;
    let is_first =
        node.is_founder && !metadata::is_a_base(metadata::version_of(&system.root, metadata::RUNNING)?);
    // What is no number is a storage class of 3.0, which a person has set.
    let raised = now.parse().ok().and_then(|now| goal(node.site.moosefs.goal, now, &servers, is_first));
    deeds.extend(raised.map(Deed::Goal));
    Ok(deeds)
}

fn can_ask(node: &Node, system: &System) -> bool {
    mounted(&system.root) == Mounted::MooseFs
        && !is_dead(node, system)
        && node.net.answers(node.site.network.vip, ask::PORT)
}

impl Part for Copies {
    fn name(&self) -> &'static str {
        "set the copies and the trash time"
    }

    fn check(&self, node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Finding> {
        if !can_ask(node, system) {
            return Ok(Finding::todo(
                "see how many copies of each chunk are possible, once MooseFS is mounted and its metadata server answers",
            ));
        }
        let todo = deeds(node, dialect, system)?.iter().map(Deed::sentence).collect();
        Ok(Finding { todo, warnings: Vec::new() })
    }

    fn apply(&self, node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Vec<String>> {
        await_server(node, system)?;
        if !data_disks(system)?.is_empty() {
            let look = || is_known(node, &servers(node, dialect).ok()?).then_some(());
            await_until(system.runner, KNOWN, look)?.ok_or_else(|| {
                Class::TryLater.error(format!(
                    "the metadata server does not know the chunkserver of {} yet: /var/log/syslog tells why{}; it is tried again",
                    node.place.address,
                    marked(system)
                ))
            })?;
        }
        if is_dead(node, system) {
            return Err(gone());
        }
        for deed in deeds(node, dialect, system)? {
            // What was mounted a moment ago may be gone, and then this would be the system disk.
            if mounted(&system.root) != Mounted::MooseFs {
                return Err(gone());
            }
            apply_one(&deed, system).with_context(|| deed.sentence())?;
        }
        Ok(Vec::new())
    }
}

/// Disks that were part of a file system: 3.0 refuses them if it was another one.
fn marked(system: &System) -> String {
    let disks = data_disks(system).unwrap_or_default();
    let has_mark = |disk: &DataDisk| system.root.has(&format!("{}/.metaid", disk.point));
    let points: Vec<String> = disks.into_iter().filter(has_mark).map(|disk| disk.point).collect();
    if points.is_empty() {
        return String::new();
    }
    format!(
        " (a disk of an earlier file system is refused for its .metaid, which is on {})",
        points.join(", ")
    )
}

fn gone() -> anyhow::Error {
    Class::TryLater.error(format!("MooseFS is no longer mounted at {POINT}: `cias run` mounts it again"))
}

fn apply_one(deed: &Deed, system: &System) -> Result<()> {
    let point = system.root.path(POINT).display().to_string();
    let set = |call: Call, number: u32| {
        let call = call.args(["-r", &number.to_string(), &point]).limit(LIMIT * 20);
        system.runner.run(&call).map(drop)
    };
    match deed {
        Deed::Folder(name) => files::make_folder(&system.root.path(&format!("{POINT}/{name}")), 0o755),
        Deed::Goal(goal) => set(Call::new("mfssetgoal"), (*goal).into()),
        Deed::TrashTime(seconds) => set(Call::new("mfssettrashtime"), *seconds),
        Deed::Await => Ok(()),
    }
}
