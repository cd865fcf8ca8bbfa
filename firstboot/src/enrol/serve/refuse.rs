//! How a refusal is told: to the node, to the log, and by mail, the same one at most once an hour.

use std::io::Write;

use anyhow::Result;

use super::judge::Refusal;
use super::talk::{Heard, Talk};
use super::{Session, entry_name};
use crate::enrol::policy::{Application, Standing};
use crate::enrol::protocol::{Ask, FromMaster, Refused};
use crate::enrol::store;
use crate::notify;

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
        self.once(&key, || self.mail(&format!("{} was refused ({kind})", ask.name), ask, &reason));
    }

    /// Refuses what said something else than it should.
    pub(super) fn answer_strange(&self, talk: &mut Talk<impl Write>, heard: Heard) {
        let reason = match heard {
            Heard::Strange(error) => format!("{error:#}"),
            Heard::Nothing => "the node said nothing for too long, wanted what it asks for".to_owned(),
            _ => "the node said how its join ended before it had asked for one: use the same version of cias-firstboot on both".to_owned(),
        };
        self.note(&format!("a connection was refused: {reason}"));
        let body = format!(
            "{reason}\n\nWhoever it was has the site's join key, and is a node that works wrong or none of ours; /var/log/cias/enrol.log tells more."
        );
        self.once("strange", || notify::own(self.system, self.site, "a connection was refused", &body));
        let _gone = talk.tell(&FromMaster::Refused(Refused { reason, is_final: false }));
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

    fn once(&self, key: &str, send: impl FnOnce()) {
        match notify::is_new(&self.system.root, key) {
            Ok(true) => send(),
            Ok(false) => {}
            Err(error) => {
                self.note(&format!("warning: no mail is sent, because it cannot be noted: {error:#}"));
            }
        }
    }

    /// Tells the administrator.
    pub(super) fn mail(&self, subject: &str, ask: &Ask, text: &str) {
        let marks: Vec<&str> = ask.who.macs.iter().chain(&ask.who.serial).map(String::as_str).collect();
        let body = format!(
            "{text}\n\nMachine {} ({})\nName {}, address {}\n\n`cias enrol list` on the Master shows who may join, /var/log/cias/enrol.log what was.",
            ask.machine,
            marks.join(", "),
            ask.name,
            ask.address
        );
        notify::own(self.system, self.site, subject, &body);
    }
}
