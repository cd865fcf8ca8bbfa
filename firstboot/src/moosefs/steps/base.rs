//! The steps of a file system's first hour. Its first metadata is no base that anything could be restored from, and what a metalogger fetched of it
//! stays for an hour or a day: so the founder restarts its metadata server once after the first change, and a node is done only when its metalogger
//! has a base (docs/facts.md 18).

use std::time::Duration;

use anyhow::{Context, Result};

use super::super::daemon::{Daemon, master_turn};
use super::super::dialect::Dialect;
use super::super::metadata::{self, is_a_base, version_of};
use super::super::{DATA, MASTER, found};
use super::{Node, Part};
use crate::cluster::wait::await_until;
use crate::outcome::Class;
use crate::step::Finding;
use crate::system::System;

/// How long a metalogger may take to fetch the metadata, which it begins with once it is connected.
const FETCH: Duration = Duration::from_secs(30);

/// Of the founder: the first changes are in the file that a metalogger fetches.
pub(super) struct FirstChanges;

fn has_changes(system: &System) -> Result<bool> {
    let of = |name| version_of(&system.root, name);
    Ok(is_a_base(of(metadata::RUNNING)?) || is_a_base(of(metadata::ENDED)?))
}

impl Part for FirstChanges {
    fn name(&self) -> &'static str {
        "have the first changes in the metadata's file"
    }

    fn check(&self, _: &Node, _: &dyn Dialect, system: &System) -> Result<Finding> {
        let restart = (!has_changes(system)?).then(|| {
            "restart mfsmaster once, so that its metalogger has something to restore from".to_owned()
        });
        let end = system.root.has(found::BEGUN).then(|| format!("remove {}", found::BEGUN));
        Ok(Finding { todo: restart.into_iter().chain(end).collect(), warnings: Vec::new() })
    }

    fn apply(&self, _: &Node, _: &dyn Dialect, system: &System) -> Result<Vec<String>> {
        if !has_changes(system)? {
            let _turn = master_turn(&system.root)?;
            // Ended meanwhile, because the role address has gone: who starts it is the step that looks for that.
            if !Daemon::Master.runs(system.runner)? {
                return Err(Class::TryLater.error("mfsmaster has ended before its restart, wanted it to run: `cias run` starts it again where the Master's address is"));
            }
            Daemon::Master.has_it(system, "stop", false)?;
            let version = version_of(&system.root, metadata::ENDED)?;
            if !is_a_base(version) {
                let shown = version.map_or("no file".to_owned(), |version| format!("version {version}"));
                return Err(Class::Failed.error(format!(
                    "{DATA}/{}: found {shown} after mfsmaster has ended, wanted the first changes in it: /var/log/syslog tells why",
                    metadata::ENDED
                )));
            }
            Daemon::Master.has_it(system, "start", true)?;
        }
        found::end(&system.root).context("ending the founding")?;
        Ok(Vec::new())
    }
}

/// Of every node: its metalogger has a base.
pub(super) struct Fetched;

impl Part for Fetched {
    fn name(&self) -> &'static str {
        "have the metadata on this node"
    }

    fn check(&self, _: &Node, _: &dyn Dialect, system: &System) -> Result<Finding> {
        let is_there = is_a_base(version_of(&system.root, metadata::FETCHED)?);
        let sentence = "have mfsmetalogger fetch the metadata, and wait for it";
        Ok(if is_there { Finding::done() } else { Finding::todo(sentence) })
    }

    fn apply(&self, _: &Node, _: &dyn Dialect, system: &System) -> Result<Vec<String>> {
        // It fetches when it connects; the next time by itself is an hour later.
        Daemon::Metalogger.has_it(system, "restart", true)?;
        let look = || version_of(&system.root, metadata::FETCHED).ok().filter(|version| is_a_base(*version));
        await_until(system.runner, FETCH, look)?.map(|_| Vec::new()).ok_or_else(|| {
            Class::TryLater.error(format!(
                "{DATA}/{}: found none with a change in it within {} s, wanted what mfsmetalogger fetches from {MASTER}: the Master may not be there, or its file system be too new; it is tried again",
                metadata::FETCHED,
                FETCH.as_secs()
            ))
        })
    }
}
