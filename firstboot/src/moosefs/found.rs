//! The founding of the file system: who may begin it, and how the whole cluster knows that it was begun.
//!
//! The record lies on the cluster's file system and is written before the first, empty metadata is. What this node noted before that tells
//! whether the record is of a founding that the power cut off here, or of one whose metadata must be somewhere.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::decide::Known;
use super::steps::data_disks;
use super::{DATA, metadata};
use crate::cluster::members::{self, Members};
use crate::cluster::{self};
use crate::files;
use crate::outcome::Class;
use crate::runner::Call;
use crate::site::Place;
use crate::system::{Sysroot, System};

/// The note of a founding that has not come to its end.
pub const BEGUN: &str = "/var/lib/cias/moosefs-begun";

/// How long a node may take to tell what it has.
const ASK: Duration = Duration::from_secs(30);

/// The record.
pub fn record() -> String {
    format!("{}/moosefs-founded", cluster::FOLDER)
}

/// What is known of metadata, here and elsewhere. Others are asked only if nothing here can be started from.
pub fn look(system: &System, me: &Place) -> Result<Known> {
    let root = &system.root;
    let names = root.names(DATA);
    let known = Known {
        ended: metadata::version_of(root, metadata::ENDED)?,
        running: metadata::version_of(root, metadata::RUNNING)?,
        here: metadata::known(names.iter().map(String::as_str)).into_iter().map(str::to_owned).collect(),
        ..Known::default()
    };
    let is_enough = if known.ended.is_some() { known.ended } else { known.running };
    if metadata::is_a_base(is_enough) {
        return Ok(known);
    }
    if !members::is_mounted(root) {
        return Err(Class::TryLater.error(
            "the cluster's file system is not mounted at /etc/pve, so that nobody knows whether there is metadata: `service pve-cluster status` tells why",
        ));
    }
    let (record, begun) = (root.attribute(&record()), root.attribute(BEGUN));
    let mut known = Known { record, begun, chunks: chunks(system)?, ..known };
    for (name, node) in Members::read(root)?.unwrap_or_default().nodes {
        if name == me.name {
            continue;
        }
        match node.ip.map(|address| ask(system, &address.to_string())).transpose()?.flatten() {
            None => known.silent.push(name),
            Some(true) => known.elsewhere.push(name),
            Some(false) => {}
        }
    }
    Ok(known)
}

/// Data disks that chunks lie on: one that was formatted by us for this site is kept, also when the system disk was installed anew.
fn chunks(system: &System) -> Result<Vec<String>> {
    let root = &system.root;
    let holds = |point: &String| {
        root.names(point)
            .iter()
            // The chunkserver makes 256 folders, 00 to FF, before it has any chunk.
            .filter(|folder| folder.len() == 2)
            .any(|folder| {
                root.names(&format!("{point}/{folder}")).iter().any(|name| name.starts_with("chunk_"))
            })
    };
    Ok(data_disks(system)?.into_iter().map(|disk| disk.point).filter(holds).collect())
}

/// Has the node at `address` metadata? Nothing if it does not tell.
fn ask(system: &System, address: &str) -> Result<Option<bool>> {
    let call = Call::new("ssh")
        .args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
        .args([&format!("root@{address}"), "ls", DATA])
        .env("HOME", "/root")
        .limit(ASK);
    let output = match system.runner.outcome(&call) {
        Ok(output) => output,
        Err(error) if Class::of(&error) == Class::Interrupted => return Err(error),
        Err(_) => return Ok(None),
    };
    // `ls` ends with 2 where there is no such folder, ssh with 255 where it did not come through.
    Ok(match output.code {
        0 => Some(!metadata::known(output.stdout.lines()).is_empty()),
        2 => Some(false),
        _ => None,
    })
}

/// Notes that this node begins, then tells the cluster. Both are on the disk when this returns.
pub fn begin(root: &Sysroot, me: &Place) -> Result<()> {
    let record = record();
    let begun = root.attribute(BEGUN).filter(|text| !text.is_empty());
    let text = begun.unwrap_or_else(|| {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        format!("by {} with {} at {at}, number {:016x}", me.name, me.address, fastrand::u64(..))
    });
    files::write_if_changed(&root.path(BEGUN), format!("{text}\n"), 0o644)?;
    if root.attribute(&record).as_deref() == Some(&text) {
        return Ok(());
    }
    files::write_shared(&root.path(&record), format!("{text}\n"))
}

/// The file system has its first changes, and they are on the disk.
pub fn end(root: &Sysroot) -> Result<()> {
    files::remove(&root.path(BEGUN))
}
