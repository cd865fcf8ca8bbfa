//! Mail to the administrator. One that cannot be sent is a warning in the log, and stops nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::runner::Call;
use crate::site::Site;
use crate::system::System;

/// A mail goes to a queue, which takes no time; without one nobody waits for it.
const LIMIT: Duration = Duration::from_secs(20);

/// The same thing about the same machine is mailed once in so many seconds.
const HOUR: u64 = 3600;

/// So many different ones are mailed in an hour; who has a key of the site can make up machines without end.
const MOST: usize = 200;

/// What was mailed within the hour, and when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mailed(BTreeMap<String, u64>);

impl Mailed {
    /// Is `key` to be mailed at `now`, in seconds of a clock that is always the same one? Notes that it is.
    pub fn is_new(&mut self, key: &str, now: u64) -> bool {
        self.0.retain(|_, at| now.abs_diff(*at) < HOUR);
        let is_new = !self.0.contains_key(key) && self.0.len() < MOST;
        if is_new {
            self.0.insert(key.to_owned(), now);
        }
        is_new
    }
}

/// What makes a reason another one: numbers in it, as counters and times, do not.
pub fn gist(reason: &str) -> String {
    reason.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// Sends a mail of the node `from` to `notify.mail`, or to `site.mail` without it.
pub fn mail(system: &System, site: &Site, from: &str, subject: &str, body: &str) {
    let message = message(site, from, subject, body);
    let call = Call::new("sendmail").args(["-t", "-oi"]).stdin(message).limit(LIMIT);
    if let Err(error) = system.runner.run(&call) {
        system.log.note(&format!("warning: the mail {:?} was not sent: {error:#}", plain(subject)));
    }
}

/// The whole mail, as sendmail reads it.
fn message(site: &Site, from: &str, subject: &str, body: &str) -> String {
    let to = site.notify.mail.as_ref().unwrap_or(&site.site.mail);
    let lines: Vec<String> = body.lines().map(words).collect();
    format!(
        "From: CIAS <root@{}.{}>\nTo: {}\nSubject: [{}] {}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}\n",
        plain(from),
        plain(&site.site.domain),
        plain(to),
        plain(&site.site.cluster_name),
        plain(subject),
        lines.join("\n")
    )
}

/// What a head may hold: nothing that would end its line, or that old mail programs would show wrong.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect()
}

/// A line of the body.
fn words(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};
    use crate::tree::Tree;

    #[test]
    fn a_mail_in_full() {
        let site = from_text(&example()).unwrap();
        let subject = "pve-a-1-1 was refused\r\nBcc: everybody@example.org";
        let found = message(&site, "pve-a-0-1", subject, "It said \u{1b}[2Jthis.\n.\nWay out: ü");
        let wanted = "From: CIAS <root@pve-a-0-1.example.com>\nTo: admin@example.com\n\
                      Subject: [DLLL-CIAS] pve-a-1-1 was refused??Bcc: everybody@example.org\nAuto-Submitted: auto-generated\n\
                      MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\
                      It said ?[2Jthis.\n.\nWay out: ü\n";
        assert_eq!(found, wanted);
        let elsewhere = from_text(&(example() + "[notify]\nmail = \"watch@example.com\"\n")).unwrap();
        assert!(message(&elsewhere, "a", "b", "c").contains("\nTo: watch@example.com\n"));
    }

    #[test]
    fn the_same_is_mailed_once_an_hour_and_not_more_than_so_much() {
        let mut mailed = Mailed::default();
        let key = |machine: &str, reason: &str| format!("{machine} {}", gist(reason));
        assert!(mailed.is_new(&key("a1", "3 of 50 answered"), 10));
        assert!(!mailed.is_new(&key("a1", "14 of 50 answered"), 11));
        assert!(mailed.is_new(&key("a2", "3 of 50 answered"), 12));
        assert!(mailed.is_new(&key("a1", "no quorum"), 13));
        assert!(!mailed.is_new(&key("a1", "3 of 50 answered"), 10 + HOUR - 1));
        assert!(mailed.is_new(&key("a1", "3 of 50 answered"), 10 + HOUR));
        // A clock that was set back keeps nothing for ever.
        assert!(mailed.is_new(&key("a1", "3 of 50 answered"), 1));
        let count = (0..1000).filter(|number| mailed.is_new(&number.to_string(), 2)).count();
        assert_eq!((count, mailed.0.len()), (MOST - 3, MOST), "three were there");
    }

    #[test]
    fn a_mail_that_is_not_taken_stops_nothing_and_is_logged() {
        let tree = Tree::from_text("/");
        let (fake, log) = (
            Fake::default().fails("sendmail", 75, "queue full"),
            Log::to_file(&tree.path().join("log")).unwrap(),
        );
        let system = System { root: tree.root(), runner: &fake, log: &log };
        mail(&system, &from_text(&example()).unwrap(), "a", "b", "c");
        assert_eq!(fake.lines(), ["sendmail -t -oi"]);
        assert!(std::fs::read_to_string(tree.path().join("log")).unwrap().contains("\"b\" was not sent"));
    }
}
