//! What this machine may become: from the site file and its hardware. Pure.

use anyhow::Result;

use crate::facts::minimum;
use crate::site::{Site, Who};

/// Above every priority that can be configured.
const PINNED: u8 = 101;

/// What a machine may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// May it found?
    pub may_found: bool,
    /// 0 to 100, 101 if it is pinned.
    pub priority: u8,
    /// Why it may not found, each with its way out.
    pub obstacles: Vec<String>,
}

/// The standing of the machine `who`, whose hardware misses `misses` of the minimum.
pub fn standing(site: &Site, who: &Who, misses: &[String]) -> Result<Standing> {
    if site.is_founder(who) {
        return Ok(Standing { may_found: true, priority: PINNED, obstacles: Vec::new() });
    }
    let configured = site.machine(who)?.and_then(|machine| machine.priority).or(site.role.priority);
    let priority = configured.unwrap_or(if misses.is_empty() { minimum::PRIORITY } else { 0 });
    let mut obstacles = Vec::new();
    if let Some(pin) = site.role.founder_mac.as_ref().or(site.role.founder_serial.as_ref()) {
        obstacles.push(format!(
            "role.founder in /etc/cias/site.toml pins the machine with {pin}: switch that one on"
        ));
    }
    match (priority, configured) {
        (0, Some(_)) => {
            obstacles.push("its priority in /etc/cias/site.toml is 0, wanted 1 to 100".to_owned());
        }
        (0, None) => obstacles.extend(misses.iter().cloned()),
        _ => {}
    }
    Ok(Standing { may_found: obstacles.is_empty(), priority, obstacles })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{from_text, tests::example};

    #[test]
    fn pin_then_machine_then_role_then_hardware_decide() {
        let who = Who { macs: vec!["52:54:00:00:00:01".into()], serial: Some("S".into()) };
        let entry = "[[nodes.machine]]\nserial = \"S\"\npriority = 70\n";
        let weak = ["the memory is 4.2 GB, wanted 8 GB".to_owned(), "the disk".to_owned()];
        for (more, misses, wanted) in [
            ("", &weak[..0], (true, 50, "")),
            ("", &weak[..], (false, 0, "the memory is 4.2 GB, wanted 8 GB|the disk")),
            ("[role]\npriority = 20\n", &weak, (true, 20, "")),
            (
                "[role]\npriority = 0\n",
                &[],
                (false, 0, "its priority in /etc/cias/site.toml is 0, wanted 1 to 100"),
            ),
            (entry, &weak, (true, 70, "")),
            ("[role]\nfounder = { serial = \"S\" }\npriority = 0\n", &weak, (true, 101, "")),
            (
                "[role]\nfounder = { serial = \"T\" }\n",
                &[],
                (
                    false,
                    50,
                    "role.founder in /etc/cias/site.toml pins the machine with T: switch that one on",
                ),
            ),
        ] {
            let found = standing(&from_text(&(example() + more)).unwrap(), &who, misses).unwrap();
            assert_eq!(
                (found.may_found, found.priority, found.obstacles.join("|").as_str()),
                wanted,
                "{more}"
            );
        }
    }
}
