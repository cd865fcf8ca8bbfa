//! The steps of the stage *provision* that bring `MooseFS` about. Where it is not installed, the first one says so and all are done.
//!
//! They look anew at every boot, so that this is also what starts the daemons, each after what it needs: their packages' boot scripts are
//! disabled.

mod base;
mod copies;
mod daemons;
mod files;
mod lost;
mod master;
pub mod mount;
mod point;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use lost::lost;
pub use mount::{Mounted, POINT, mounted};
pub use point::Point;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use nix::errno::Errno;

use super::ask;
use super::conf::DataDisk;
use super::decide::Chunkserver;
use super::dialect::Dialect;
use super::{MASTER, USER, detect};
use crate::disks::FOLDER;
use crate::facts::disks::Source;
use crate::journal::Role;
use crate::keepalived::moved;
use crate::outcome::Class;
use crate::site::{Place, Site};
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};

/// What is seen of the network, and of what hangs on it.
trait Net: Send + Sync {
    /// Has this node the address now?
    fn has(&self, address: Ipv4Addr) -> Result<bool>;

    /// Does something listen there?
    fn answers(&self, address: Ipv4Addr, port: u16) -> bool;

    /// Has what is mounted at `path` nobody who answers for it?
    fn is_dead(&self, path: &Path) -> bool;

    /// All chunkservers that the metadata server at `address` knows.
    fn chunkservers(&self, dialect: &dyn Dialect, address: Ipv4Addr) -> Result<Vec<Chunkserver>>;
}

/// The machine's own network.
struct Own;

impl Net for Own {
    fn has(&self, address: Ipv4Addr) -> Result<bool> {
        moved::has(address)
    }

    fn answers(&self, address: Ipv4Addr, port: u16) -> bool {
        ask::answers(address, port)
    }

    fn is_dead(&self, path: &Path) -> bool {
        let found = std::fs::metadata(path).map_err(|error| error.raw_os_error());
        matches!(found, Err(Some(code)) if code == Errno::ENOTCONN as i32)
    }

    fn chunkservers(&self, dialect: &dyn Dialect, address: Ipv4Addr) -> Result<Vec<Chunkserver>> {
        ask::chunkservers(dialect, SocketAddrV4::new(address, ask::PORT))
    }
}

/// What all steps know of this node.
#[derive(Clone)]
struct Node {
    site: Site,
    place: Place,
    is_founder: bool,
    net: Arc<dyn Net>,
}

/// One of the steps, for a dialect that is installed.
trait Part {
    fn name(&self) -> &'static str;
    fn check(&self, node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Finding>;
    fn apply(&self, node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Vec<String>>;
}

/// A part as a step.
struct Whole<P> {
    node: Node,
    part: P,
    is_first: bool,
}

impl<P: Part> Step for Whole<P> {
    fn name(&self) -> &str {
        self.part.name()
    }

    fn check(&self, system: &System) -> Result<Finding> {
        if let Some(dialect) = detect::dialect(&system.root)? {
            return self.part.check(&self.node, dialect, system);
        }
        let warnings = self.is_first.then(|| {
            "MooseFS: found none of its packages, so that this node neither gives nor takes shared space: install those of 1.6.27 (mfs-master and its kin), and `cias run` sets it up"
                .to_owned()
        });
        Ok(Finding { todo: Vec::new(), warnings: warnings.into_iter().collect() })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        match detect::dialect(&system.root)? {
            Some(dialect) => self.part.apply(&self.node, dialect, system),
            None => Ok(Vec::new()),
        }
    }
}

/// The steps of the node at `place`, in their order.
pub fn steps(site: &Site, place: &Place, role: Role) -> Vec<Box<dyn Step>> {
    let (site, place) = (site.clone(), place.clone());
    of(&Node { site, place, is_founder: role == Role::Founder, net: Arc::new(Own) })
}

fn of(node: &Node) -> Vec<Box<dyn Step>> {
    let mut steps = vec![whole(node, files::Files, true), whole(node, daemons::Daemons, false)];
    if node.is_founder {
        steps.push(whole(node, master::Master, false));
    }
    steps.push(whole(node, mount::Mount, false));
    steps.push(whole(node, copies::Copies, false));
    if node.is_founder {
        steps.push(whole(node, base::FirstChanges, false));
    }
    steps.push(whole(node, base::Fetched, false));
    steps
}

fn whole(node: &Node, part: impl Part + 'static, is_first: bool) -> Box<dyn Step> {
    Box::new(Whole { node: node.clone(), part, is_first })
}

/// The data disks that are mounted now, in the order of their names.
pub fn data_disks(system: &System) -> Result<Vec<DataDisk>> {
    let disks = Source::machine(system.runner).below(&system.root).disks()?;
    let named = disks.iter().flat_map(|disk| disk.mounts.iter().map(move |point| (point, disk.size)));
    let mut found: Vec<DataDisk> = named
        .filter(|(point, _)| {
            let name = point.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/'));
            name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
        })
        .map(|(point, size)| DataDisk { point: point.clone(), size })
        .collect();
    found.sort_by(|one, other| one.point.cmp(&other.point));
    found.dedup_by(|one, other| one.point == other.point);
    Ok(found)
}

/// Number of the daemons' account, and of its group.
pub(super) fn account(root: &Sysroot) -> Result<(u32, u32)> {
    let passwd = root.text("/etc/passwd")?;
    let numbers = passwd.lines().find_map(|line| {
        let mut fields = line.strip_prefix(USER)?.strip_prefix(':')?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    numbers.ok_or_else(|| {
        Class::Failed.error(format!(
            "/etc/passwd: found no account {USER}, wanted the one that MooseFS's packages make: install them anew"
        ))
    })
}

/// Does `path` belong to the account?
pub(super) fn is_owned(root: &Sysroot, path: &str, (user, group): (u32, u32)) -> bool {
    std::fs::metadata(root.path(path)).is_ok_and(|found| (found.uid(), found.gid()) == (user, group))
}

/// Does the one name of the metadata server lead to the role address? All daemons look it up there, and nowhere else.
fn require_master(root: &Sysroot, vip: Ipv4Addr) -> Result<()> {
    let hosts = root.text("/etc/hosts")?;
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut found = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?;
        words.any(|word| word == MASTER).then_some(address)
    });
    let first = found.next();
    if first == Some(vip.to_string().as_str()) {
        return Ok(());
    }
    Err(Class::Failed.error(format!(
        "/etc/hosts: {MASTER}: found {}, wanted {vip}: `cias run --stage identity --again` writes it anew",
        first.unwrap_or("no line")
    )))
}
