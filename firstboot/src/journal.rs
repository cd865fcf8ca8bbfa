//! What has been done so far: one file, replaced as a whole, changed only under its lock.
//!
//! It lives in `/var/lib/cias`. Anybody may read it (`cias status` needs no root); it holds no secret.

use std::fs::File;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::outcome::Class;
use crate::site::Place;
use crate::system::Sysroot;

/// Where the journal is.
pub const FILE: &str = "/var/lib/cias/journal.json";
const FOLDER: &str = "/var/lib/cias";
/// Whoever holds the lock on this file may change the journal.
pub(crate) const LOCK: &str = "/var/lib/cias/lock";
const SCHEMA: u32 = 1;

/// All that is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of this file's layout.
    pub schema: u32,
    /// Who this node is; nothing until that is settled.
    pub place: Option<Place>,
    /// What it is for the cluster; nothing until that is settled.
    pub role: Option<Role>,
    /// The stages that were begun, in the order in which they run.
    pub stages: Vec<Stage>,
    /// The boot in which a stage last began, as the kernel names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// What the machine is known by: serial number and MAC addresses. A journal without them fits every machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machine: Vec<String>,
}

/// Where a stage went on that had not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The step, from 1.
    pub step: usize,
    /// How many steps the stage has.
    pub of: usize,
    /// Why it had not come to its end.
    pub cause: Cause,
}

/// Why a stage had not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The machine stopped under it: the power went, or somebody pressed reset.
    PowerLoss,
    /// The process was killed while the machine went on.
    Interruption,
    /// A step had failed, or could not go on yet.
    Failure,
}

impl std::fmt::Display for Resumed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cause = match self.cause {
            Cause::PowerLoss => "power loss",
            Cause::Interruption => "an interruption",
            Cause::Failure => "a failure",
        };
        write!(out, "resumed at step {} of {} after {cause}", self.step, self.of)
    }
}

/// What a node is for the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It founds the cluster.
    Founder,
    /// It has its place from a Master, and joins that one's cluster.
    Node,
    /// It has no identity yet and waits for a Master.
    Waiting,
}

impl Role {
    /// As in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Founder => "founder",
            Self::Node => "node",
            Self::Waiting => "waiting",
        }
    }
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// `identity` or `provision`.
    pub name: String,
    /// How far it is.
    pub progress: Progress,
    /// Why it failed or waits, in one sentence.
    pub reason: Option<String>,
    /// Its steps, in their order.
    pub steps: Vec<Step>,
    /// Where it last went on; nothing if it was never cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// As in `step::Step::name`.
    pub name: String,
    /// How far it is.
    pub progress: Progress,
    /// What is wrong but did not stop it.
    pub warnings: Vec<String>,
}

/// How far a stage or step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Not begun.
    Pending,
    /// Begun; if nothing runs now, the power went.
    Working,
    /// Done.
    Done,
    /// Done, but something is to be told.
    Warning,
    /// It failed.
    Failed,
    /// Nothing is wrong, but it cannot go on yet.
    Waiting,
}

impl Progress {
    /// Is there nothing left to do?
    pub fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Warning)
    }
}

impl Default for State {
    fn default() -> Self {
        Self { schema: SCHEMA, place: None, role: None, stages: Vec::new(), boot: None, machine: Vec::new() }
    }
}

impl State {
    /// Does this node know who it is? A server that waits does not, whatever its steps did.
    pub fn is_settled(&self) -> bool {
        self.place.is_some()
            && self.stage(crate::identity::STAGE).is_some_and(|stage| stage.progress.is_done())
    }

    /// Has it begun to take the founder's identity? That is written before anything of it is changed on the machine.
    pub fn is_founders(&self) -> bool {
        self.place.is_some() && self.role == Some(Role::Founder)
    }

    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The stage of that name, begun if it was not.
    pub fn stage_mut(&mut self, name: &str) -> &mut Stage {
        let at = self.stages.iter().position(|stage| stage.name == name).unwrap_or_else(|| {
            self.stages.push(Stage {
                name: name.to_owned(),
                progress: Progress::Pending,
                reason: None,
                steps: Vec::new(),
                resumed: None,
            });
            self.stages.len() - 1
        });
        &mut self.stages[at]
    }
}

/// A file system that the kernel made read-only is the one error here that a person can do something about.
fn read_only(root: &Sysroot, error: anyhow::Error) -> anyhow::Error {
    let is_read_only = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
        == Some(nix::errno::Errno::EROFS as i32);
    if !is_read_only {
        return error;
    }
    Class::Failed.error(format!(
        "{} is on a read-only file system, where nothing can be remembered, so nothing was begun: `dmesg` tells whether the disk is failing; \
         after `mount -o remount,rw /` start `cias run` again",
        root.path(FOLDER).display()
    ))
}

/// The journal as last written; nothing if there is none.
pub fn read(root: &Sysroot) -> Result<Option<State>> {
    let bytes = match std::fs::read(root.path(FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result.with_context(|| format!("reading {FILE}"))?,
    };
    parse(&bytes).map(Some)
}

/// The journal that those bytes are.
pub fn parse(bytes: &[u8]) -> Result<State> {
    let state: State = serde_json::from_slice(bytes).with_context(|| format!("reading {FILE}"))?;
    if state.schema != SCHEMA {
        return Err(Class::BadInput.error(format!(
            "{FILE}: schema: found {}, wanted {SCHEMA}: it is another version's, use that version of cias-firstboot",
            state.schema
        )));
    }
    Ok(state)
}

/// The right to change the journal: holds its lock until dropped.
pub struct Journal {
    root: Sysroot,
    state: State,
    _lock: Flock<File>,
}

impl Journal {
    /// Locks the journal and reads it. If another process has it, the error's class is [`Class::TryLater`].
    ///
    /// A journal that is no JSON (a damaged file system) is put aside and begun anew: every step checks the machine
    /// itself before it acts.
    pub fn open(root: &Sysroot) -> Result<Self> {
        files::make_folder(&root.path(FOLDER), 0o755).map_err(|error| read_only(root, error))?;
        let lock = files::lock(&root.path(LOCK), || {
            format!(
                "another cias is at work on this node (it holds {LOCK}): wait until it is done, `cias status` shows how far it is"
            )
        })?;
        let state = match read(root) {
            Ok(found) => found.unwrap_or_default(),
            Err(error) if error.downcast_ref::<serde_json::Error>().is_some() => {
                let aside = format!("{FILE}.damaged");
                files::rename(&root.path(FILE), &root.path(&aside))
                    .with_context(|| format!("putting aside the damaged {FILE}"))?;
                State::default()
            }
            Err(error) => return Err(error),
        };
        Ok(Self { root: root.clone(), state, _lock: lock })
    }

    /// What it says.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Changes it, on the disk too; no change writes nothing.
    pub fn update(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut next = self.state.clone();
        change(&mut next);
        if next != self.state {
            let mut text = serde_json::to_vec_pretty(&next).context("writing the journal as JSON")?;
            text.push(b'\n');
            files::write(&self.root.path(FILE), text, 0o644)?;
            self.state = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn what_was_written_is_read_again() {
        let tree = Tree::from_text("");
        let mut journal = Journal::open(&tree.root()).unwrap();
        journal.update(|state| state.stage_mut("identity").progress = Progress::Working).unwrap();
        drop(journal);
        let state = read(&tree.root()).unwrap().unwrap();
        assert_eq!(state.stage("identity").unwrap().progress, Progress::Working);
        assert_eq!(state, *Journal::open(&tree.root()).unwrap().state());
    }

    #[test]
    fn a_second_holder_is_told_to_try_later() {
        let tree = Tree::from_text("");
        let _first = Journal::open(&tree.root()).unwrap();
        let error = Journal::open(&tree.root()).err().unwrap();
        assert_eq!(Class::of(&error), Class::TryLater);
    }

    #[test]
    fn whatever_a_power_cut_or_a_bad_disk_leaves_is_put_aside() {
        let whole = serde_json::to_string(&State::default()).unwrap();
        for (what, bytes) in [
            ("empty", &b""[..]),
            ("torn", &whole.as_bytes()[..whole.len() / 2]),
            ("zeroes", &[0; 512]),
            ("no text", &[0xff, 0xfe, 0x80]),
            ("another file's", b"[1, 2]"),
        ] {
            let tree = Tree::from_text("/var/lib/cias/journal.json = x\n");
            std::fs::write(tree.root().path(FILE), bytes).unwrap();
            let journal = Journal::open(&tree.root()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
            assert_eq!(*journal.state(), State::default(), "{what}");
            assert_eq!(std::fs::read(tree.root().path("/var/lib/cias/journal.json.damaged")).unwrap(), bytes);
        }
    }

    #[test]
    fn a_damaged_journal_is_put_aside_and_another_versions_is_refused() {
        let tree = Tree::from_text("/var/lib/cias/journal.json = {\"schema\": 1, \"st\n");
        assert_eq!(*Journal::open(&tree.root()).unwrap().state(), State::default());
        assert!(tree.root().has("/var/lib/cias/journal.json.damaged"));
        let text =
            "/var/lib/cias/journal.json = {\"schema\": 9, \"place\": null, \"role\": null, \"stages\": []}\n";
        let error = Journal::open(&Tree::from_text(text).root()).err().unwrap();
        assert_eq!(Class::of(&error), Class::BadInput);
    }
}
