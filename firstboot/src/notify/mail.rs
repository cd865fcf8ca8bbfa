//! Mail by the system's sendmail.

use std::time::Duration;

use super::Sent;
use super::event::Event;
use crate::runner::Call;
use crate::site::Site;
use crate::system::System;

/// A mail goes to a queue, which takes no time; without one nobody waits for it.
const LIMIT: Duration = Duration::from_secs(20);

/// Exit codes after which the same mail is not taken later either (sysexits.h): usage, data, no such user.
const NEVER: [i32; 3] = [64, 65, 67];

/// Where mails go.
pub fn to(site: &Site) -> &str {
    site.notify.mail.as_ref().unwrap_or(&site.site.mail)
}

/// Sends the event as a mail of the node `from`.
pub fn send(system: &System, site: &Site, from: &str, event: &Event) -> Sent {
    let message = message(site, from, &event.subject, &event.body());
    let call = Call::new("sendmail").args(["-t", "-oi"]).stdin(message).limit(LIMIT);
    match system.runner.outcome(&call) {
        Ok(output) if output.code == 0 => Sent::Taken,
        Ok(output) => {
            let reason = format!("sendmail: exit code {}: {}", output.code, output.complaint());
            if NEVER.contains(&output.code) { Sent::Never(reason) } else { Sent::Later(reason) }
        }
        Err(error) => Sent::Later(format!("{error:#}")),
    }
}

/// The whole mail, as sendmail reads it.
fn message(site: &Site, from: &str, subject: &str, body: &str) -> String {
    let lines: Vec<String> = body.lines().map(words).collect();
    format!(
        "From: CIAS <root@{}.{}>\nTo: {}\nSubject: [{}] {}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}\n",
        plain(from),
        plain(&site.site.domain),
        plain(to(site)),
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
    use super::super::event::Here;
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};
    use crate::system::Sysroot;

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
    fn what_is_wrong_with_the_mail_itself_is_not_tried_again() {
        let (site, log) = (from_text(&example()).unwrap(), Log::silent());
        let event = Event::test(&site, &Here { node: "n".into(), role: "node".into() });
        for (code, again) in [(75, true), (69, true), (127, true), (65, false), (67, false)] {
            let fake = Fake::default().fails("sendmail", code, "queue full");
            let system = System { root: Sysroot::new("/nowhere"), runner: &fake, log: &log };
            let sent = send(&system, &site, "n", &event);
            let reason = format!("sendmail: exit code {code}: queue full");
            assert_eq!(sent, if again { Sent::Later(reason) } else { Sent::Never(reason) });
            assert_eq!(fake.lines(), ["sendmail -t -oi"]);
        }
    }
}
