//! How a refusal is told: to the node, to the log, and by mail, the same one at most once an hour.

use std::io::Write;

use anyhow::Result;

use super::judge::Refusal;
use super::talk::{Heard, Talk};
use super::{Session, entry_name};
use crate::enrol::policy::{Application, Standing};
use crate::enrol::protocol::{Ask, FromMaster, Refused};
use crate::enrol::store;
use crate::files;
use crate::notify::{self, Mailed};

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
        self.mail_once(&key, &format!("{} was refused ({kind})", ask.name), &about(ask, &reason));
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
        self.mail_once(
            &format!("{from} {kind}"),
            &format!("a connection was refused ({kind})"),
            &format!("{reason}\n\nIt came from {from}, with the site's join key.\n\n{WHERE}"),
        );
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

    fn mail_once(&self, key: &str, subject: &str, body: &str) {
        match self.is_new(key) {
            Ok(true) => self.post(subject, body),
            Ok(false) => {}
            Err(error) => {
                self.note(&format!("warning: no mail is sent, because it cannot be noted: {error:#}"));
            }
        }
    }

    /// Was this not mailed within the hour? Notes that it is now.
    fn is_new(&self, key: &str) -> Result<bool> {
        let path = self.system.root.path(MAILED);
        // One that cannot be read is as good as none: it holds nothing but times.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut mailed: Mailed = serde_json::from_str(&text).unwrap_or_default();
        if !mailed.is_new(key, store::now()) {
            return Ok(false);
        }
        files::write(&path, serde_json::to_string(&mailed)?, 0o600)?;
        Ok(true)
    }

    /// Tells the administrator about a machine.
    pub(super) fn mail(&self, subject: &str, ask: &Ask, text: &str) {
        self.post(subject, &about(ask, text));
    }

    fn post(&self, subject: &str, body: &str) {
        let own = self.system.root.attribute("/etc/hostname").unwrap_or_else(|| "cias".to_owned());
        notify::mail(self.system, self.site, &own, subject, body);
    }
}

/// The end of each mail.
const WHERE: &str = "`cias enrol list` on the Master shows who may join, /var/log/cias/enrol.log what was.";

fn about(ask: &Ask, text: &str) -> String {
    let marks: Vec<&str> = ask.who.macs.iter().chain(&ask.who.serial).map(String::as_str).collect();
    let (machine, marks) = (ask.machine, marks.join(", "));
    format!("{text}\n\nMachine {machine} ({marks})\nName {}, address {}\n\n{WHERE}", ask.name, ask.address)
}

/// Where the session came from, as sshd tells (ssh(1), ENVIRONMENT).
fn peer() -> String {
    let connection = std::env::var("SSH_CONNECTION").unwrap_or_default();
    connection.split(' ').next().filter(|from| !from.is_empty()).unwrap_or("an unknown address").to_owned()
}
