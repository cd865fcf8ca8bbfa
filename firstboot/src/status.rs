//! How far this node is, from the journal; anybody may ask.

use std::fmt;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::Serialize;

use crate::agent::{memory, published};
use crate::cluster::pages;
use crate::cluster::roster::{self, Row};
use crate::journal::{self, Progress, Stage, State};
use crate::keepalived::moved;
use crate::system::Sysroot;
use crate::{identity, provision};

/// How far a node is.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Version of this layout.
    pub schema: u32,
    /// Version of the program.
    pub version: &'static str,
    /// `founder`, `node`, `waiting` or `unsettled`.
    pub role: &'static str,
    /// Host name, once settled.
    pub name: Option<String>,
    /// Host name with the domain, once settled.
    pub fqdn: Option<String>,
    /// Address in the LAN, once settled.
    pub address: Option<Ipv4Addr>,
    /// All stages together.
    pub state: Overall,
    /// The stage that is not done.
    pub stage: Option<String>,
    /// The step of it that is not done.
    pub step: Option<At>,
    /// Why it failed or waits, in one sentence.
    pub error: Option<String>,
    /// What is wrong but stopped nothing.
    pub warnings: Vec<String>,
    /// What to do now; nothing if all is well.
    pub way_out: Option<String>,
    /// The stages, as the journal has them.
    pub stages: Vec<Stage>,
    /// The Master's role address, once keepalived ran.
    pub role_address: Option<RoleAddress>,
    /// What the agent says; nothing, if it never ran since the boot.
    pub agent: Option<published::Agent>,
    /// All nodes of the cluster, as this node knows them.
    pub nodes: Vec<Row>,
    /// Why they cannot be told.
    pub nodes_hidden: Option<String>,
    /// The management pages: of the nodes that are there; if there are none, those that the site file promises.
    pub pages: Vec<String>,
}

/// What a step that is at work waits for meanwhile, in one sentence; the step removes it.
pub const MEANWHILE: &str = "/run/cias/waits-for";

/// The way out of a machine that has stopped.
pub fn out_of_a_stop() -> String {
    format!("whoever has looked and wants this server to go on as it is removes {} and reboots", memory::FILE)
}

/// The Master's role address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RoleAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// This node has it now.
    pub here: bool,
}

/// All stages together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Not begun, or between two stages.
    Pending,
    /// At work now.
    Working,
    /// Begun, and nothing is at work now: the power went, or somebody ended it.
    Interrupted,
    /// All done, perhaps with warnings.
    Done,
    /// A step failed.
    Failed,
    /// It cannot go on yet.
    Waiting,
    /// It does nothing until a person has looked.
    Stopped,
}

impl Overall {
    /// As in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Working => "working",
            Self::Interrupted => "interrupted",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::Stopped => "STOPPED",
        }
    }
}

/// A place in a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct At {
    /// From 1.
    pub number: usize,
    /// How many steps the stage has.
    pub of: usize,
    /// The step's name.
    pub name: String,
}

impl Status {
    /// The status of the node below `root`.
    pub fn read(root: &Sysroot) -> Result<Self> {
        let status = Self::of(&journal::read(root)?.unwrap_or_default(), at_work(root));
        let meanwhile = root.attribute(MEANWHILE).filter(|_| status.state == Overall::Working);
        let agent = published::read(root)?;
        let status = status.stopped(agent.as_ref().and_then(|agent| agent.published.stopped.as_deref()));
        let (nodes, nodes_hidden) = match roster::read(root) {
            Ok(nodes) => (nodes, None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        let role_address = moved::role_address(root).map(|(address, here)| RoleAddress { address, here });
        let pages = pages::read(root, &nodes, role_address.map(|role| role.address), status.address);
        Ok(Self {
            agent,
            role_address,
            error: status.error.clone().or(meanwhile),
            pages,
            nodes,
            nodes_hidden,
            ..status
        })
    }

    /// The status that a journal tells; `at_work` is whether a process holds its lock.
    pub fn of(journal: &State, at_work: bool) -> Self {
        let open = [identity::STAGE, provision::STAGE]
            .into_iter()
            .find(|name| !journal.stage(name).is_some_and(|stage| stage.progress.is_done()));
        let stage = open.and_then(|name| journal.stage(name));
        let overall = match (open, stage.map(|stage| stage.progress)) {
            (None, _) => Overall::Done,
            (_, Some(Progress::Failed)) => Overall::Failed,
            (_, Some(Progress::Waiting)) => Overall::Waiting,
            _ if at_work => Overall::Working,
            (_, Some(Progress::Working)) => Overall::Interrupted,
            _ => Overall::Pending,
        };
        let place = journal.place.as_ref();
        Self {
            schema: 1,
            version: env!("CARGO_PKG_VERSION"),
            role: journal.role.map_or("unsettled", journal::Role::word),
            name: place.map(|place| place.name.clone()),
            fqdn: place.map(|place| place.fqdn.clone()),
            address: place.map(|place| place.address),
            state: overall,
            stage: open.map(ToOwned::to_owned),
            step: stage.and_then(at),
            error: stage.and_then(|stage| stage.reason.clone()),
            warnings: warnings(journal),
            way_out: way_out(overall),
            stages: journal.stages.clone(),
            role_address: None,
            agent: None,
            nodes: Vec::new(),
            nodes_hidden: None,
            pages: Vec::new(),
        }
    }

    /// The same, if the machine has stopped for this reason.
    #[must_use]
    pub fn stopped(self, reason: Option<&str>) -> Self {
        let Some(reason) = reason else { return self };
        Self {
            state: Overall::Stopped,
            step: None,
            error: Some(reason.to_owned()),
            way_out: way_out(Overall::Stopped),
            ..self
        }
    }

    /// The first line of what a person reads.
    pub fn headline(&self) -> String {
        let name = self.fqdn.as_deref().unwrap_or("a node without a name");
        let address = self.address.map_or(String::new(), |address| format!(", {address}"));
        let step =
            self.step.as_ref().filter(|_| self.state != Overall::Waiting).map_or(String::new(), |at| {
                format!(
                    " at step {} of {} of {}",
                    at.number,
                    at.of,
                    self.stage.as_deref().unwrap_or("a stage")
                )
            });
        format!("CIAS {}: {name} ({}{address}): {}{step}", self.version, self.role, self.state.word())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.headline())?;
        for stage in &self.stages {
            let done = stage.steps.iter().filter(|step| step.progress.is_done()).count();
            let resumed = stage.resumed.as_ref().map_or(String::new(), |resumed| format!(", {resumed}"));
            writeln!(out, "{}: {done} of {} steps done{resumed}", stage.name, stage.steps.len())?;
        }
        for warning in &self.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        if let Some(error) = &self.error {
            writeln!(out, "reason: {error}")?;
        }
        if let Some(way_out) = &self.way_out {
            writeln!(out, "way out: {way_out}")?;
        }
        if let Some(RoleAddress { address, here }) = self.role_address {
            let here = if here { "here" } else { "not here" };
            writeln!(out, "the Master's address {address} is {here}")?;
        }
        if let Some(agent) = &self.agent {
            write!(out, "{agent}")?;
        }
        if !self.nodes.is_empty() {
            writeln!(out, "nodes of the cluster:")?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
            roster::show(&self.nodes, now, out)?;
        }
        if let Some(why) = &self.nodes_hidden {
            writeln!(out, "nodes of the cluster: not to be seen: {why}")?;
        }
        for page in &self.pages {
            writeln!(out, "{page}")?;
        }
        Ok(())
    }
}

fn at(stage: &Stage) -> Option<At> {
    let index = stage.steps.iter().position(|step| !step.progress.is_done())?;
    Some(At { number: index + 1, of: stage.steps.len(), name: stage.steps[index].name.clone() })
}

fn warnings(state: &State) -> Vec<String> {
    state.stages.iter().flat_map(|stage| &stage.steps).flat_map(|step| step.warnings.clone()).collect()
}

fn way_out(overall: Overall) -> Option<String> {
    let sentence = match overall {
        Overall::Done | Overall::Working => return None,
        Overall::Failed => {
            "put right what the reason names, then `cias run` goes on there; all commands are in /var/log/cias/firstboot.log"
        }
        Overall::Waiting => "the reason says what it waits for; `cias run` looks again, as every boot does",
        Overall::Interrupted => "`cias run` goes on where it was interrupted, as every boot does",
        Overall::Pending => "`cias run` begins, as every boot does",
        Overall::Stopped => return Some(out_of_a_stop()),
    };
    Some(sentence.to_owned())
}

/// Does a process hold the journal's lock? `/proc/locks` tells without trying: a try could make a run that begins now
/// find the lock taken.
fn at_work(root: &Sysroot) -> bool {
    let Ok(lock) = std::fs::metadata(root.path(journal::LOCK)) else { return false };
    let (major, minor) = (nix::sys::stat::major(lock.dev()), nix::sys::stat::minor(lock.dev()));
    let wanted = format!("{major:02x}:{minor:02x}:{}", lock.ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().any(|line| line.contains("FLOCK") && line.split_whitespace().any(|word| word == wanted))
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
