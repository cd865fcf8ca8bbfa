//! Mail to the administrator. One that cannot be sent is a warning in the log, and stops nothing.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::agent::published;
use crate::files;
use crate::runner::Call;
use crate::site::Site;
use crate::system::{Sysroot, System};

/// A mail goes to a queue, which takes no time; without one nobody waits for it.
const LIMIT: Duration = Duration::from_secs(20);

/// When what was mailed, in seconds since 1970.
const MAILED: &str = "/run/cias/mails.json";

/// The same is mailed once in so many seconds.
const HOUR: u64 = 3600;

/// So many different ones are mailed in an hour; who has a key of the site can make up machines without end.
const MOST: usize = 200;

/// Was this not mailed within the hour? Notes that it is now.
pub fn is_new(root: &Sysroot, key: &str) -> Result<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let path = root.path(MAILED);
    // The enrolment and the agent both mail.
    files::make_folder(&root.path(published::FOLDER), 0o755)?;
    let _turn = files::lock_in_turn(&path.with_extension("lock"))?;
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

/// Sends a mail of this node.
pub fn own(system: &System, site: &Site, subject: &str, body: &str) {
    let own = system.root.attribute("/etc/hostname").unwrap_or_else(|| "cias".to_owned());
    mail(system, site, &own, subject, body);
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
