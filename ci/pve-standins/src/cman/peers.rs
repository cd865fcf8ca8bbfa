//! What the members' stand-ins for cman tell each other: their votes and expectations when they meet, what a person sets,
//! and a leave with `remove`. A node counts as a member once it proved by its answer that it has the cluster's key.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::corosync::{Engine, Reach};
use super::{NodeStatus, Status};
use crate::clusterconf::{ClusterConf, Node};
use crate::group::view::View;
use crate::quorum::{Ballot, Quorum};
use crate::wire::{self, PATIENCE, Secret};

/// How long an old cluster.conf is borne with after the start.
const OLD_CONF: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
enum Word {
    Hello,
    Expected(u32),
    Removed(u32),
}

#[derive(Serialize, Deserialize)]
struct Hello {
    votes: u32,
    expected: u32,
    version: u32,
}

struct State {
    conf: ClusterConf,
    quorum: Quorum,
    reach: BTreeMap<u32, Reach>,
    joined: BTreeMap<u32, (u64, u64)>,
    /// Left with `remove` while corosync still sees them.
    removed: BTreeSet<u32>,
    generation: u64,
    newest: u32,
    leaving: bool,
}

/// This node's cman.
pub struct Cman {
    path: PathBuf,
    node: Node,
    secret: Secret,
    state: Mutex<State>,
    changed: Condvar,
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Cman {
    pub fn new(conf: ClusterConf, path: PathBuf, node: Node, secret: Secret) -> Self {
        let state = State {
            quorum: Quorum::start(node.id, node.votes, conf.settings()),
            newest: conf.version,
            conf,
            reach: BTreeMap::new(),
            joined: BTreeMap::from([(node.id, (1, now()))]),
            removed: BTreeSet::new(),
            generation: 1,
            leaving: false,
        };
        Self { path, node, secret, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn listen(self: &Arc<Self>, listener: TcpListener) {
        let cman = Arc::clone(self);
        wire::serve(listener, self.secret.clone(), move |_, word: Word| cman.hear(&word));
    }

    fn hear(&self, word: &Word) -> Hello {
        let mut state = self.lock();
        match word {
            Word::Hello => {}
            Word::Expected(votes) => _ = state.quorum.set_expected(*votes),
            Word::Removed(id) => {
                state.removed.insert(*id);
                state.quorum.leave_removed(*id);
            }
        }
        let Ballot { votes, expected } = state.quorum.own();
        let hello = Hello { votes, expected, version: state.conf.version };
        drop(state);
        self.changed.notify_all();
        hello
    }

    fn tell(&self, word: &Word) {
        let (reach, members) = {
            let state = self.lock();
            (state.reach.clone(), state.quorum.members().collect::<Vec<_>>())
        };
        for (_, reach) in reach.iter().filter(|(id, _)| **id != self.node.id && members.contains(id)) {
            // One that does not hear is about to leave the membership.
            let _ = wire::call::<Hello>(reach.cman, &self.secret, word, PATIENCE);
        }
    }

    /// `cman_tool expected`; false for EINVAL.
    pub fn expected(&self, votes: u32) -> bool {
        let accepted = self.lock().quorum.set_expected(votes);
        if accepted {
            self.tell(&Word::Expected(votes));
            self.changed.notify_all();
        }
        accepted
    }

    /// Tells the others to lower the quorum when this node leaves.
    pub fn announce(&self, remove: bool) {
        if remove {
            self.tell(&Word::Removed(self.node.id));
        }
    }

    /// Ends the daemon.
    pub fn leave(&self) {
        self.lock().leaving = true;
        self.changed.notify_all();
    }

    /// Reads cluster.conf again, if it is newer: the vendor's is told by `cman_tool version -r`, and so is this one, but it
    /// also looks by itself.
    pub fn reread(&self) {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let Ok(conf) = ClusterConf::parse(&text) else { return };
        let mut state = self.lock();
        if conf.version <= state.conf.version || conf.refusal().is_some() {
            return;
        }
        state.quorum.reload(conf.settings(), &conf.votes());
        state.conf = conf;
        state.generation += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Follows corosync until it ends, or this node leaves.
    pub fn follow(&self, engine: &mut dyn Engine, pause: Duration) -> Result<()> {
        let (mut old_since, mut told) = (None, self.lock().conf.version);
        while !self.lock().leaving {
            let Some(members) = engine.members() else { anyhow::bail!("corosync has ended") };
            self.count(&members);
            self.reread();
            let (conf, newest) = {
                let state = self.lock();
                (state.conf.clone(), state.newest)
            };
            if conf.version != told {
                engine.configure(&conf, true)?;
                told = conf.version;
            }
            if newest <= conf.version {
                old_since = None;
            } else if old_since.get_or_insert_with(Instant::now).elapsed() > OLD_CONF {
                anyhow::bail!("Failed to get an up-to-date config file, will not start");
            }
            self.wait(pause);
        }
        Ok(())
    }

    /// Brings the votes in line with corosync's members.
    pub fn count(&self, members: &BTreeMap<u32, Reach>) {
        let known: BTreeSet<u32> = {
            let mut state = self.lock();
            state.reach.clone_from(members);
            state.removed.retain(|id| members.contains_key(id));
            let known: BTreeSet<u32> = state.quorum.members().collect();
            for gone in known.iter().filter(|id| !members.contains_key(id) && **id != self.node.id) {
                state.quorum.die(*gone);
                state.generation += 1;
            }
            known.union(&state.removed).copied().collect()
        };
        for (id, reach) in members.iter().filter(|(id, _)| !known.contains(id)) {
            let Ok(hello) = wire::call::<Hello>(reach.cman, &self.secret, &Word::Hello, PATIENCE) else {
                continue;
            };
            let mut state = self.lock();
            state.quorum.join(*id, Ballot { votes: hello.votes, expected: hello.expected });
            state.newest = state.newest.max(hello.version);
            state.generation += 1;
            let generation = state.generation;
            state.joined.insert(*id, (generation, now()));
        }
        self.changed.notify_all();
    }

    /// Waits for a change, but not long.
    pub fn wait(&self, limit: Duration) {
        let state = self.lock();
        drop(self.changed.wait_timeout(state, limit));
    }

    /// What pmxcfs sees.
    pub fn view(&self) -> View {
        let state = self.lock();
        if state.leaving {
            return View::default();
        }
        let members = state.quorum.members();
        View {
            me: self.node.id,
            quorate: state.quorum.quorate(),
            members: members.filter_map(|id| Some((id, state.reach.get(&id)?.pmxcfs))).collect(),
        }
    }

    /// What `cman_tool` shows.
    pub fn status(&self) -> Status {
        let state = self.lock();
        let members: BTreeSet<u32> = state.quorum.members().collect();
        let node = |node: &Node| {
            let (incarnation, joined) = state.joined.get(&node.id).copied().unwrap_or_default();
            NodeStatus {
                id: node.id,
                name: node.name.clone(),
                member: members.contains(&node.id),
                incarnation,
                joined,
            }
        };
        let mut nodes: Vec<NodeStatus> = state.conf.nodes.iter().map(node).collect();
        nodes.sort_by_key(|node| node.id);
        Status {
            config_version: state.conf.version,
            cluster: state.conf.name.clone(),
            cluster_id: state.conf.cluster_id(),
            generation: state.generation,
            expected: state.quorum.expected(),
            total: state.quorum.present(),
            votes: state.quorum.own().votes,
            quorum: state.quorum.quorum(),
            quorate: state.quorum.quorate(),
            two_node: state.quorum.two_node(),
            name: self.node.name.clone(),
            id: self.node.id,
            address: state
                .reach
                .get(&self.node.id)
                .map_or_else(String::new, |reach| reach.cman.ip().to_string()),
            nodes,
        }
    }
}
