//! The step *send mail through the site's relay*: the relay in postfix's `main.cf`, and its password in a table of its own.
//!
//! Compared by what it says: only the settings that follow from `notify.relay*` are changed. Without `notify.relay` there is no such step.

use anyhow::{Context, Result};

use super::maincf;
use crate::agent::published;
use crate::files;
use crate::runner::Call;
use crate::site::Site;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};

const MAIN: &str = "/etc/postfix/main.cf";
const PROGRAM: &str = "/usr/sbin/postfix";

/// The table with the password. It is read as it is (`texthash`, of postfix 2.8), by root before the client gives its rights up, so that no
/// second file of it lies about.
const TABLE: &str = "/etc/postfix/cias-relay";

/// As `main.cf` names it.
const MAP: &str = "texthash:/etc/postfix/cias-relay";

/// Where postfix writes the number of its process.
const PID_FILE: &str = "/var/spool/postfix/pid/master.pid";

/// There while what runs may not have read the files that are there; gone after a boot, as what ran is.
const UNREAD: &str = "/run/cias/postfix-unread";

/// Where the ways to say a password are (`libplain.so`): with and without wheezy's folder for each architecture.
const SASL: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/sasl2", "/usr/lib/sasl2"];

/// The step.
pub struct Relay {
    settings: Vec<(&'static str, String)>,
    /// The table's text, if the relay wants a password.
    table: Option<String>,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    WriteTable,
    WriteMain,
    RemoveTable,
    Reload,
}

impl Deed {
    fn sentence(self) -> String {
        match self {
            Self::WriteTable => format!("write {TABLE}"),
            Self::WriteMain => format!("set the relay in {MAIN}"),
            Self::RemoveTable => format!("remove {TABLE}"),
            Self::Reload => "have postfix read its configuration anew".to_owned(),
        }
    }
}

impl Relay {
    /// For a site that has a relay.
    pub fn new(site: &Site) -> Option<Self> {
        let notify = &site.notify;
        // The brackets keep postfix from asking the DNS who takes mail for that name.
        let relay = format!("[{}]:{}", notify.relay.as_ref()?, notify.relay_port);
        let level = if notify.relay_tls == "required" { "encrypt" } else { &notify.relay_tls };
        let mut settings = vec![("relayhost", relay.clone()), ("smtp_tls_security_level", level.to_owned())];
        let table = notify.relay_user.as_ref().zip(site.secrets.relay_password.as_ref());
        if table.is_some() {
            settings.extend([
                ("smtp_sasl_auth_enable", "yes".to_owned()),
                ("smtp_sasl_password_maps", MAP.to_owned()),
                // The standard also forbids passwords as they are, which most relays want; TLS is around them.
                ("smtp_sasl_security_options", "noanonymous".to_owned()),
            ]);
        }
        let table = table.map(|(user, password)| format!("{relay} {user}:{password}\n"));
        Some(Self { settings, table })
    }

    /// `main.cf` as it should be.
    fn wanted(&self, text: &str) -> String {
        let mut settings = self.settings.clone();
        // Of a user that the site file does not name any more; a table of somebody else's is not ours.
        if self.table.is_none() && maincf::value(text, "smtp_sasl_password_maps").as_deref() == Some(MAP) {
            let off = [("smtp_sasl_auth_enable", "no"), ("smtp_sasl_password_maps", "")];
            settings.extend(off.map(|(name, value)| (name, value.to_owned())));
        }
        settings.iter().fold(text.to_owned(), |text, (name, value)| maincf::with(&text, name, value))
    }

    fn deeds(&self, root: &Sysroot, text: &str) -> Vec<Deed> {
        let mut deeds = Vec::new();
        if self.table.as_ref().is_some_and(|table| !files::is(&root.path(TABLE), table, 0o600)) {
            deeds.push(Deed::WriteTable);
        }
        if self.wanted(text) != text {
            deeds.push(Deed::WriteMain);
        }
        if self.table.is_none() && root.has(TABLE) {
            deeds.push(Deed::RemoveTable);
        }
        // What does not run reads them when it starts.
        if (!deeds.is_empty() || root.has(UNREAD)) && root.runs(PID_FILE, "master") {
            deeds.push(Deed::Reload);
        }
        deeds
    }

    fn apply_one(&self, system: &System, deed: Deed) -> Result<()> {
        let root = &system.root;
        if deed != Deed::Reload {
            files::make_folder(&root.path(published::FOLDER), 0o755)?;
            files::write(&root.path(UNREAD), "", 0o644)?;
        }
        match deed {
            Deed::WriteTable => {
                files::write(&root.path(TABLE), self.table.as_deref().unwrap_or_default(), 0o600)
            }
            Deed::WriteMain => files::rewrite(&root.path(MAIN), self.wanted(&root.text(MAIN)?)),
            Deed::RemoveTable => files::remove(&root.path(TABLE)),
            Deed::Reload => {
                system.runner.run(&Call::new("postfix").arg("reload"))?;
                files::remove(&root.path(UNREAD))
            }
        }
    }

    fn warnings(&self, root: &Sysroot) -> Vec<String> {
        let mut warnings = Vec::new();
        if !root.runs(PID_FILE, "master") {
            warnings.push(format!(
                "postfix: found no process by {PID_FILE}, so that mails wait in its queue: `service postfix start`, and /var/log/mail.log tells why it ended"
            ));
        }
        let is_there = |folder: &str| root.names(folder).iter().any(|name| name.starts_with("libplain.so"));
        if self.table.is_some() && !SASL.iter().any(|folder| is_there(folder)) {
            warnings.push(format!(
                "notify.relay_user: found no libplain.so in {}, without which postfix tells the relay no password: install the package libsasl2-modules (in packages.toml: packages = [\"libsasl2-modules\"])",
                SASL[0]
            ));
        }
        warnings
    }
}

impl Step for Relay {
    fn name(&self) -> &'static str {
        "send mail through the site's relay"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let root = &system.root;
        if !root.has(PROGRAM) || !root.has(MAIN) {
            return Ok(Finding {
                todo: Vec::new(),
                warnings: vec![format!(
                    "notify.relay: found no {PROGRAM} with its {MAIN}, so that this node sends no mail through the relay: install the package postfix, and `cias run` sets it up"
                )],
            });
        }
        let deeds = self.deeds(root, &root.text(MAIN)?);
        Ok(Finding { todo: deeds.into_iter().map(Deed::sentence).collect(), warnings: self.warnings(root) })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        for deed in self.deeds(&system.root, &system.root.text(MAIN)?) {
            self.apply_one(system, deed).with_context(|| deed.sentence())?;
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
