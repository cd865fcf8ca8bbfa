//! A stand-in for a site's mail relay: it takes every mail (RFC 5321), offers no TLS, and sends nothing on.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use anyhow::Result;

use super::Sink;
use crate::net::Net;

/// Where it listens.
pub const PORT: u16 = 25;

/// A mail that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// The sender on its envelope.
    pub from: String,
    /// The recipients on its envelope.
    pub to: Vec<String>,
    /// Head and body, with a line feed behind each line.
    pub text: String,
}

impl Mail {
    /// What a line of its head says; lines that go on are joined.
    pub fn head(&self, name: &str) -> Option<String> {
        let head = self.text.split("\n\n").next().unwrap_or_default();
        let plain = head.replace("\n ", " ").replace("\n\t", " ");
        plain.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// Begins to listen on the segment.
pub fn listen(net: &Net) -> Result<Sink<Mail>> {
    Sink::on_segment(net, PORT, talk)
}

fn talk(mut client: &TcpStream, keep: &mut dyn FnMut(Mail)) -> std::io::Result<()> {
    let mut session = Session::default();
    client.write_all(b"220 lab ESMTP\r\n")?;
    let mut reader = BufReader::new(client);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let Answer { text, mail, ends } = session.line(text.trim_end_matches(['\r', '\n']));
        // It is kept before the client knows that it was taken, and so before anybody can ask for it.
        mail.into_iter().for_each(&mut *keep);
        client.write_all(text.as_bytes())?;
        if ends {
            break;
        }
        line.clear();
    }
    Ok(())
}

/// What a line brings about.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    text: String,
    mail: Option<Mail>,
    ends: bool,
}

/// How far a client is.
#[derive(Debug, Default)]
struct Session {
    mail: Option<Mail>,
    is_text: bool,
}

impl Session {
    fn line(&mut self, line: &str) -> Answer {
        if self.is_text {
            return self.text(line);
        }
        let say = |text: &str| Answer { text: format!("{text}\r\n"), ..Answer::default() };
        let upper = line.to_ascii_uppercase();
        if upper.starts_with("EHLO") {
            self.mail = None;
            return say("250-lab\r\n250 8BITMIME");
        }
        if upper.starts_with("HELO") || upper == "RSET" {
            self.mail = None;
            return say("250 lab");
        }
        if let Some(from) = path(line, &upper, "MAIL FROM:") {
            self.mail = Some(Mail { from, ..Mail::default() });
            return say("250 sender taken");
        }
        match (&mut self.mail, path(line, &upper, "RCPT TO:")) {
            (Some(mail), Some(to)) => {
                mail.to.push(to);
                return say("250 recipient taken");
            }
            (None, Some(_)) => return say("503 MAIL comes first"),
            (_, None) => {}
        }
        match upper.as_str() {
            "DATA" if self.mail.as_ref().is_some_and(|mail| !mail.to.is_empty()) => {
                self.is_text = true;
                say("354 end with a dot")
            }
            "DATA" => say("503 MAIL and RCPT come first"),
            "NOOP" => say("250 nothing"),
            "QUIT" => Answer { ends: true, ..say("221 bye") },
            _ => say("502 not known here"),
        }
    }

    fn text(&mut self, line: &str) -> Answer {
        if line == "." {
            self.is_text = false;
            return Answer { text: "250 mail taken\r\n".into(), mail: self.mail.take(), ends: false };
        }
        if let Some(mail) = &mut self.mail {
            // A dot in front of a line was doubled.
            mail.text.push_str(line.strip_prefix('.').unwrap_or(line));
            mail.text.push('\n');
        }
        Answer::default()
    }
}

/// The address in `MAIL FROM:<address> ...`.
fn path(line: &str, upper: &str, command: &str) -> Option<String> {
    upper.starts_with(command).then_some(())?;
    let rest = line[command.len()..].trim_start().strip_prefix('<')?;
    Some(rest.split('>').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_postfix() {
        let mut session = Session::default();
        let mut codes = Vec::new();
        let mut mails = Vec::new();
        for line in "EHLO n.example.com|MAIL FROM:<root@n.example.com> SIZE=330 BODY=8BITMIME|RCPT TO:<admin@example.com> ORCPT=rfc822;x|\
                     RCPT TO:<b@example.com>|DATA|Subject: [X] a\n  long one|From: CIAS|Empty:|\n|..dot|ü|.|MAIL FROM:<>|RSET|QUIT"
            .split('|')
            .flat_map(|line| line.strip_suffix('\n').unwrap_or(line).split('\n'))
        {
            let answer = session.line(line);
            codes.extend(answer.text.get(..3).map(str::to_owned));
            mails.extend(answer.mail);
            assert_eq!(answer.ends, line == "QUIT");
        }
        assert_eq!(codes, ["250", "250", "250", "250", "354", "250", "250", "250", "221"]);
        let [mail] = mails.as_slice() else { panic!("{mails:?}") };
        assert_eq!(mail.from, "root@n.example.com");
        assert_eq!(mail.to, ["admin@example.com", "b@example.com"]);
        assert_eq!(mail.text, "Subject: [X] a\n  long one\nFrom: CIAS\nEmpty:\n\n.dot\nü\n");
        assert_eq!(mail.head("subject").as_deref(), Some("[X] a  long one"));
        assert_eq!((mail.head("from").as_deref(), mail.head("dot")), (Some("CIAS"), None));
    }

    #[test]
    fn what_comes_too_early_or_is_not_known_is_refused() {
        let mut session = Session::default();
        for (line, code) in [
            ("DATA", "503"),
            ("RCPT TO:<a@b>", "503"),
            ("STARTTLS", "502"),
            ("MAIL FROM:<a@b>", "250"),
            ("DATA", "503"),
            ("noop", "250"),
            ("HELO x", "250"),
            ("RCPT TO:<a@b>", "503"),
        ] {
            assert_eq!(session.line(line).text.get(..3), Some(code), "{line}");
        }
    }
}
