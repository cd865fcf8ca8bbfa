//! A stand-in for dcdb and dfsm: one database on all members. The member with the lowest number leads; it orders all
//! changes, and every member that is there makes a change before it is answered. Where members meet, the database with the
//! highest version replaces all others (pve-3.2-tools.md 2.6).

mod lead;
mod locks;
mod message;
mod serve;
pub mod view;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;

use crate::clusterconf::ClusterConf;
use crate::db::{Op, Stamp, Tree, store};
use crate::wire::Secret;
pub use locks::LIFETIME;
use locks::Locks;
use message::{Id, Whole};
use view::{Membership, View};

/// How long a change waits for a leader before it fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the leader tries to reach a member that is said to be there; a dead one leaves the view earlier.
const REACH: Duration = Duration::from_secs(20);
/// How many changes are remembered to recognise a repetition.
const REMEMBERED: usize = 256;

/// Where things are.
pub struct Config {
    /// The database's file.
    pub database: PathBuf,
    /// Where cluster.conf is copied to for cman.
    pub cluster_conf: PathBuf,
    /// How old a lock may get.
    pub lifetime: Duration,
}

/// All that changes.
pub struct State {
    /// The content.
    pub tree: Tree,
    /// The members as cman sees them.
    pub view: View,
    /// Members whose pmxcfs has the same database.
    pub online: BTreeSet<u32>,
    /// Counts changes of the view and of `online`.
    pub generation: u64,
    settled: bool,
    recent: VecDeque<Id>,
    locks: Locks,
}

/// The database with its members.
pub struct Group {
    config: Config,
    /// None: standalone or `-l`; no cluster at all.
    secret: Option<Secret>,
    state: Mutex<State>,
    changed: Condvar,
    /// Held by the leader for one change or one settling at a time.
    leading: Mutex<()>,
    run: u64,
    count: AtomicU64,
}

impl Group {
    /// A group of which this database is a member, or a standalone one.
    pub fn new(config: Config, tree: Tree, secret: Option<Secret>) -> Arc<Self> {
        let mut locks = Locks::default();
        locks.look(&tree, Instant::now());
        let state = State {
            tree,
            view: View::default(),
            online: BTreeSet::new(),
            generation: 0,
            settled: false,
            recent: VecDeque::new(),
            locks,
        };
        let mut run = [0; 8];
        // Without random numbers the time tells two runs apart just as well.
        if getrandom::fill(&mut run).is_err() {
            run = now().to_be_bytes();
        }
        let (state, run) = (Mutex::new(state), u64::from_be_bytes(run));
        let group = Arc::new(Self {
            config,
            secret,
            state,
            changed: Condvar::new(),
            leading: Mutex::new(()),
            run,
            count: AtomicU64::new(0),
        });
        group.publish(&group.lock());
        group
    }

    /// Starts to follow `members`, to listen, and to settle.
    pub fn join(self: &Arc<Self>, listener: std::net::TcpListener, mut members: impl Membership + 'static) {
        self.listen(listener);
        let group = Arc::clone(self);
        std::thread::spawn(move || {
            loop {
                let view = members.next();
                group.see(view);
            }
        });
        let group = Arc::clone(self);
        std::thread::spawn(move || group.keep_settled());
    }

    /// What is so now.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this node belongs to a cluster.
    pub const fn clustered(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether anything may be written.
    pub fn quorate(&self, state: &State) -> bool {
        !self.clustered() || state.view.quorate
    }

    /// Makes a change in the whole cluster.
    pub fn submit(&self, op: &Op) -> Result<(), Errno> {
        if !self.clustered() {
            return self.submit_alone(op);
        }
        let id = Id { run: self.run, count: self.count.fetch_add(1, Ordering::Relaxed) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (view, settled) = {
                let state = self.lock();
                (state.view.clone(), state.settled)
            };
            if !view.quorate || Instant::now() > deadline {
                return Err(Errno::EACCES);
            }
            let done = match view.leader() {
                Some(leader) if settled && leader == view.me => self.lead(id, op, view.me),
                Some(leader) if settled => self.ask_leader(view.members[&leader], id, op),
                _ => None,
            };
            match done {
                Some(0) => return Ok(()),
                Some(errno) => return Err(Errno::from_raw(errno)),
                None => self.wait(Duration::from_millis(50)),
            }
        }
    }

    fn submit_alone(&self, op: &Op) -> Result<(), Errno> {
        let mut state = self.lock();
        let Some(op) = self.due(&state, op) else { return Ok(()) };
        let mut trial = state.tree.clone();
        trial.apply(&op, Stamp { writer: 0, time: now() })?;
        self.commit(&mut state, trial)
    }

    /// What is to be done: a lock that is asked to go and is not old enough stays, without an error.
    fn due(&self, state: &State, op: &Op) -> Option<Op> {
        match op {
            Op::Unlock(path) => {
                let name = crate::db::split(path).1;
                state.locks.expired(name, self.config.lifetime, Instant::now()).then(|| op.clone())
            }
            _ => Some(op.clone()),
        }
    }

    /// Keeps a new content, on the disk first.
    fn commit(&self, state: &mut State, tree: Tree) -> Result<(), Errno> {
        if let Err(error) = store::save(&self.config.database, &tree) {
            crate::log(&format!("{error:#}"));
            return Err(Errno::EIO);
        }
        state.tree = tree;
        state.locks.look(&state.tree, Instant::now());
        self.publish(state);
        Ok(())
    }

    /// Puts another member's content in the place of this one's.
    fn replace(&self, state: &mut State, whole: Whole) -> Result<(), Errno> {
        let Whole { mut tree, recent } = whole;
        // Readers compare versions: a list that was made anew must not look like an old one.
        tree.vms.version += state.tree.vms.version + 1;
        self.commit(state, tree)?;
        state.recent = recent;
        Ok(())
    }

    fn see(&self, view: View) {
        let mut state = self.lock();
        if state.view == view {
            return;
        }
        if state.view.members != view.members || state.view.me != view.me {
            state.settled = false;
            state.online.retain(|id| view.members.contains_key(id));
        }
        state.view = view;
        state.generation += 1;
        drop(state);
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration) {
        let state = self.lock();
        // Woken early or not: the caller looks again.
        drop(self.changed.wait_timeout(state, limit));
    }

    fn ask_leader(&self, address: SocketAddr, id: Id, op: &Op) -> Option<i32> {
        match self.ask(address, message::Request::Submit(id, op.clone()), PATIENCE) {
            Ok(message::Reply::Done(errno)) => Some(errno),
            _ => None,
        }
    }

    /// Copies cluster.conf for cman, unless the copy is newer.
    fn publish(&self, state: &State) {
        let Some(text) = state.tree.read("cluster.conf").filter(|_| self.clustered()) else { return };
        let path = &self.config.cluster_conf;
        let copy = std::fs::read(path).unwrap_or_default();
        if copy == text {
            return;
        }
        let version =
            |bytes: &[u8]| ClusterConf::parse(&String::from_utf8_lossy(bytes)).ok().map(|conf| conf.version);
        let Some(new) = version(text) else { return };
        if version(&copy).is_some_and(|old| old > new) {
            return crate::log("local cluster.conf is newer");
        }
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        if let Err(error) = store::replace(path, text, 0o640) {
            crate::log(&format!("{error:#}"));
        }
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
