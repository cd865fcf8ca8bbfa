//! How a refusal is told: to the node, to the log, and by mail, the same one at most once an hour.

use std::io::Write;

use anyhow::Result;

use super::judge::Refusal;
use super::talk::{Heard, Talk};
use super::{Session, entry_name};
use crate::enrol::policy::{Application, Standing};
use crate::enrol::protocol::{Ask, FromMaster, Refused};
use crate::enrol::store;
use crate::notify::{self, Event};

/// When which refusal was mailed, in seconds since 1970.
const MAILED: &str = "/run/cias/enrol-mails.json";

impl Session<'_> {
    /// Refuses the machine.
    pub(super) fn refuse(&self, ask: &Ask, refusal: &Refusal, talk: &mut Talk<impl Write>) {
        let mut refusal = refusal.clone();
        if refusal.pends
            && let Err(error) = self.keep_request(ask)
        {
            refusal.reason =
                format!("{}; its request could not be kept, so it will ask again: {error:#}", refusal.reason);
        }
        let Refusal { kind, reason, is_final, .. } = refusal;
        self.note(&format!("{} refused ({kind}): {reason}", entry_name(ask)));
        let _gone = talk.tell(&FromMaster::Refused(Refused { reason: reason.clone(), is_final }));
        // Where many ask at once it is one fact, whoever hears it.
        let key = if kind == "busy" { kind.to_owned() } else { format!("{} {kind}", ask.machine) };
        self.tell_once(&key, Event::not_let_in(self.site, &ask.name, kind, &reason, is_final, about(ask)));
    }

    /// Refuses what said something else than it should.
    pub(super) fn answer_strange(&self, talk: &mut Talk<impl Write>, heard: Heard) {
        let (kind, reason) = match heard {
            Heard::Strange(error) => ("strange", format!("{error:#}")),
            Heard::Nothing => ("silent", "the node said nothing for too long, wanted what it asks for".to_owned()),
            _ => ("early", "the node said how its join ended before it had asked for one: use the same version of cias-firstboot on both".to_owned()),
        };
        let from = peer();
        self.note(&format!("a connection from {from} was refused ({kind}): {reason}"));
        let _gone = talk.tell(&FromMaster::Refused(Refused { reason: reason.clone(), is_final: false }));
        let machine = format!("It came from {from}, with the site's join key.");
        let event = Event::not_let_in(self.site, "a connection", kind, &reason, false, machine);
        self.tell_once(&format!("{from} {kind}"), event);
    }

    /// Keeps who wants in, for `cias enrol list`. What an administrator said is left.
    fn keep_request(&self, ask: &Ask) -> Result<()> {
        let root = &self.system.root;
        if store::read(root)?.applications.contains_key(&ask.machine) {
            return Ok(());
        }
        let (machine, address) = (ask.machine, ask.address);
        let (name, who, since) = (ask.name.clone(), ask.who.clone(), store::now());
        store::set(root, &Application { machine, standing: Standing::Pending, name, address, who, since })
    }

    fn tell_once(&self, key: &str, event: Event) {
        match notify::is_new(&self.system.root.path(MAILED), key, store::now()) {
            Ok(true) => self.tell(event),
            Ok(false) => {}
            Err(error) => {
                self.note(&format!("warning: nobody is told, because it cannot be noted: {error:#}"));
            }
        }
    }

    /// Tells the administrator; what does not go now is the agent's to try again.
    pub(super) fn tell(&self, event: Event) {
        notify::tell(self.system, self.site, event);
    }
}

/// A machine, for a person.
pub(super) fn about(ask: &Ask) -> String {
    let marks: Vec<&str> = ask.who.macs.iter().chain(&ask.who.serial).map(String::as_str).collect();
    let (machine, marks) = (ask.machine, marks.join(", "));
    format!("Machine {machine} ({marks})\nName {}, address {}", ask.name, ask.address)
}

/// Where the session came from, as sshd tells (ssh(1), ENVIRONMENT).
fn peer() -> String {
    let connection = std::env::var("SSH_CONNECTION").unwrap_or_default();
    connection.split(' ').next().filter(|from| !from.is_empty()).unwrap_or("an unknown address").to_owned()
}
