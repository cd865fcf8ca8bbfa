//! How far this node is, from the journal; anybody may ask.

use std::fmt;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::Serialize;

use crate::agent::published;
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
        let (nodes, nodes_hidden) = match roster::read(root) {
            Ok(nodes) => (nodes, None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        let role_address = moved::role_address(root).map(|(address, here)| RoleAddress { address, here });
        let pages = pages::read(root, &nodes, role_address.map(|role| role.address), status.address);
        Ok(Self {
            agent: published::read(root)?,
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
mod tests {
    use super::*;
    use crate::journal::{Cause, Resumed, Step};

    fn journal_of(identity: Progress, provision: Option<Progress>) -> State {
        let mut journal = State::default();
        let steps = |progress: Progress| {
            let warnings =
                if progress == Progress::Warning { vec!["/dev/vdd was refused".into()] } else { vec![] };
            let last = Step { name: "second".into(), progress, warnings };
            vec![Step { name: "first".into(), progress: Progress::Done, warnings: vec![] }, last]
        };
        for (name, progress) in [("identity", Some(identity)), ("provision", provision)] {
            let Some(progress) = progress else { continue };
            let stage = journal.stage_mut(name);
            stage.progress = progress;
            stage.steps = steps(progress);
            stage.resumed =
                (name == "identity").then_some(Resumed { step: 2, of: 2, cause: Cause::PowerLoss });
            stage.reason = (progress == Progress::Failed).then(|| "step 2 of 2: second: broken".into());
        }
        journal
    }

    #[test]
    fn the_first_stage_that_is_not_done_decides() {
        use Progress as P;
        for (identity, provision, at_work, wanted, step) in [
            (P::Done, Some(P::Done), true, Overall::Done, None),
            (P::Done, Some(P::Warning), false, Overall::Done, None),
            (P::Done, None, false, Overall::Pending, None),
            (P::Done, Some(P::Working), true, Overall::Working, Some(2)),
            (P::Done, Some(P::Working), false, Overall::Interrupted, Some(2)),
            (P::Failed, None, false, Overall::Failed, Some(2)),
            (P::Waiting, Some(P::Done), false, Overall::Waiting, Some(2)),
        ] {
            let status = Status::of(&journal_of(identity, provision), at_work);
            assert_eq!(status.state, wanted);
            assert_eq!(status.step.map(|at| at.number), step, "{wanted:?}");
        }
    }

    #[test]
    fn a_person_reads_reason_warning_and_way_out() {
        let text = Status::of(&journal_of(Progress::Warning, Some(Progress::Failed)), false).to_string();
        assert!(
            text.starts_with(
                "CIAS 0.1.0: a node without a name (unsettled): failed at step 2 of 2 of provision\n"
            ),
            "{text}"
        );
        for line in [
            "identity: 2 of 2 steps done, resumed at step 2 of 2 after power loss",
            "provision: 1 of 2 steps done",
            "warning: /dev/vdd was refused",
            "reason: step 2 of 2: second: broken",
        ] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
        assert!(text.contains("way out: "));
    }

    #[test]
    fn a_held_lock_is_seen_without_touching_it() {
        let tree = crate::tree::Tree::from_text("");
        let journal = journal::Journal::open(&tree.root()).unwrap();
        assert!(at_work(&tree.root()));
        drop(journal);
        assert!(!at_work(&tree.root()));
    }

    #[test]
    fn a_page_is_named_whether_the_cluster_can_be_seen_or_not() {
        let tree = crate::tree::Tree::from_text("/etc/cias/\n/var/lib/cias/\n");
        let root = tree.root();
        let pages = || Status::read(&root).unwrap().pages;
        assert_eq!(pages(), [""; 0]);
        let path = root.path(crate::node::SITE);
        crate::files::write(&path, crate::site::tests::example(), 0o600).unwrap();
        let promised = ["https://10.254.0.1:8006/", "https://10.254.0.254:8006/"];
        assert_eq!(pages(), promised, "it waits for its place");
        let mut journal = journal::Journal::open(&root).unwrap();
        let place =
            crate::site::Place { address: [10, 254, 1, 1].into(), name: "n".into(), fqdn: "n.x".into() };
        journal.update(|state| state.place = Some(place)).unwrap();
        crate::cluster::record::remember(&root, "DLLL-CIAS").unwrap();
        let status = Status::read(&root).unwrap();
        assert_eq!(status.pages, [&promised[..], &["https://10.254.1.1:8006/"]].concat());
        let text = status.to_string();
        assert!(
            text.contains("\nnodes of the cluster: not to be seen: the cluster's file system is not mounted"),
            "{text}"
        );
        assert!(text.ends_with("https://10.254.1.1:8006/\n"), "{text}");
        std::fs::create_dir_all(root.path("/etc/pve/priv/cias/ledger")).unwrap();
        std::os::unix::fs::symlink("nodes/m", root.path("/etc/pve/local")).unwrap();
        let members = r#"{"nodename": "m", "nodelist": {"m": {"online": 1}, "n": {"online": 0}}}"#;
        std::fs::write(root.path("/etc/pve/.members"), members).unwrap();
        let line = |number: u8, name: &str| {
            let machine = format!("{number:02x}").repeat(16);
            format!(
                "{{\"machine\":\"{machine}\",\"state\":\"member\",\"address\":\"10.254.3.{number}\",\"name\":\"{name}\",\"fqdn\":\"x\"}}\n"
            )
        };
        std::fs::write(root.path("/etc/pve/priv/cias/ledger/3"), line(1, "m") + &line(2, "n")).unwrap();
        assert_eq!(pages(), ["https://10.254.3.1:8006/"], "only of nodes that are there");
    }

    #[test]
    fn what_is_waited_for_is_told_while_something_is_at_work() {
        let tree = crate::tree::Tree::from_text("/run/cias/waits-for = another node joins\n");
        let mut journal = journal::Journal::open(&tree.root()).unwrap();
        journal.update(|state| *state = journal_of(Progress::Done, Some(Progress::Working))).unwrap();
        let told = Status::read(&tree.root()).unwrap().to_string();
        assert!(told.contains("\nreason: another node joins\n"), "{told}");
        drop(journal);
        assert_eq!(Status::read(&tree.root()).unwrap().error, None);
    }
}
