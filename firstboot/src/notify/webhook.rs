//! A POST to `notify.webhook`, by wheezy's wget: the node's program links no TLS (ci/deny.toml).
//!
//! The URL is a secret, so that wget reads it from standard input, and its messages, which hold it, go to a file that is read here and
//! removed.

use std::time::Duration;

use super::Sent;
use super::event::Event;
use crate::agent::published;
use crate::runner::{Call, Output};
use crate::system::System;
use crate::{files, outcome};

/// How long wget waits for a name, a connection or an answer, in seconds.
const WAIT: u32 = 10;

/// How long it may take for all of it.
const LIMIT: Duration = Duration::from_secs(25);

/// Posts the event to `url`.
pub fn post(system: &System, url: &str, event: &Event) -> Sent {
    let (body, said) = names();
    let result = try_post(system, url, event, &body, &said);
    let left = [&body, &said].map(|name| files::remove(&system.root.path(name)));
    if let Err(error) = outcome::all(left) {
        system.log.note(&format!("warning: {error:#}"));
    }
    result.unwrap_or_else(|error| Sent::Later(format!("{error:#}")))
}

/// The files with the body and with what wget says; gone after a boot.
fn names() -> (String, String) {
    let name = |what: &str| format!("{}/webhook-{}.{what}", published::FOLDER, std::process::id());
    (name("json"), name("said"))
}

fn try_post(system: &System, url: &str, event: &Event, body: &str, said: &str) -> anyhow::Result<Sent> {
    let root = &system.root;
    files::make_folder(&root.path(published::FOLDER), 0o755)?;
    files::write(&root.path(body), event.posted()?, 0o600)?;
    // Made here, so that nobody else reads it: wget keeps the mode of a file that is there.
    files::write(&root.path(said), "", 0o600)?;
    let call = Call::new("wget")
        .args(["-i", "-", "-S", "-O", "/dev/null", "-o"])
        .arg(root.path(said).display().to_string())
        .arg(format!("--post-file={}", root.path(body).display()))
        .arg("--header=Content-Type: application/json")
        .args(["--tries=1", "--max-redirect=0", "--no-proxy", "--no-http-keep-alive"])
        .arg(format!("--timeout={WAIT}"))
        .stdin(format!("{url}\n"))
        .limit(LIMIT);
    let ended = system.runner.outcome(&call);
    match (ended, status(&root.text(said)?)) {
        // The head came; whoever waits for a body that never comes has posted all the same.
        (_, Some(200..300)) => Ok(Sent::Taken),
        (ended, status) => Ok(judge(&ended?, status)),
    }
}

/// The last status in what wget says of the answer's head.
fn status(said: &str) -> Option<u16> {
    let word = |line: &str| line.trim_start().strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok();
    said.lines().rev().find_map(word)
}

/// What became of it.
fn judge(output: &Output, status: Option<u16>) -> Sent {
    let never = |status: u16| (400..500).contains(&status) && ![408, 429].contains(&status);
    match (output.code, status) {
        (0, _) => Sent::Taken,
        (_, Some(status @ 300..400)) => Sent::Later(format!(
            "the webhook answered {status}, which leads elsewhere: name the place that it leads to in notify.webhook, as nothing is posted twice"
        )),
        (_, Some(status)) if never(status) => Sent::Never(format!(
            "the webhook answered {status}: look whether notify.webhook is what its service gave you"
        )),
        (_, Some(status @ 300..)) => Sent::Later(format!("the webhook answered {status}")),
        (4, _) => Sent::Later(
            "the webhook's host was not reached: its name is not known, or it takes no connection, or no TLS of 2013 (docs/services.md)"
                .to_owned(),
        ),
        (5, _) => Sent::Later(
            "the webhook's certificate does not pass: this system knows the authorities of 2013 (docs/services.md)".to_owned(),
        ),
        (code, _) => Sent::Later(format!("wget ended with exit code {code} and no answer of the webhook")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Here;
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};
    use crate::tree::Tree;

    const URL: &str = "https://alarm.example.com/T0KEN";

    #[test]
    fn the_answer_decides_whether_it_is_tried_again() {
        let output = |code| Output { code, ..Output::default() };
        for (code, said, again) in [
            (8, Some(404), Some(false)),
            (8, Some(401), Some(false)),
            (8, Some(408), Some(true)),
            (8, Some(429), Some(true)),
            (8, Some(301), Some(true)),
            (8, Some(500), Some(true)),
            (4, None, Some(true)),
            (5, None, Some(true)),
            (0, None, None),
        ] {
            let found = match judge(&output(code), said) {
                Sent::Taken => None,
                Sent::Later(_) => Some(true),
                Sent::Never(_) => Some(false),
            };
            assert_eq!(found, again, "{code} {said:?}");
        }
        let said = "  HTTP/1.1 100 Continue\n  HTTP/1.1 404 Not Found\n  X: HTTP/1.1 200\n";
        assert_eq!((status(said), status("failed: Connection refused.\n")), (Some(404), None));
    }

    #[test]
    fn an_answer_without_its_end_is_an_answer_and_nothing_is_posted_twice() {
        let tree = Tree::from_text("/");
        let (root, log) = (tree.root(), Log::silent());
        let said = root.path(&names().1);
        let fake = Fake::default()
            .fails("wget", 4, "")
            .does("wget", move || std::fs::write(&said, "  HTTP/1.1 204 No Content\n").unwrap());
        let system = System { root, runner: &fake, log: &log };
        let site = from_text(&example()).unwrap();
        let event = Event::test(&site, &Here { node: "n".into(), role: "node".into() });
        assert_eq!(post(&system, URL, &event), Sent::Taken);
    }

    #[test]
    fn the_url_is_in_no_line_no_log_and_no_file() {
        let tree = Tree::from_text("/");
        let root = tree.root();
        let log = Log::to_file(&tree.path().join("log")).unwrap();
        let (body, said) = names();
        let (seen, told) = (root.path(&body), root.path(&said));
        let fake = Fake::default().fails("wget", 8, "").does("wget", move || {
            let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&seen).unwrap()).unwrap();
            assert_eq!(json["event"], "test");
            assert!(files::is(&seen, std::fs::read(&seen).unwrap(), 0o600));
            std::fs::write(&told, format!("--2026-- {URL}\n  HTTP/1.1 410 Gone\n  Location: {URL}\n"))
                .unwrap();
        });
        let system = System { root: root.clone(), runner: &fake, log: &log };
        let site = from_text(&example()).unwrap();
        let event = Event::test(&site, &Here { node: "n".into(), role: "node".into() });
        let Sent::Never(reason) = post(&system, URL, &event) else { panic!("410 is for good") };
        assert!(reason.starts_with("the webhook answered 410: "), "{reason}");
        let lines = fake.lines().join("\n");
        for text in [&lines, &reason, &root.text("/log").unwrap()] {
            assert!(!text.contains("T0KEN") && !text.contains("alarm.example.com"), "{text}");
        }
        assert_eq!(root.names("/run/cias"), Vec::<String>::new(), "nothing is left");
    }
}
