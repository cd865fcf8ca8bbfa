//! What a person in front of the console sees: above the login prompt, and as lines while the machine comes up.

use std::io::IsTerminal;

use anyhow::Result;
use minijinja::context;

use crate::console::Console;
use crate::files;
use crate::render::render;
use crate::status::{Overall, Status};
use crate::system::System;

/// The text above the login prompt (agetty).
const FILE: &str = "/etc/issue";

/// Warnings shown; `cias status` has them all.
const WARNINGS: usize = 3;

/// Writes the banner of `status`, and tells it on the console.
pub fn show(system: &System, status: &Status) -> Result<()> {
    let lines = lines(status);
    files::write_if_changed(&system.root.path(FILE), text(status, &lines)?, 0o644)?;
    system.log.say(&status.headline());
    // A person who runs it has just read it; the output of a boot may be seen on one console only, or on none.
    if !std::io::stderr().is_terminal() {
        let kernel_line = system.root.text("/proc/cmdline").unwrap_or_default();
        let text: String = lines.iter().flat_map(|line| ["\ncias:   ", line]).collect();
        Console::open(&system.root.path("/dev"), &kernel_line)
            .say(&format!("\ncias: {}{text}", status.headline()));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Progress, Role, State};
    use crate::site::Place;

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
}
