//! Judges the mail relay: a user and a password belong together, and are sent encrypted alone.

use super::Judge;

impl Judge<'_> {
    /// A user needs a relay, a password and TLS.
    pub(super) fn relay(&self) {
        let notify = &self.site.notify;
        let (user, tls) = ("notify.relay_user", "notify.relay_tls");
        if self.findings.is_bad(user) {
            return;
        }
        // An empty password stands for one that is there and could not be read.
        let password = self.site.secrets.relay_password.as_deref();
        match (&notify.relay_user, password) {
            (Some(_), None) => {
                self.findings.note(user, "it without site.secrets.relay_password", "both or none");
            }
            (None, Some(password)) if !password.is_empty() => {
                self.findings.note(user, "nothing beside site.secrets.relay_password", "both or none");
            }
            _ => {}
        }
        if notify.relay_user.is_none() {
            return;
        }
        if notify.relay.is_none() && !self.findings.is_bad("notify.relay") {
            self.findings.note(user, "it without notify.relay", "the relay that knows this user, or no user");
        }
        if notify.relay_tls != "required" && !self.findings.is_bad(tls) {
            let found = format!("{:?} beside relay_user", notify.relay_tls);
            let wanted = "\"required\", or no relay_user: no password is sent without TLS";
            self.findings.note(tls, found, wanted);
        }
    }
}
