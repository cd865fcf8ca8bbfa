//! How a refusal is told: to the node, to the log, and by mail, the same one at most once an hour.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;

use super::judge::Refusal;
use super::talk::{Heard, Talk};
use super::{Session, entry_name};
use crate::enrol::policy::{Application, Standing};
use crate::enrol::protocol::{Ask, FromMaster, Refused};
use crate::enrol::store;
use crate::{files, notify};

/// When which refusal was mailed, in seconds since 1970.
const MAILED: &str = "/run/cias/enrol-mails.json";

/// The same refusal of the same machine is mailed once in so many seconds.
const HOUR: u64 = 3600;

/// So many different ones are mailed in an hour; who has the join key can make up machines without end.
const MOST: usize = 200;

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
        self.mail_once(&key, &format!("{} was refused ({kind})", ask.name), ask, &reason);
    }

    /// Refuses what said something else than it should.
    pub(super) fn answer_strange(&self, talk: &mut Talk<impl Write>, heard: Heard) {
        let reason = match heard {
            Heard::Strange(error) => format!("{error:#}"),
            Heard::Nothing => "the node said nothing for too long, wanted what it asks for".to_owned(),
            _ => "the node said how its join ended before it had asked for one: use the same version of cias-firstboot on both".to_owned(),
        };
        self.note(&format!("a connection was refused: {reason}"));
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

    fn mail_once(&self, key: &str, subject: &str, ask: &Ask, reason: &str) {
        match self.is_new(key) {
            Ok(true) => self.mail(subject, ask, reason),
            Ok(false) => {}
            Err(error) => {
                self.note(&format!("warning: no mail is sent, because it cannot be noted: {error:#}"));
            }
        }
    }

    /// Was this not mailed within the hour? Notes that it is now.
    fn is_new(&self, key: &str) -> Result<bool> {
        let now = store::now();
        let path = self.system.root.path(MAILED);
        // One that cannot be read is as good as none: it holds nothing but times.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut mailed: BTreeMap<String, u64> = serde_json::from_str(&text).unwrap_or_default();
        mailed.retain(|_, at| now.abs_diff(*at) < HOUR);
        if mailed.contains_key(key) || mailed.len() >= MOST {
            return Ok(false);
        }
        mailed.insert(key.to_owned(), now);
        files::write(&path, serde_json::to_string(&mailed)?, 0o600)?;
        Ok(true)
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
        let own = self.system.root.attribute("/etc/hostname").unwrap_or_else(|| "cias".to_owned());
        notify::mail(self.system, self.site, &own, subject, &body);
    }
}
