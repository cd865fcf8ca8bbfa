//! What a person in front of the console sees: above the login prompt, and as lines while the machine comes up.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Result;
use minijinja::context;

use crate::agent::published::{self, Agent};
use crate::console::Console;
use crate::files;
use crate::render::render;
use crate::status::{Overall, Status};
use crate::system::{Sysroot, System};

/// The text above the login prompt (agetty).
const FILE: &str = "/etc/issue";

/// Whoever writes it holds the lock on this file: `cias run` and the agent both do.
const LOCK: &str = "/var/lib/cias/issue.lock";

/// Warnings shown; `cias status` has them all.
const WARNINGS: usize = 3;

/// Writes the banner of `status`, and tells it on the console.
pub fn show(system: &System, status: &Status) -> Result<()> {
    let told = lines(status);
    {
        let _turn = files::lock_in_turn(&system.root.path(LOCK))?;
        // What the agent says may be unreadable, and the banner then goes without it.
        let agent = published::read(&system.root).unwrap_or_default();
        write(&system.root, &Status { agent, ..status.clone() })?;
    }
    system.log.say(&status.headline());
    // A person who runs it has just read it; the output of a boot may be seen on one console only, or on none.
    if !std::io::stderr().is_terminal() {
        let kernel_line = system.root.text("/proc/cmdline").unwrap_or_default();
        let text: String = told.iter().flat_map(|line| ["\ncias:   ", line]).collect();
        Console::open(&system.root.path("/dev"), &kernel_line)
            .say(&format!("\ncias: {}{text}", status.headline()));
    }
    Ok(())
}

/// A refresh waits for its turn, and will see what was published until then.
static WAITS: AtomicBool = AtomicBool::new(false);

/// Brings the banner up to what the journal and the agent say now, in a thread of its own, because the disk may take its time and
/// an agent that falls silent is replaced. To be called whenever the agent has published a change; a banner that cannot be
/// written stops nothing.
pub fn refresh(root: &Sysroot) -> Option<JoinHandle<Result<()>>> {
    let root = root.clone();
    if WAITS.swap(true, Ordering::SeqCst) {
        return None;
    }
    Some(thread::spawn(move || {
        let turn = files::lock_in_turn(&root.path(LOCK));
        WAITS.store(false, Ordering::SeqCst);
        let _turn = turn?;
        write(&root, &Status::read(&root)?)
    }))
}

fn write(root: &Sysroot, status: &Status) -> Result<()> {
    let lines: Vec<String> =
        lines(status).into_iter().chain(status.agent.iter().flat_map(agent_lines)).collect();
    files::write_if_changed(&root.path(FILE), text(status, &lines)?, 0o644).map(drop)
}

fn text(status: &Status, lines: &[String]) -> Result<String> {
    let plain = |line: &str| line.replace(char::is_control, " ").replace('\\', "\\\\");
    let lines: Vec<String> = lines.iter().map(|line| plain(line)).collect();
    render(
        "issue",
        include_str!("../../overlay/templates/issue.j2"),
        context! { headline => plain(&status.headline()), lines => lines },
    )
}

fn lines(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(address), Overall::Done) = (status.address, status.state) {
        lines.push(format!("web interface: https://{address}:8006/"));
    }
    if let (Some(at), false) = (&status.step, status.state == Overall::Waiting) {
        lines.push(format!("step {} of {}: {}", at.number, at.of, at.name));
    }
    lines.extend(status.error.iter().map(|error| format!("reason: {error}")));
    lines.extend(status.warnings.iter().take(WARNINGS).map(|warning| format!("warning: {warning}")));
    if status.warnings.len() > WARNINGS {
        lines.push(format!("{} more warnings: `cias status`", status.warnings.len() - WARNINGS));
    }
    lines.extend(status.way_out.iter().map(|way_out| format!("way out: {way_out}")));
    lines
}

/// What the agent says. No counters of frames: each change writes the file anew.
fn agent_lines(agent: &Agent) -> Vec<String> {
    let it = &agent.published;
    if !agent.running {
        return vec![format!("agent: not running; it last said {}", it.phase)];
    }
    let link = if it.carrier { "" } else { " without a link" };
    let port = it.port.as_ref().map_or("no port yet".to_owned(), |port| format!("{port}{link}"));
    let mut lines =
        vec![format!("agent: {} on {port}, hears {} other servers of the site", it.phase, it.heard)];
    lines.push(match &it.leader {
        _ if it.phase == "serving" => "Master: this server".to_owned(),
        Some(leader) => format!("Master: {} ({}, priority {})", leader.id, leader.phase, leader.priority),
        None => "Master: none is heard".to_owned(),
    });
    let refused = it.refused.iter().map(|reason| format!("a Master refused this server: {reason}"));
    let rivals = it.rivals.iter().map(|id| format!("another founder or Master is there: {id}"));
    let hopeless = it.hopeless.iter().map(|why| format!("nobody here may found: {why}"));
    let twin = it.twin.then(|| "another machine says to be this one".to_owned());
    lines.extend(
        it.silent.iter().chain(&it.cluster).cloned().chain(refused).chain(rivals).chain(hopeless).chain(twin),
    );
    lines.extend(it.run.iter().cloned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::published::{Leader, Published};
    use crate::journal::{Progress, Role, State};
    use crate::site::Place;
    use crate::tree::Tree;

    #[test]
    fn the_banner_of_a_failed_node_names_role_address_step_reason_and_way_out() {
        let mut journal = State {
            role: Some(Role::Founder),
            place: Some(Place {
                address: [10, 254, 0, 1].into(),
                name: "pve-a-0-1".into(),
                fqdn: "pve-a-0-1.example.com".into(),
            }),
            ..State::default()
        };
        let stage = journal.stage_mut("identity");
        stage.progress = Progress::Failed;
        stage.reason = Some("step 1 of 1: write \\dev\u{7}x: broken".into());
        stage.steps = vec![crate::journal::Step {
            name: "write /etc/hosts".into(),
            progress: Progress::Failed,
            warnings: (1..=5).map(|number| format!("disk {number} was refused")).collect(),
        }];
        let status = Status::of(&journal, false);
        let wanted = "\nCIAS 0.1.0: pve-a-0-1.example.com (founder, 10.254.0.1): failed at step 1 of 1 of identity
  step 1 of 1: write /etc/hosts
  reason: step 1 of 1: write \\\\dev x: broken
  warning: disk 1 was refused
  warning: disk 2 was refused
  warning: disk 3 was refused
  2 more warnings: `cias status`
  way out: put right what the reason names, then `cias run` goes on there; all commands are in /var/log/cias/firstboot.log

";
        assert_eq!(text(&status, &lines(&status)).unwrap(), wanted);
    }

    #[test]
    fn the_agents_words_stand_below_and_follow_what_it_publishes() {
        let tree = Tree::from_text("/var/lib/cias/\n/etc/issue = Debian\n/run/cias/\n");
        let root = tree.root();
        let mut published = Published {
            phase: "candidate".into(),
            role: "waiting".into(),
            port: Some("bond0".into()),
            carrier: true,
            heard: 2,
            leader: Some(Leader { id: "ab12".into(), priority: 9, phase: "serving".into() }),
            refused: Some("all places are given; tried again in 15 s".into()),
            hopeless: vec!["the memory is 4.2 GB".into()],
            ..Published::of_this_process()
        };
        let shown = |published: &Published| {
            published.write(&root).unwrap();
            refresh(&root).unwrap().join().unwrap().unwrap();
            root.text(FILE).unwrap()
        };
        let wanted = "\nCIAS 0.1.0: a node without a name (unsettled): pending
  way out: `cias run` begins, as every boot does
  agent: candidate on bond0, hears 2 other servers of the site
  Master: ab12 (serving, priority 9)
  a Master refused this server: all places are given; tried again in 15 s
  nobody here may found: the memory is 4.2 GB

";
        assert_eq!(shown(&published), wanted);
        published.dropped.forged = 7;
        let inode = || std::os::unix::fs::MetadataExt::ino(&root.path(FILE).metadata().unwrap());
        let before = inode();
        shown(&published);
        assert_eq!(inode(), before, "a counter of frames alone must not write to the disk");
        published = Published { phase: "serving".into(), refused: None, hopeless: vec![], ..published };
        let text = shown(&published);
        assert!(
            text.contains(
                "  agent: serving on bond0, hears 2 other servers of the site\n  Master: this server\n\n"
            ),
            "{text}"
        );
        published.pid = 0;
        let text = shown(&published);
        assert!(text.contains("  agent: not running; it last said serving\n"), "{text}");
    }
}
