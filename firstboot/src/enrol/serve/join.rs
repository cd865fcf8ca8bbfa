//! A join from the welcome to its end, and what is taken back when it came to nothing.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::refuse::about;
use super::talk::{Heard, Talk};
use super::{LIMIT, Session};
use crate::cluster::probe::Responder;
use crate::cluster::{conf, members, members::Members, register};
use crate::enrol::keys::{self, PublicKey};
use crate::enrol::protocol::{Ask, FromMaster, FromNode, Refused, Welcome};
use crate::enrol::store;
use crate::files;
use crate::hello::ledger::{Entry, State};
use crate::notify::Event;
use crate::outcome::Class;
use crate::runner::Call;

/// How long a node that says that it joined may take to be seen.
const SEEN: Duration = Duration::from_mins(1);

/// How long a node that is gone may still be seen: the cluster's token is missed for some 10 s before it believes it.
const FADES: Duration = Duration::from_secs(30);

/// How often to look at the cluster.
const LOOK: Duration = Duration::from_millis(250);

/// How long a command of the cluster may take.
const COMMAND: Duration = Duration::from_mins(1);

/// How a join ended.
enum End {
    /// The node says that it is in.
    Joined,
    /// It says that it is not, or what it said is none of it.
    Failed(String),
    /// It said nothing more: its connection ended, or the time did.
    Gone(&'static str),
}

impl Session<'_> {
    /// Lets the node in, and takes all back unless the cluster sees it in the end. The caller holds the lock.
    pub(super) fn join(&self, ask: &Ask, entry: &Entry, key: &PublicKey, talk: &mut Talk<impl Write>) {
        let name = &entry.place.name;
        // What an earlier session of its left, whose Master was cut off, would make `pvecm add` fail.
        let ready = self.take_back(entry, key).and_then(|()| self.welcome(entry, key));
        let welcome = match ready {
            Ok(welcome) => welcome,
            Err(error) => {
                let reason = format!("the Master is not ready to let {name} in: {error:#}");
                return self.fail(ask, entry, key, &reason, talk);
            }
        };
        // It answers until the session ends.
        let responder =
            Responder::start(&self.site.secrets.key, &self.site.site.cluster_name, welcome.address);
        if let Err(error) = &responder {
            self.note(&format!("warning: multicast cannot be answered: {error:#}"));
        }
        self.note(&format!("{name} is let in"));
        let end = if talk.tell(&FromMaster::Welcome(welcome)) {
            self.await_end(talk)
        } else {
            End::Gone("its connection ended")
        };
        match end {
            End::Joined => match self.confirm(entry) {
                Ok(()) => {
                    let _gone = talk.tell(&FromMaster::Confirmed);
                    self.tell_joined(ask, name);
                }
                Err(error) => self.fail(ask, entry, key, &format!("{error:#}"), talk),
            },
            End::Failed(why) => {
                self.fail(ask, entry, key, &format!("the join of {name} failed: {why}"), talk);
            }
            // It may be in: then it is gone only after it was, and no word of it came through.
            End::Gone(why) if self.stays_online(name) => match self.confirm(entry) {
                Ok(()) => {
                    self.note(&format!("{why} before {name} said so, and the cluster sees it"));
                    self.tell_joined(ask, name);
                }
                Err(error) => self.fail(ask, entry, key, &format!("{error:#}"), talk),
            },
            End::Gone(why) => {
                self.fail(
                    ask,
                    entry,
                    key,
                    &format!("the join of {name} came to nothing: {why} before {name} had joined"),
                    talk,
                );
            }
        }
    }

    fn tell_joined(&self, ask: &Ask, name: &str) {
        self.note(&format!("{name} has joined"));
        self.tell(Event::joined(self.site, name, about(ask)));
    }

    /// Accepts the key, and gathers what the node needs.
    fn welcome(&self, entry: &Entry, key: &PublicKey) -> Result<Welcome> {
        let root = &self.system.root;
        let members = Members::read(root)?.context("the cluster's file system is not mounted at /etc/pve")?;
        let address = members.nodes.get(&members.name).and_then(|node| node.ip).with_context(|| {
            format!("{} does not tell this Master's own address: `service pve-cluster restart` makes it look anew", members::FILE)
        })?;
        let host_keys: Vec<String> = root
            .names("/etc/ssh")
            .into_iter()
            .filter(|file| file.starts_with("ssh_host_") && file.ends_with("_key.pub"))
            .filter_map(|file| root.attribute(&format!("/etc/ssh/{file}")))
            .filter_map(|line| PublicKey::read(&line).ok())
            .map(|key| key.bare())
            .collect();
        anyhow::ensure!(
            !host_keys.is_empty(),
            "found no public host key of ssh in /etc/ssh (ssh_host_*_key.pub), wanted RSA or ECDSA: `dpkg-reconfigure openssh-server` makes them"
        );
        self.accept(entry, key)?;
        Ok(Welcome { master: members.name, address, host_keys, cluster: self.site.site.cluster_name.clone() })
    }

    /// Is this the key that the machine was let in with before? `ssh-copy-id` of `pvecm add` puts it into the file under another comment, so
    /// that the file alone does not tell.
    fn is_own(&self, entry: &Entry, key: &PublicKey) -> Result<bool> {
        Ok(store::key_of(&self.system.root, entry.machine)?.is_some_and(|own| own == key.bare()))
    }

    /// Puts the key into the file. Whoever has the join key could send anybody's public key, and have it taken out again with the join that
    /// failed: so one that stands there already must be the machine's own.
    fn accept(&self, entry: &Entry, key: &PublicKey) -> Result<()> {
        let name = &entry.place.name;
        let own = self.is_own(entry, key)?;
        self.edit_keys(|text| {
            if let (false, Some(line)) = (own, key.taken_in(text, name)) {
                let whose = line.split_ascii_whitespace().next_back().unwrap_or_default();
                return Err(Class::Refused.error(format!(
                    "its public key stands in {} already, with the comment {}: a node makes a key of its own; remove /root/.ssh/id_rsa and \
                     id_rsa.pub on the node, or the line on the Master if it is left over",
                    keys::FILE,
                    crate::site::shown_value(whose)
                )));
            }
            // Before the file: cut off in between, it is known as the machine's own.
            store::set_key(&self.system.root, entry.machine, &key.bare())?;
            Ok(key.added_to(text, name))
        })
    }

    fn edit_keys(&self, edit: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let path = self.system.root.path(keys::FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("reading {}", keys::FILE))?,
        };
        let new = edit(&text)?;
        if new == text { Ok(()) } else { files::write_shared(&path, new) }
    }

    fn await_end(&self, talk: &Talk<impl Write>) -> End {
        match talk.hear(self.wait(LIMIT)) {
            Heard::Line(FromNode::Joined) => End::Joined,
            Heard::Line(FromNode::Failed(why)) => End::Failed(crate::site::shown_value(&why)),
            Heard::Line(FromNode::Ask(_)) => {
                End::Failed("the node asked again in the same session".to_owned())
            }
            Heard::Strange(error) => End::Failed(format!("{error:#}")),
            Heard::End => End::Gone("its connection ended"),
            Heard::Nothing => End::Gone("12 minutes went by"),
        }
    }

    fn is_online(&self, name: &str) -> bool {
        Members::read(&self.system.root).ok().flatten().is_some_and(|members| members.is_online(name))
    }

    /// Waits until `what`, but no longer than `limit`; returns whether it came.
    fn until(&self, limit: Duration, mut what: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + self.wait(limit);
        loop {
            if what() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Is the node online, and no longer than one that has just died would be?
    fn stays_online(&self, name: &str) -> bool {
        !self.until(FADES, || !self.is_online(name))
    }

    /// Waits until the cluster sees the node, and enters it into the ledger. While a node joins, quorum may go for a moment.
    fn confirm(&self, entry: &Entry) -> Result<()> {
        let name = &entry.place.name;
        let seen = self.until(SEEN, || self.is_online(name));
        if !seen {
            return Err(Class::Failed.error(format!(
                "{name} says that it has joined, and the cluster does not see it: found no node {name} that is online in {} within {} s",
                members::FILE,
                SEEN.as_secs()
            )));
        }
        let mut entered = Ok(());
        self.until(SEEN, || {
            entered = self.enter(entry);
            entered.is_ok()
        });
        entered.with_context(|| format!("entering {name} as a member into the ledger"))
    }

    fn enter(&self, entry: &Entry) -> Result<()> {
        register::change(&self.system.root, |ledger| {
            ledger.set(entry.place.address, State::Member);
            Ok(())
        })
    }

    /// Takes back, tells everybody.
    fn fail(&self, ask: &Ask, entry: &Entry, key: &PublicKey, reason: &str, talk: &mut Talk<impl Write>) {
        let name = &entry.place.name;
        self.note(reason);
        // The lock is held meanwhile, and the node, if it is still there, asks again only when all is clean.
        self.until(FADES, || !self.is_online(name));
        let left = self.take_back(entry, key);
        let reason = match left {
            Ok(()) => reason.to_owned(),
            Err(error) => {
                format!("{reason}; what it left cannot be taken back now, which the next try does: {error:#}")
            }
        };
        let _gone = talk.tell(&FromMaster::Refused(Refused { reason: reason.clone(), is_final: false }));
        self.tell(Event::not_joined(self.site, name, &reason, about(ask)));
    }

    /// Takes a node that is not there out of the cluster's configuration, and its key with it. One that is online, or was a member
    /// before, stays a node; so does one that has its name from another entry of the ledger.
    fn take_back(&self, entry: &Entry, key: &PublicKey) -> Result<()> {
        let root = &self.system.root;
        let name = &entry.place.name;
        if self.is_online(name) {
            self.note(&format!("{name} is online, so nothing is taken back"));
            return Ok(());
        }
        let nodes = conf::nodes(root);
        if entry.state != State::Member && nodes.iter().any(|node| node == name) {
            self.is_nobody_elses(entry)?;
            self.regain_quorum(name, &nodes)?;
            self.note(&format!("{name} is in the cluster's configuration and never joined: it is taken out"));
            self.system.runner.run(&Call::new("pvecm").args(["delnode", name]).limit(COMMAND))?;
        }
        // A key that it was never let in with is somebody else's.
        if self.is_own(entry, key)? {
            self.edit_keys(|text| Ok(key.removed_from(text)))?;
        }
        Ok(())
    }

    /// The cluster knows nodes by their names, and may mean another machine. A ledger that cannot be read says nothing of that.
    fn is_nobody_elses(&self, entry: &Entry) -> Result<()> {
        let ledger = register::read(&self.system.root)?;
        let Some(other) = ledger.namesake(&entry.place) else { return Ok(()) };
        Err(Class::Refused.error(format!(
            "the ledger has the name {} for {} too, as {} of machine {}, so the node of that name stays in the cluster: `pvecm nodes` shows it, \
             and a person decides whose it is",
            entry.place.name,
            other.place.address,
            other.state.name(),
            other.machine
        )))
    }

    /// Has the Master regain a quorum that a newcomer took from it.
    fn regain_quorum(&self, name: &str, nodes: &[String]) -> Result<()> {
        let root = &self.system.root;
        if !is_left_alone(nodes, members::is_writable(root)) {
            return Ok(());
        }
        self.note(&format!("without {name} this Master is the only node: one vote is enough again"));
        self.system.runner.run(&Call::new("pvecm").args(["expected", "1"]).limit(COMMAND))?;
        self.until(FADES, || members::is_writable(root));
        Ok(())
    }
}

/// Has a Master that was the only node one vote of two, since the other node never came? Nobody else can have the other vote then. With
/// more nodes that could be wrong, and people decide.
fn is_left_alone(nodes: &[String], is_writable: bool) -> bool {
    !is_writable && nodes.len() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_vote_is_enough_only_for_a_master_alone_with_a_newcomer_that_never_came() {
        let nodes = |count: usize| (0..count).map(|number| format!("n{number}")).collect::<Vec<_>>();
        for (count, is_writable, wanted) in
            [(2, false, true), (2, true, false), (3, false, false), (1, false, false)]
        {
            assert_eq!(is_left_alone(&nodes(count), is_writable), wanted, "{count} {is_writable}");
        }
    }
}
