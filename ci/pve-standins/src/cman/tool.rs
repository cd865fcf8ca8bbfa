//! A stand-in for `cman_tool` (pve-3.2-tools.md 3.1).

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Answer, Question, SOCKET, Status, ask, daemon};
use crate::args::Args;

/// Version of the interface that cman 3.2 tells.
const VERSION: &str = "6.2.0";

/// Runs one command.
pub fn run(mut args: Args) -> Result<u8> {
    // For tests.
    let socket = args.value("--socket").map_or_else(|| PathBuf::from(SOCKET), PathBuf::from);
    let Some(command) = args.next() else { return Ok(usage()) };
    let question = |question: &Question| -> Result<Option<Answer>> {
        let answer = ask(&socket, question);
        if answer.is_err() {
            eprintln!("cman_tool: Cannot open connection to cman, is it running ?");
        }
        Ok(answer.ok())
    };
    let status = || -> Result<Option<Status>> {
        Ok(match question(&Question::Status)? {
            Some(Answer::Status(status)) => Some(*status),
            _ => None,
        })
    };
    match command.as_str() {
        "status" => Ok(shown(status()?.map(|status| status_text(&status)))),
        "nodes" => Ok(shown(status()?.map(|status| nodes_text(&status)))),
        "wait" => {
            let quorum = args.flag("-q");
            let limit = args.value("-t").and_then(|text| text.parse().ok()).map(Duration::from_secs);
            wait(quorum, limit, || match ask(&socket, &Question::Status) {
                Ok(Answer::Status(status)) => Some(status.quorate),
                _ => None,
            })
        }
        "expected" => {
            let Some(votes) = args.value("-e").and_then(|text| text.parse().ok()) else { return Ok(usage()) };
            Ok(match question(&Question::Expected(votes))? {
                Some(Answer::Fine) => 0,
                Some(_) => {
                    eprintln!("cman_tool: can't set expected votes: Invalid argument");
                    1
                }
                None => 1,
            })
        }
        "leave" => {
            let remove = args.flag("remove");
            Ok(u8::from(question(&Question::Leave(remove))?.is_none()))
        }
        "version" => {
            let text = || {
                status().map(|status| {
                    status.map(|status| format!("{VERSION} config {}\n", status.config_version))
                })
            };
            if args.value("-r").is_some() || args.flag("-r") {
                return Ok(u8::from(question(&Question::Reread)?.is_none()));
            }
            Ok(shown(text()?))
        }
        "join" => daemon::run(Args { program: "cmand".to_owned(), words: args.words }),
        _ => Ok(usage()),
    }
}

fn usage() -> u8 {
    eprintln!("Usage: cman_tool <join|leave|expected|version|wait|status|nodes> [options]");
    1
}

fn shown(text: Option<String>) -> u8 {
    text.map(|text| print!("{text}")).map_or(1, |()| 0)
}

/// Waits until cman is there, and quorate if wanted; 2 when the time is up.
fn wait(quorum: bool, limit: Option<Duration>, quorate: impl Fn() -> Option<bool>) -> Result<u8> {
    let start = Instant::now();
    loop {
        match quorate() {
            Some(quorate) if quorate || !quorum => return Ok(0),
            None if limit.is_none() => {
                eprintln!("cman_tool: Cannot open connection to cman, is it running ?");
                return Ok(1);
            }
            _ if limit.is_some_and(|limit| start.elapsed() >= limit) => {
                eprintln!("cman_tool: Timed-out waiting for cluster");
                return Ok(2);
            }
            _ => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn status_text(status: &Status) -> String {
    let activity = if status.quorate { " " } else { "Activity blocked" };
    let flags = if status.two_node { "2node " } else { "" };
    let (high, low) = (status.cluster_id >> 8, status.cluster_id % 255);
    let members = status.nodes.iter().filter(|node| node.member).count();
    let lines = [
        ("Version", VERSION.to_owned()),
        ("Config Version", status.config_version.to_string()),
        ("Cluster Name", status.cluster.clone()),
        ("Cluster Id", status.cluster_id.to_string()),
        ("Cluster Member", "Yes".to_owned()),
        ("Cluster Generation", status.generation.to_string()),
        ("Membership state", "Cluster-Member".to_owned()),
        ("Nodes", members.to_string()),
        ("Expected votes", status.expected.to_string()),
        ("Total votes", status.total.to_string()),
        ("Node votes", status.votes.to_string()),
        ("Quorum", format!("{} {activity}", status.quorum)),
        ("Active subsystems", "5".to_owned()),
        ("Flags", flags.to_owned()),
        ("Ports Bound", "0 ".to_owned()),
        ("Node name", status.name.clone()),
        ("Node ID", status.id.to_string()),
        ("Multicast addresses", format!("239.192.{high}.{low} ")),
        ("Node addresses", format!("{} ", status.address)),
    ];
    lines.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key}: {value}");
        text
    })
}

fn nodes_text(status: &Status) -> String {
    let mut text = "Node  Sts   Inc   Joined               Name\n".to_owned();
    for node in &status.nodes {
        let state = if node.member { 'M' } else { 'X' };
        let joined = if node.member { date(node.joined) } else { String::new() };
        let _ =
            writeln!(text, "{:4}   {state}  {:5}   {joined:19}  {}", node.id, node.incarnation, node.name);
    }
    text
}

/// Seconds since 1970 as a date of the universal time; the vendor's shows local time.
fn date(seconds: u64) -> String {
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', "")
}
