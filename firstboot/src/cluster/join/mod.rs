//! The step *join the cluster*: the Master lets this node in, `pvecm add`, and the way back when that fails.

mod rollback;
mod session;
mod trust;

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};

use self::session::Session;
use super::bring::{self, AUTHKEY};
use super::found::pvecm;
use super::keys;
use super::probe::{self, Outcome};
use super::stand::{self, Seen, Stand};
use crate::agent::memory::{self, Found};
use crate::enrol;
use crate::enrol::protocol::{Ask, FromNode, VERSION, Welcome};
use crate::facts::Facts;
use crate::files;
use crate::hello::MachineId;
use crate::outcome::Class;
use crate::runner::{Call, Stop};
use crate::site::{Place, Site};
use crate::status::MEANWHILE;
use crate::step::{Finding, Step};
use crate::system::System;

/// How long `pvecm add` may take: it waits for quorum for ever.
const ADD: Duration = Duration::from_mins(5);

/// Asks whether multicast passes; a test has another answer.
type Probe = fn(&str, &str, Ipv4Addr) -> Result<Outcome>;

/// The step.
pub struct Join {
    site: Site,
    place: Place,
    probe: Probe,
}

impl Join {
    /// For the node at `place`.
    pub fn new(site: &Site, place: &Place) -> Self {
        Self { site: site.clone(), place: place.clone(), probe: probe::probe }
    }

    fn cluster(&self) -> &str {
        &self.site.site.cluster_name
    }

    /// Has the Master let this node in, and joins.
    fn join(&self, system: &System) -> Result<()> {
        bring::require_name(&system.root, &self.place)?;
        let facts = Facts::gather(&system.root, system.runner);
        let who = facts.who();
        let machine = MachineId::of(&who.macs).context("found no physical Ethernet port")?;
        let master = match memory::read(&system.root, &who)? {
            Found::Mine(memory) => memory.offer.map(|offer| offer.master),
            Found::Nothing | Found::Unusable(_) => None,
        };
        let ask = Ask {
            version: VERSION,
            site: enrol::tag(&self.site.secrets.key)?,
            machine,
            who,
            release: facts.hardware.pve_version.unwrap_or_default(),
            address: self.place.address,
            name: self.place.name.clone(),
            key: trust::own_key(system)?,
        };
        let session = Session::open(system, &self.site, master.unwrap_or(self.site.network.vip))?;
        let meanwhile = system.root.path(MEANWHILE);
        let wait = |reason: &str| {
            let sentence = format!("the Master has this node wait: {reason}");
            system.log.say(&sentence);
            files::write(&meanwhile, sentence, 0o644)
        };
        let asked = session.ask(ask, wait);
        files::remove(&meanwhile)?;
        let (mut session, welcome) = asked?;
        system.log.say(&format!("the Master {} lets this node in", welcome.master));
        if let Err(error) = self.enter(system, &welcome, session.gone()) {
            if Class::of(&error) != Class::Interrupted {
                // A session that is gone has told the Master as much.
                let _ = session.tell(&FromNode::Failed(format!("{error:#}")));
            }
            return Err(error);
        }
        if !session.confirmed() {
            system.log.say("the Master did not confirm the join; what /etc/pve/.members shows counts");
        }
        Ok(())
    }

    /// What is done between the Master's welcome and the membership, as long as the session is not `gone`.
    fn enter(&self, system: &System, welcome: &Welcome, gone: Stop) -> Result<()> {
        if welcome.cluster != self.cluster() {
            return Err(Class::Refused.error(format!(
                "the Master {} has the cluster {:?}, wanted {:?} (site.cluster_name): one ISO makes one site",
                welcome.master,
                welcome.cluster,
                self.cluster()
            )));
        }
        trust::know(system, welcome)?;
        self.require_multicast(system, welcome)?;
        if rollback::is_needed(&system.root) {
            rollback::roll_back(system)?;
        }
        keys::keep(&system.root)?;
        // Of a former life: with it pvecm refuses.
        let authkey = system.root.path(AUTHKEY);
        if authkey.exists() {
            files::rename(&authkey, &system.root.path(&format!("{AUTHKEY}.before")))?;
        }
        // A Master that is gone lets the copying hang, and one that is back has taken this node back.
        let limit = |call: Call| call.limit(ADD).until(gone, "the session with the Master ended");
        let complaint = pvecm(system.runner, &["add", &welcome.address.to_string()], limit)?;
        let others = [welcome.master.as_str()];
        // What left nothing behind is not waited for: meanwhile others wait to join.
        let limit = if rollback::is_needed(&system.root) { bring::SEEN } else { Duration::ZERO };
        if bring::await_members(system, self.cluster(), &others, limit)? {
            return Ok(());
        }
        let said = if complaint.is_empty() { "no error".to_owned() } else { complaint };
        let mut reason = format!(
            "`pvecm add {}` did not make this node a member that sees {}, and was rolled back; it said: {said}; /var/log/cluster/corosync.log tells more",
            welcome.address, welcome.master,
        );
        if rollback::is_needed(&system.root)
            && let Err(error) = rollback::roll_back(system)
        {
            if Class::of(&error) == Class::Interrupted {
                return Err(error);
            }
            reason = format!("{reason}; rolling back failed: {error:#}");
        }
        Err(Class::TryLater.error(reason))
    }

    /// Without multicast the join would wait for ever, and after it each node would be alone.
    fn require_multicast(&self, system: &System, welcome: &Welcome) -> Result<()> {
        let outcome = (self.probe)(&self.site.secrets.key, self.cluster(), self.place.address)?;
        system.log.note(&format!("multicast probe: {} asked, {} answered", outcome.asked, outcome.answered));
        if outcome.passes() {
            return Ok(());
        }
        Err(Class::TryLater.error(format!(
            "multicast does not pass between this node and {}: {} of {} packets to {} were answered; the cluster needs it: give the switch an \
             IGMP querier, or switch IGMP snooping off for its VLAN; on a host, /sys/class/net/vmbr0/bridge/multicast_snooping must be 0 where no \
             querier is",
            welcome.master,
            outcome.answered,
            outcome.asked,
            probe::group(self.cluster())
        )))
    }

    /// A join that did not come to its end: the cluster may still be seen, as the others may just be starting.
    fn recover(&self, system: &System) -> Result<()> {
        bring::service(system, &["cman", "start"])?;
        if bring::await_members(system, self.cluster(), &[], bring::QUORUM)? {
            return Ok(());
        }
        self.join(system)
    }
}

impl Step for Join {
    fn name(&self) -> &'static str {
        "join the cluster"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let found = stand::stand(&Seen::look(&system.root), self.cluster());
        match found {
            Stand::Done => Ok(Finding::done()),
            Stand::Foreign(_) | Stand::Left(_) => Err(bring::refuse(&found, self.cluster())),
            _ => Ok(Finding::todo(format!("join the cluster {}", self.cluster()))),
        }
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        match bring::stand(system, self.cluster())? {
            Stand::Alone => self.join(system).map_err(later)?,
            Stand::Half => self.recover(system).map_err(later)?,
            Stand::Lost => bring::await_quorum(system, self.cluster())?,
            _ => {}
        }
        bring::conclude(system, self.cluster())?;
        Ok(Vec::new())
    }
}

/// Whatever went wrong between two machines may go right the next time, and nobody is there to begin anew.
fn later(error: anyhow::Error) -> anyhow::Error {
    if Class::of(&error) == Class::Failed { Class::TryLater.error(format!("{error:#}")) } else { error }
}

#[cfg(test)]
mod tests;
