//! What becomes of the simulated nodes: they fail, come back, found, hand out places and join.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;

use super::node::{Disk, Node};
use super::plan::{Defect, Victim};
use super::wire::Event;
use super::world::{Cluster, World};
use crate::hello::frame::{Offer, Refusal};
use crate::hello::ledger::{Held, Ledger, Places, State};
use crate::hello::output::Asking;
use crate::hello::rank::{Phase, Progress};
use crate::site::{Place, Who};

impl World<'_> {
    pub(super) fn boot(&mut self, at: usize, reinstalled: bool) {
        if reinstalled {
            self.nodes[at].disk = Disk::default();
        }
        let how = if reinstalled { "is installed anew and switched on" } else { "is switched on" };
        self.tell(at, how);
        self.nodes[at].start(self.plan, self.now);
        self.wake(at);
    }

    pub(super) fn crash(&mut self, index: usize) {
        let crash = self.plan.crashes[index];
        let victim = match crash.victim {
            Victim::Node(node) => Some(node),
            Victim::Leader => self.nodes.iter().position(Node::is_founder),
        };
        let Some(at) = victim.filter(|at| self.nodes[*at].machine.is_some()) else { return };
        let serves = self.nodes[at].phase() == Some(Phase::Serving);
        self.tell(at, "fails");
        self.nodes[at].machine = None;
        let cluster = self.nodes[at].disk.cluster;
        if let (true, Some(cluster)) = (serves, cluster) {
            if self.plan.defect == Some(Defect::LedgerNotPersisted) {
                self.clusters[cluster].ledger = Ledger::default();
            }
            self.agenda.add(self.now + Duration::from_secs(30), Event::Takeover { cluster });
        }
        // The only copy of a cluster comes back: what is lost with it, no machine can mend. So does one with a place.
        let matters = serves || self.nodes[at].disk.place.is_some();
        let back = crash.back.or(matters.then(|| crash.at + Duration::from_mins(2)));
        if let Some(back) = back {
            // A Master that is installed anew has to be removed first.
            self.agenda.add(back, Event::Boot { node: at, reinstalled: crash.reinstalled && !serves });
        }
    }

    /// Another member becomes Master, as the guard would have it: one that has joined.
    pub(super) fn take_over(&mut self, cluster: usize) {
        let serves = |node: &Node| node.phase() == Some(Phase::Serving) && node.disk.cluster == Some(cluster);
        if self.nodes.iter().any(serves) {
            return;
        }
        let can = |node: &&Node| node.phase() == Some(Phase::Member) && node.disk.cluster == Some(cluster);
        let Some(next) = self.nodes.iter().find(can).map(|node| node.number) else { return };
        if let Some(old) = self.clusters[cluster].master.replace(next) {
            // It is a member from now on, and knows it when it comes back.
            self.nodes[old].disk.is_member = true;
        }
        self.tell(next, "takes the Master's role over");
        self.set_member(next, true);
    }

    fn set_member(&mut self, at: usize, serves: bool) {
        let now = self.now;
        let out = self.nodes[at].machine.as_mut().map(|machine| machine.set_member(serves, now));
        self.carry_out(at, out.unwrap_or_default());
        self.wake(at);
    }

    /// Something of this boot comes to pass after `from` to `to` seconds.
    pub(super) fn later(&mut self, at: usize, from: u64, to: u64) {
        let pause = Duration::from_millis(self.rng.u64(from * 1000..=to * 1000));
        self.agenda.add(self.now + pause, Event::Step { node: at, boot: self.nodes[at].boot });
    }

    /// As the agent does it: the election alone is no progress, on the disk neither. `cias run` starts at once and waits up to a minute for
    /// the ports' drivers before it takes the founder's identity, from where on the progress is `Settled`. Who fails before that comes back as
    /// any other.
    pub(super) fn begin_founding(&mut self, at: usize) {
        self.later(at, 1, 60);
    }

    /// As the agent does it when the machine yields: `cias run` is stopped, and its end, within ten seconds or so, awaited.
    pub(super) fn end_founding(&mut self, at: usize) {
        self.nodes[at].in_doubt = true;
        self.later(at, 0, 10);
    }

    /// What is stopped has ended. It may have taken the founder's identity just before.
    fn resolve(&mut self, at: usize) {
        self.nodes[at].in_doubt = false;
        let progress = if self.rng.u8(0..4) == 0 { Progress::Settled } else { Progress::Nothing };
        self.tell(at, if progress == Progress::Nothing { "has begun nothing" } else { "has begun already" });
        self.nodes[at].disk.progress = progress;
        if let Some(machine) = &mut self.nodes[at].machine {
            machine.set_progress(progress);
            machine.set_in_doubt(false);
        }
    }

    /// A founder gets a step further, or ends what it began; a node with a place joins.
    pub(super) fn step(&mut self, at: usize, boot: u32) {
        if self.nodes[at].boot != boot {
            return;
        }
        if self.nodes[at].in_doubt {
            return self.resolve(at);
        }
        match (self.nodes[at].phase(), self.nodes[at].disk.progress) {
            (Some(Phase::Founder), Progress::Nothing) => self.set_progress(at, Progress::Settled),
            (Some(Phase::Founder), Progress::Settled) => {
                self.clusters.push(Cluster::default());
                self.nodes[at].disk.cluster = Some(self.clusters.len() - 1);
                self.set_progress(at, Progress::Founded);
            }
            (Some(Phase::Founder), Progress::Founded) => {
                if let Some(cluster) = self.nodes[at].disk.cluster {
                    self.clusters[cluster].master = Some(at);
                }
                self.set_member(at, true);
            }
            (Some(Phase::Offered), _) => {
                self.nodes[at].disk.is_member = true;
                if let (Some(cluster), Some(place)) =
                    (self.nodes[at].disk.cluster, &self.nodes[at].disk.place)
                {
                    self.clusters[cluster].ledger.set(place.address, State::Member);
                }
                self.set_member(at, false);
            }
            _ => {}
        }
    }

    fn set_progress(&mut self, at: usize, progress: Progress) {
        self.nodes[at].disk.progress = progress;
        if let Some(machine) = &mut self.nodes[at].machine {
            machine.set_progress(progress);
        }
        self.tell(
            at,
            if progress == Progress::Founded { "has founded a cluster" } else { "has the founder's place" },
        );
        self.later(at, 10, 40);
    }

    pub(super) fn answer(&mut self, at: usize, asking: &Asking) {
        let Some(cluster) = self.nodes[at].disk.cluster else { return };
        let ledger = &mut self.clusters[cluster].ledger;
        let granted = match asking.request.holds.map(|held| ledger.held(asking.from, held)) {
            None => ledger.grant(asking.from, &asking.request.who, &Pool).map(|(place, _)| place),
            Some(Held::Stands(place)) => Ok(place.clone()),
            // After a cut there may be two clusters.
            Some(other) => Err(anyhow::anyhow!("its place is {other:?} here")),
        };
        let now = self.now;
        let Some(machine) = &mut self.nodes[at].machine else { return };
        let (to, echo) = (asking.from, asking.nonce);
        let frame = match granted {
            Ok(place) => {
                let offer = Offer {
                    to,
                    echo,
                    address: place.address,
                    name: place.name,
                    master: Ipv4Addr::new(10, 254, 0, 254),
                    // Which cluster it is, for the checks.
                    host_key: cluster.to_string(),
                    time: 0,
                };
                machine.offer(offer, now)
            }
            Err(error) => {
                machine.refuse(Refusal { to, echo, is_final: false, reason: error.to_string() }, now)
            }
        };
        self.send(at, frame);
    }

    pub(super) fn take_place(&mut self, at: usize, offer: Offer) {
        let cluster = offer.host_key.parse().unwrap_or_default();
        let place = Place { address: offer.address, fqdn: offer.name.clone(), name: offer.name };
        self.tell(at, &format!("takes {} in cluster {cluster}", place.address));
        if let Some(other) = self.given.insert((cluster, place.address), at).filter(|other| *other != at) {
            self.fail(&format!("{} is given to node {other} and to node {at}", place.address));
        }
        self.nodes[at].disk.place = Some(place);
        self.nodes[at].disk.cluster = Some(cluster);
        self.later(at, 30, 120);
    }
}

/// The largest pool that a site may have.
struct Pool;

impl Places for Pool {
    fn fixed(&self, _who: &Who) -> Result<Option<Place>> {
        Ok(None)
    }

    fn positions(&self) -> Vec<(u8, u8)> {
        (1..=5).flat_map(|row| (1..=254).map(move |pos| (row, pos))).collect()
    }

    fn place(&self, _who: &Who, (row, pos): (u8, u8)) -> Result<Place> {
        let name = format!("pve-{row}-{pos}");
        Ok(Place { address: Ipv4Addr::new(10, 254, row, pos), fqdn: name.clone(), name })
    }

    fn is_taken(&self, _address: Ipv4Addr) -> bool {
        false
    }
}
