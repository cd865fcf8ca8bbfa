//! The step *run the metadata server*, on the founder: on the node that has the role address, and from metadata that is its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::super::daemon::{Daemon, master_turn};
use super::super::decide::{Origin, origin};
use super::super::dialect::Dialect;
use super::super::{DATA, end, found, metadata, restore, web};
use super::{Node, Part, account, is_owned, require_master};
use crate::cluster::wait::await_until;
use crate::files;
use crate::outcome::Class;
use crate::step::Finding;
use crate::system::System;

/// How long keepalived may take to bring the role address: its health script must pass twice, and then it listens for other Masters.
const ADDRESS: Duration = Duration::from_secs(30);

pub(super) struct Master;

fn serves_web(node: &Node) -> bool {
    node.net.answers(web::HOST, web::PORT)
}

/// Waits until this node has the role address, by which all others find the metadata server.
fn await_address(node: &Node, system: &System) -> Result<()> {
    let vip = node.site.network.vip;
    let look = || node.net.has(vip).is_ok_and(|here| here).then_some(());
    match await_until(system.runner, ADDRESS, look)? {
        Some(()) => Ok(()),
        None => require_address(node),
    }
}

fn require_address(node: &Node) -> Result<()> {
    let vip = node.site.network.vip;
    if node.net.has(vip)? {
        return Ok(());
    }
    Err(Class::TryLater.error(format!(
        "the Master's address {vip} is not on this node, so that no metadata server runs here: `cias check-master` and `service keepalived status` tell why"
    )))
}

/// Ends one that runs without the address: it is not the Master's.
fn require_or_end(node: &Node, system: &System) -> Result<()> {
    let result = await_address(node, system);
    if result.is_err() && Daemon::Master.runs(system.runner)? {
        end::end_master(system)?;
    }
    result
}

fn start(node: &Node, dialect: &dyn Dialect, system: &System) -> Result<()> {
    require_master(&system.root, node.site.network.vip)?;
    await_address(node, system)?;
    let _turn = master_turn(&system.root)?;
    // It may have gone while this waited, and then whoever ends the metadata server has been here.
    require_address(node)?;
    match origin(&found::look(system, &node.place)?)? {
        Origin::Ended => {}
        Origin::Running => restore::restore(system, dialect, account(&system.root)?)?,
        Origin::Empty => make_empty(node, system)?,
    }
    // What the power cut off, or a person put there, may be root's.
    let (ended, account) = (format!("{DATA}/{}", metadata::ENDED), account(&system.root)?);
    if !is_owned(&system.root, &ended, account) {
        files::give(&system.root.path(&ended), account)?;
    }
    Daemon::Master.has_it(system, "start", true)
}

/// Makes an empty file system, which the cluster knows of before it is there.
fn make_empty(node: &Node, system: &System) -> Result<()> {
    let root = &system.root;
    found::begin(root, &node.place)?;
    set_aside(system)?;
    files::write(&root.path(&format!("{DATA}/{}", metadata::ENDED)), metadata::EMPTY, 0o640)?;
    system.log.say("MooseFS: a new, empty file system is made");
    Ok(())
}

/// Puts what a founding that was cut off left into a folder of its own: nothing of it may be mixed with what comes.
fn set_aside(system: &System) -> Result<()> {
    let names = system.root.names(DATA);
    let known = metadata::known(names.iter().map(String::as_str));
    if known.is_empty() {
        return Ok(());
    }
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let folder = format!("{DATA}/cut-off.{at}");
    files::make_folder(&system.root.path(&folder), 0o750)?;
    for name in known {
        files::rename(
            &system.root.path(&format!("{DATA}/{name}")),
            &system.root.path(&format!("{folder}/{name}")),
        )?;
    }
    Ok(())
}

impl Part for Master {
    fn name(&self) -> &'static str {
        "run the metadata server"
    }

    fn check(&self, node: &Node, _: &dyn Dialect, system: &System) -> Result<Finding> {
        let server = Daemon::Master.missing(system)?.map(|word| Daemon::Master.sentence(word));
        let web =
            (!serves_web(node)).then(|| format!("start mfscgiserv, the web view on port {}", web::PORT));
        let vip = node.site.network.vip;
        let address =
            (!node.net.has(vip)?).then(|| format!("wait until this node has the Master's address {vip}"));
        Ok(Finding { todo: address.into_iter().chain(server).chain(web).collect(), warnings: Vec::new() })
    }

    fn apply(&self, node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Vec<String>> {
        require_or_end(node, system)?;
        match Daemon::Master.missing(system)? {
            Some("start") => start(node, dialect, system)?,
            Some(word) => Daemon::Master.has_it(system, word, true)?,
            None => {}
        }
        if !serves_web(node) {
            web::start(system, dialect, || serves_web(node))?;
        }
        // A cluster that grows from one node to two has no quorum for a moment, and its Master no address.
        require_address(node)?;
        Ok(Vec::new())
    }
}
