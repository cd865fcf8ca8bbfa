//! The step *mount `MooseFS` at /mnt/mfs*. Nothing can be written there while it is not mounted: the folder below it is immutable.

use std::time::Duration;

use anyhow::Result;

use super::super::dialect::Dialect;
use super::super::{MASTER, ask, end};
use super::{Node, Part, point, require_master};
use crate::cluster::wait::await_until;
use crate::outcome::Class;
use crate::runner::Call;
use crate::step::Finding;
use crate::system::{Sysroot, System};

/// Where it is mounted.
pub const POINT: &str = "/mnt/mfs";

/// How long the metadata server may take to answer, on a node that has just found its Master.
const ANSWER: Duration = Duration::from_secs(20);

/// How long it may then take to let somebody in: 1.6.27 closes every connection for its first ten seconds (docs/facts.md 18).
const ADMIT: Duration = Duration::from_secs(30);

pub(super) struct Mount;

/// What is mounted at [`POINT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mounted {
    /// Nothing.
    Nothing,
    /// What should be.
    MooseFs,
    /// Something else, of this type.
    Other(String),
}

/// What the kernel says is mounted there: the last one hides those before.
pub fn mounted(root: &Sysroot) -> Mounted {
    let mounts = root.attribute("/proc/mounts").unwrap_or_default();
    let entry = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (source, point, kind) = (*words.first()?, *words.get(1)?, *words.get(2)?);
        (point == POINT).then(|| {
            // Where the kernel knows no subtypes, libfuse writes them in front of the source, with its octal `#`.
            let is_ours = kind == "fuse.mfs" || kind == "fuse" && source.starts_with("mfs\\043");
            if is_ours { Mounted::MooseFs } else { Mounted::Other(kind.to_owned()) }
        })
    };
    mounts.lines().filter_map(entry).next_back().unwrap_or(Mounted::Nothing)
}

/// Has what is mounted there lost its mfsmount? Asked only where a metadata server answers: one that lives would wait for it.
pub(super) fn is_dead(node: &Node, system: &System) -> bool {
    node.net.answers(node.site.network.vip, ask::PORT) && node.net.is_dead(&system.root.path(POINT))
}

/// What is mounted there instead is a person's, who decides.
pub(super) fn refuse_other(kind: &str) -> anyhow::Error {
    Class::Refused.error(format!("{POINT}: found a file system of type {kind} mounted there, wanted MooseFS or nothing: `umount {POINT}`"))
}

/// Waits until the metadata server answers.
pub(super) fn await_server(node: &Node, system: &System) -> Result<()> {
    let vip = node.site.network.vip;
    let look = || node.net.answers(vip, ask::PORT).then_some(());
    await_until(system.runner, ANSWER, look)?.ok_or_else(|| {
        Class::TryLater.error(format!(
            "the metadata server does not answer at {MASTER} ({vip}) port {}: switch the Master on, or see `cias status` there; it is tried again",
            ask::PORT
        ))
    })
}

fn mount(node: &Node, dialect: &dyn Dialect, system: &System) -> Result<()> {
    // By its own address, on the Master too: what is bound to the role address is lost with it.
    let common = format!("mfsmaster={MASTER},mfsport={},mfsbind={}", ask::PORT, node.place.address);
    let options = [&[common.as_str()], dialect.mount_options()].concat().join(",");
    let path = system.root.path(POINT).display().to_string();
    let mut said = String::new();
    let mut try_it = || -> Result<bool> {
        let output = system.runner.outcome(&Call::new("mfsmount").args([&path, "-o", &options]))?;
        said = output.failure();
        Ok(output.code == 0)
    };
    // An error is no refusal: it ends the waiting.
    let ended = await_until(system.runner, ADMIT, || match try_it() {
        Ok(false) => None,
        Ok(true) => Some(Ok(())),
        Err(error) => Some(Err(error)),
    })?;
    ended.unwrap_or_else(|| {
        Err(Class::TryLater.error(format!(
            "the metadata server at {MASTER} does not let this node mount: mfsmount said: {said}: /etc/mfs/mfsexports.cfg there says who may; it is tried again"
        )))
    })
}

impl Part for Mount {
    fn name(&self) -> &'static str {
        "mount MooseFS at /mnt/mfs"
    }

    fn check(&self, node: &Node, _: &dyn Dialect, system: &System) -> Result<Finding> {
        match mounted(&system.root) {
            Mounted::MooseFs if is_dead(node, system) => {
                return Ok(Finding::todo(format!(
                    "unmount {POINT}, whose mfsmount has ended, and mount MooseFS there again"
                )));
            }
            Mounted::MooseFs => return Ok(Finding::done()),
            Mounted::Other(kind) => return Err(refuse_other(&kind)),
            Mounted::Nothing => {}
        }
        let mut todo = Vec::new();
        if !point::is_closed(system)? {
            todo.push(point::CLOSE.to_owned());
        }
        todo.push(format!("mount MooseFS at {POINT}"));
        Ok(Finding { todo, warnings: Vec::new() })
    }

    fn apply(&self, node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Vec<String>> {
        if mounted(&system.root) == Mounted::MooseFs {
            end::detach(system)?;
        }
        // Again, as somebody may have opened it since.
        point::close(system)?;
        require_master(&system.root, node.site.network.vip)?;
        await_server(node, system)?;
        mount(node, dialect, system)?;
        Ok(Vec::new())
    }
}
