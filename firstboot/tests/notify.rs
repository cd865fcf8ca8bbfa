//! Drives the built binary's notifications: a sendmail that is a script, the real wget, and a webhook on loopback that keeps what it gets.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/node.rs"]
mod node;
#[path = "support/server.rs"]
mod server;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/wire.rs"]
mod wire;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use node::Node;
use serde_json::Value;
use server::Server;
use wire::{Wire, wait};

/// A request: its first line, the lines of its head, its body.
struct Request {
    first: String,
    head: Vec<String>,
    body: Value,
}

/// A webhook that answers with each status in turn and hands on what it got; its address.
fn webhook(answers: &'static [&'static str]) -> (u16, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            if tell.send(serve(&stream, answer)).is_err() {
                return;
            }
        }
    });
    (port, told)
}

fn serve(mut stream: &TcpStream, answer: &str) -> Request {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    // Its redirect holds the secret, as one from http to https would.
    let head = format!(
        "HTTP/1.1 {answer}\r\nLocation: http://127.0.0.1/T0KEN\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    Request { first: lines.remove(0), head: lines, body: serde_json::from_slice(&body).unwrap() }
}

/// A node with a webhook at `port`, and what its programs are.
fn node(port: u16, sendmail: &str) -> Node {
    let hook =
        format!("[notify]\nmail = \"alarm@example.com\"\nwebhook = \"http://127.0.0.1:{port}/T0KEN\"\n");
    let node = Node::new("fresh-node", &hook);
    node.answers("sendmail", Some(sendmail));
    node.answers("wget", Some("exec /usr/bin/wget \"$@\""));
    node
}

/// How many mails wait.
fn kept(node: &Node) -> usize {
    let files = std::fs::read_dir(node.path("var/lib/cias/notify")).into_iter().flatten();
    files.filter(|file| file.as_ref().unwrap().path().to_string_lossy().ends_with("-mail.json")).count()
}

const TAKES: &str = "/bin/cat >> $ROOT/mails";

fn next(told: &Receiver<Request>) -> Request {
    told.recv_timeout(Duration::from_mins(1)).unwrap()
}

#[test]
fn a_test_goes_out_by_both_ways_and_says_so() {
    let (port, told) = webhook(&["204 No Content"]);
    let node = node(port, TAKES);
    let (stdout, _) = node.wants(0, &["notify", "test"]);
    assert_eq!(
        stdout,
        format!(
            "mail to alarm@example.com: taken by sendmail; `mailq` shows whether it has left this node\n\
             webhook to http://127.0.0.1:{port}/...: taken\n"
        )
    );
    let request = next(&told);
    assert_eq!(request.first, "POST /T0KEN HTTP/1.1");
    assert!(request.head.iter().any(|line| line == "Content-Type: application/json"), "{:?}", request.head);
    let body = request.body;
    assert_eq!((&body["event"], &body["cluster"]), (&"test".into(), &"DLLL-CIAS".into()));
    assert!(body["next_try"].is_null() && body["time"].as_str().unwrap().ends_with('Z'), "{body}");
    let mails = node.read("mails");
    assert!(mails.contains("\nSubject: [DLLL-CIAS] a test of the notifications\n"), "{mails}");
    assert!(!node.read("calls").contains("T0KEN"), "{}", node.read("calls"));
    assert!(!node.path("var/lib/cias/notify").exists(), "nothing is kept");
}

#[test]
fn a_test_that_is_not_taken_says_by_which_way_and_whether_another_try_may_help() {
    for (answer, sendmail, code, reason) in [
        ("500 Oops", TAKES, 6, "the webhook answered 500"),
        ("404 Not Found", "exit 75", 1, "the webhook answered 404: look whether notify.webhook"),
        ("301 Moved", TAKES, 6, "the webhook answered 301, which leads elsewhere"),
    ] {
        let (port, told) = webhook(match answer {
            "500 Oops" => &["500 Oops"],
            "404 Not Found" => &["404 Not Found"],
            _ => &["301 Moved"],
        });
        let node = node(port, sendmail);
        let (stdout, stderr) = node.wants(code, &["notify", "test", "--json"]);
        next(&told);
        let found: Value = serde_json::from_str(&stdout).unwrap();
        let hook = &found["ways"][1];
        assert!(hook["reason"].as_str().unwrap().starts_with(reason), "{stdout}");
        assert_eq!((&hook["taken"], &hook["later"]), (&false.into(), &(code == 6).into()), "{stdout}");
        assert_eq!(found["ways"][0]["taken"], sendmail == TAKES, "{stdout}");
        assert!(
            stderr.contains("error: not taken by: ") && !(stdout + &stderr).contains("T0KEN"),
            "{stderr}"
        );
    }
    let node = Node::new("fresh-node", "[notify]\nrelay_port = 465\n");
    assert!(node.wants(3, &["notify", "test"]).1.contains("notify.relay_port: found 465, wanted 587"));
}

#[test]
fn a_step_that_fails_is_told_once_and_what_is_not_taken_is_kept() {
    let (port, told) = webhook(&["200 OK"]);
    let hook = format!("[notify]\nwebhook = \"http://127.0.0.1:{port}/T0KEN\"\n");
    let node =
        Node::new("fresh-node", &format!("[role]\nfounder = {{ mac = \"52:54:00:00:00:02\" }}\n{hook}"));
    node.answers("wget", Some("exec /usr/bin/wget \"$@\""));
    node.answers("sendmail", Some("echo full >&2; exit 75"));
    node.answers("hostname", Some("exit 1"));
    for _ in 0..2 {
        node.wants(1, &["run"]);
    }
    let body = next(&told).body;
    assert_eq!(body["event"], "step-failed");
    assert_eq!(body["node"], "pve-rack-a-0-1.example.com");
    assert_eq!((&body["role"], &body["step"]), (&"founder".into(), &"name the running system".into()));
    assert!(body["reason"].as_str().unwrap().contains("`hostname "), "{body}");
    assert_eq!(body["next_try"], "by the agent, after 30 s and then pauses up to 10 minutes");
    let log = node.read("var/log/cias/firstboot.log");
    assert_eq!(log.matches("was not sent and is kept: sendmail: exit code 75: full").count(), 1, "{log}");
    assert!(!log.contains("T0KEN"), "{log}");
    assert_eq!(kept(&node), 1);
}

#[test]
fn the_relay_is_postfixs_after_a_boot_and_stays_so() {
    let relay = "[role]\nfounder = { mac = \"52:54:00:00:00:02\" }\n[notify]\nrelay = \"mail.example.com\"\nrelay_port = 587\nrelay_user = \"cias\"\n";
    let node = Node::new("fresh-node", relay);
    let file = node.path("etc/cias/site.toml");
    let site = std::fs::read_to_string(&file).unwrap();
    let with = site.replace("[site.secrets]\n", "[site.secrets]\nrelay_password = \"correct-horse9\"\n");
    std::fs::write(&file, with).unwrap();
    std::fs::create_dir_all(node.path("usr/sbin")).unwrap();
    std::fs::write(node.path("usr/sbin/postfix"), "").unwrap();
    let (_, stderr) = node.wants(0, &["run"]);
    assert!(stderr.contains(": send mail through the site's relay\n"), "{stderr}");
    assert!(stderr.contains("libsasl2-modules") && stderr.contains("`service postfix start`"), "{stderr}");
    let main = node.read("etc/postfix/main.cf");
    assert!(
        main.contains("relayhost = [mail.example.com]:587\nsmtp_tls_security_level = encrypt\n"),
        "{main}"
    );
    assert_eq!(node.read("etc/postfix/cias-relay"), "[mail.example.com]:587 cias:correct-horse9\n");
    let before = node.snapshot();
    node.wants(0, &["run"]);
    node.wants(0, &["run", "--stage", "identity", "--again"]);
    assert_eq!(node.snapshot(), before);
    let said = node.read("calls")
        + &node.read("var/log/cias/firstboot.log")
        + &node.read("var/lib/cias/journal.json");
    assert!(!said.contains("correct-horse9"), "{said}");
}

#[test]
fn the_agent_sends_what_others_have_kept_also_after_it_was_started_anew() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut server = Server::new(&mut wire, 1, "");
    server.node.answers("sendmail", Some("exit 75"));
    server.waits_until_settled();
    wait("the founding, kept", || (kept(&server.node) == 1).then_some(()));
    server.kill(nix::sys::signal::Signal::SIGKILL);
    std::fs::remove_file(server.node.path("etc/hostname")).unwrap();
    std::fs::create_dir(server.node.path("etc/hostname")).unwrap();
    assert_eq!(server.cias(&["run", "--stage", "identity", "--again"]), 1);
    assert_eq!(kept(&server.node), 2);
    std::fs::remove_dir(server.node.path("etc/hostname")).unwrap();
    std::fs::write(server.node.path("etc/hostname"), "pve-rack-a-0-1\n").unwrap();
    server.start();
    let log = || server.node.read("var/log/cias/agent.log");
    wait("a try in vain", || log().contains("was not sent and is tried again in ").then_some(()));
    server.node.answers("sendmail", Some(TAKES));
    wait("the mails", || (log().matches("was sent after all").count() == 2).then_some(()));
    wait("an empty queue", || (kept(&server.node) == 0).then_some(()));
    let mails = server.node.read("mails");
    assert!(mails.contains("the cluster DLLL-CIAS was founded\n"), "{mails}");
    assert!(mails.contains("write /etc/hostname failed\n"), "{mails}");
}
