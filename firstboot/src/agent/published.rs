//! What the agent lets everybody know, in `/run/cias/agent.json`. No secret is in it.

use std::fmt;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::outcome::Class;
use crate::system::Sysroot;

/// Where it is.
pub const FILE: &str = "/run/cias/agent.json";
/// The folder of it.
pub const FOLDER: &str = "/run/cias";
const SCHEMA: u32 = 1;

/// The agent's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Version of this file's layout.
    pub schema: u32,
    /// Version of the program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When the kernel started it; with `pid` it names one process only.
    pub started: String,
    /// What this machine is known by on the wire.
    pub id: String,
    /// As in docs/cluster.md: `listening` to `stopped`.
    pub phase: String,
    /// `founder`, `node` or `waiting`.
    pub role: String,
    /// 0 to 100, 101 if it is pinned.
    pub priority: u8,
    /// The port that it speaks on.
    pub port: Option<String>,
    /// Why it speaks on none.
    pub silent: Option<String>,
    /// Does the port have a link?
    pub carrier: bool,
    /// The Master or founder that is there now.
    pub leader: Option<Leader>,
    /// How many other machines of the site it hears.
    pub heard: usize,
    /// Why a Master gave no place, last, and when it is asked again; nothing once it gave one.
    pub refused: Option<String>,
    /// Other founders or Masters that were met.
    pub rivals: Vec<String>,
    /// Another machine says to be this one.
    pub twin: bool,
    /// Nobody there may found; why this machine may not.
    pub hopeless: Vec<String>,
    /// Why this machine does nothing any more.
    #[serde(default)]
    pub stopped: Option<String>,
    /// Why it cannot be told how this node stands to the cluster.
    #[serde(default)]
    pub cluster: Option<String>,
    /// What became of `cias run`, in one sentence.
    pub run: Option<String>,
    /// What came in and was not believed.
    pub dropped: Dropped,
}

/// The one that leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// What it is known by on the wire.
    pub id: String,
    /// Its priority.
    pub priority: u8,
    /// Its phase.
    pub phase: String,
}

/// How many frames were dropped, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// No frames of ours, or cut off.
    pub malformed: u64,
    /// Another site's.
    pub foreign: u64,
    /// Said to be this site's, with a wrong seal.
    pub forged: u64,
    /// Of a version that is not spoken here.
    pub version: u64,
    /// Answers to nothing that was just asked: recorded ones, or late.
    pub stale: u64,
    /// Own frames that came back.
    pub own: u64,
    /// Of another machine under this one's name.
    pub twins: u64,
}

impl Dropped {
    fn total(&self) -> u64 {
        self.malformed + self.foreign + self.forged + self.version + self.stale + self.own + self.twins
    }
}

/// What can be told of the agent.
#[derive(Clone, Debug, Serialize)]
pub struct Agent {
    /// Its process is there.
    pub running: bool,
    /// What it published last.
    #[serde(flatten)]
    pub published: Published,
}

impl Published {
    /// Of this process, with nothing told yet.
    pub fn of_this_process() -> Self {
        let pid = std::process::id();
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid,
            started: started(pid).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Lets everybody read it.
    pub fn write(&self, root: &Sysroot) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).context("writing the agent's state as JSON")?;
        text.push(b'\n');
        files::write(&root.path(FILE), text, 0o644)
    }
}

/// When a process began, in ticks since the boot; nothing, if there is none. Source: proc(5), field 22 of `stat`.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold blanks and brackets.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_whitespace().nth(19).map(ToOwned::to_owned)
}

/// What the agent published; nothing, if it never ran since the boot.
pub fn read(root: &Sysroot) -> Result<Option<Agent>> {
    let bytes = match std::fs::read(root.path(FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result.with_context(|| format!("reading {FILE}"))?,
    };
    let published: Published = serde_json::from_slice(&bytes).with_context(|| format!("reading {FILE}"))?;
    if published.schema != SCHEMA {
        return Err(Class::BadInput.error(format!(
            "{FILE}: schema: found {}, wanted {SCHEMA}: another version's agent wrote it, use that version of cias-firstboot",
            published.schema
        )));
    }
    let running = started(published.pid).is_some_and(|started| started == published.started);
    Ok(Some(Agent { running, published }))
}

impl fmt::Display for Agent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.published;
        if !self.running {
            return writeln!(
                out,
                "agent: not running; process {} is gone, and {FILE} is what it last said ({})",
                it.pid, it.phase
            );
        }
        let port = it.port.as_ref().map_or(String::new(), |port| {
            format!(" on {port}{}", if it.carrier { "" } else { " without a link" })
        });
        writeln!(
            out,
            "agent: {} ({}, priority {}){port}, hears {} other machines of the site, dropped {} frames",
            it.phase,
            it.role,
            it.priority,
            it.heard,
            it.dropped.total()
        )?;
        if let Some(leader) = &it.leader {
            writeln!(out, "agent: the {} is {} (priority {})", leader.phase, leader.id, leader.priority)?;
        }
        let hopeless = it.hopeless.iter().map(|why| format!("nobody here may found: {why}"));
        let rivals = it.rivals.iter().map(|id| format!("another founder or Master is there: {id}"));
        let refused = it.refused.iter().map(|reason| format!("a Master refused this server: {reason}"));
        let twin = it.twin.then(|| "another machine says to be this one".to_owned());
        let more = it
            .silent
            .iter()
            .chain(&it.cluster)
            .cloned()
            .chain(refused)
            .chain(rivals)
            .chain(hopeless)
            .chain(twin);
        for sentence in more.chain(it.run.iter().cloned()) {
            writeln!(out, "agent: {sentence}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn a_file_whose_process_is_gone_is_stale_also_if_its_number_is_used_again() {
        let tree = Tree::from_text("/run/cias/\n");
        assert!(read(&tree.root()).unwrap().is_none());
        let mine = Published { phase: "candidate".into(), ..Published::of_this_process() };
        for (published, running) in [
            (mine.clone(), true),
            (Published { started: "1".into(), ..mine.clone() }, false),
            (Published { pid: 0, ..mine }, false),
        ] {
            published.write(&tree.root()).unwrap();
            let agent = read(&tree.root()).unwrap().unwrap();
            assert_eq!(agent.running, running);
            assert_eq!(agent.to_string().contains("not running; process"), !running, "{agent}");
        }
    }

    #[test]
    fn a_person_reads_all_that_matters() {
        let published = Published {
            phase: "candidate".into(),
            role: "waiting".into(),
            port: Some("bond0".into()),
            silent: Some("why silent".into()),
            leader: Some(Leader { id: "ab".into(), priority: 9, phase: "serving".into() }),
            refused: Some("full".into()),
            rivals: vec!["cd".into()],
            twin: true,
            hopeless: vec!["the memory is 4.2 GB".into()],
            run: Some("it ran".into()),
            dropped: Dropped { forged: 2, twins: 1, ..Dropped::default() },
            ..Published::default()
        };
        let text = Agent { running: true, published }.to_string();
        for part in [
            "candidate (waiting, priority 0) on bond0 without a link, hears 0",
            "dropped 3 frames",
            "the serving is ab (priority 9)",
            "why silent",
            "refused this server: full",
            "is there: cd",
            "says to be this one",
            "the memory is 4.2 GB",
            "it ran",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
