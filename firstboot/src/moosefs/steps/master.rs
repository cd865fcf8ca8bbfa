//! The step *run the metadata server*, on the founder: on the node that has the role address, and from metadata that is its own.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::super::daemon::Daemon;
use super::super::decide::{Origin, origin};
use super::super::dialect::Dialect;
use super::super::{DATA, USER, found, metadata, restore};
use super::{Node, Part, account, is_owned, require_master};
use crate::cluster::wait::await_until;
use crate::files;
use crate::outcome::Class;
use crate::runner::Call;
use crate::step::Finding;
use crate::system::System;

/// How long keepalived may take to bring the role address: its health script must pass twice, and then it listens for other Masters.
const ADDRESS: Duration = Duration::from_secs(30);

/// Where the web view listens.
const WEB: u16 = 9425;

/// How long it may take to.
const WEB_START: Duration = Duration::from_secs(15);

pub(super) struct Master;

fn serves_web(node: &Node) -> bool {
    node.net.answers(Ipv4Addr::LOCALHOST, WEB)
}

/// Waits until this node has the role address, by which all others find the metadata server.
fn await_address(node: &Node, system: &System) -> Result<()> {
    let vip = node.site.network.vip;
    let look = || node.net.has(vip).is_ok_and(|here| here).then_some(());
    await_until(system.runner, ADDRESS, look)?.ok_or_else(|| {
        Class::TryLater.error(format!(
            "the Master's address {vip} is not on this node, so that no metadata server is started here: `cias check-master` and `service keepalived status` tell why"
        ))
    })
}

fn start(node: &Node, dialect: &dyn Dialect, system: &System) -> Result<()> {
    require_master(&system.root, node.site.network.vip)?;
    await_address(node, system)?;
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

fn start_web(node: &Node, dialect: &dyn Dialect, system: &System) -> Result<()> {
    let call = Call::new("start-stop-daemon")
        .args([
            "--start",
            "--oknodo",
            "--chuid",
            &format!("{USER}:{USER}"),
            "--exec",
            "/usr/sbin/mfscgiserv",
            "--",
        ])
        .args(["-P", &WEB.to_string(), "-R", dialect.pages(), "start"]);
    let said = system.runner.outcome(&call)?.failure();
    await_until(system.runner, WEB_START, || serves_web(node).then_some(()))?.ok_or_else(|| {
        let said = if said.is_empty() { "no error" } else { &said };
        Class::Failed.error(format!(
            "mfscgiserv does not listen on port {WEB} (it said: {said}), wanted the web view there"
        ))
    })
}

impl Part for Master {
    fn name(&self) -> &'static str {
        "run the metadata server"
    }

    fn check(&self, node: &Node, _: &dyn Dialect, system: &System) -> Result<Finding> {
        let server = Daemon::Master.missing(system)?.map(|word| Daemon::Master.sentence(word));
        let web = (!serves_web(node)).then(|| format!("start mfscgiserv, the web view on port {WEB}"));
        Ok(Finding { todo: server.into_iter().chain(web).collect(), warnings: Vec::new() })
    }

    fn apply(&self, node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Vec<String>> {
        match Daemon::Master.missing(system)? {
            Some("start") => start(node, dialect, system)?,
            Some(word) => Daemon::Master.has_it(system, word, true)?,
            None => {}
        }
        if !serves_web(node) {
            start_web(node, dialect, system)?;
        }
        Ok(Vec::new())
    }
}
