//! Who may join: `enrol.mode`, and what an administrator said about single machines. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::hello::MachineId;
use crate::site::{Site, Who};

/// The longest window, in minutes. One that seems longer was opened by a clock that is wrong, and counts as closed.
pub const LONGEST: u32 = 1440;

/// What was said about a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It asked, and nobody has answered yet.
    Pending,
    /// It may join.
    Approved,
    /// It may not, whatever the mode is.
    Denied,
}

impl Standing {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
        }
    }
}

/// A machine that asked or was decided about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// The machine.
    pub machine: MachineId,
    /// What was said about it.
    pub standing: Standing,
    /// Its host name, by the ledger.
    pub name: String,
    /// Its address, by the ledger.
    pub address: Ipv4Addr,
    /// NICs and serial number, as it told; empty before it asked.
    pub who: Who,
    /// When this was written, in seconds since 1970.
    pub since: u64,
}

/// All that the nodes share about enrolment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Until when the window is open, in seconds since 1970; 0 if it is closed.
    pub until: u64,
    /// By machine.
    pub applications: BTreeMap<MachineId, Application>,
}

impl Book {
    /// Is the window open at `now`, in seconds since 1970?
    pub fn is_open(&self, now: u64) -> bool {
        now < self.until && self.until - now <= u64::from(LONGEST) * 60
    }
}

/// May it join?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Passes,
    /// No, and why.
    Refused(&'static str, String),
    /// Not before an administrator said so: the request is to be kept.
    Pends(String),
}

/// Judges the machine that the ledger knows under `name`.
pub fn judge(
    site: &Site,
    book: &Book,
    machine: MachineId,
    who: &Who,
    name: &str,
    now: u64,
) -> Result<Verdict> {
    let standing = book.applications.get(&machine).map(|application| application.standing);
    if standing == Some(Standing::Denied) {
        return Ok(Verdict::Refused(
            "denied",
            format!(
                "{name} was denied by an administrator: `cias enrol approve {name}` on the Master lets it in"
            ),
        ));
    }
    Ok(match site.enrol.mode.as_str() {
        "open" => Verdict::Passes,
        "window" if book.is_open(now) => Verdict::Passes,
        "window" => Verdict::Refused(
            "closed",
            "enrol.mode is \"window\", and the window is closed: `cias enrol open --minutes 30` on the Master opens it".to_owned(),
        ),
        "list" if site.machine(who)?.is_some() => Verdict::Passes,
        "list" => {
            let marks: Vec<&str> = who.macs.iter().chain(&who.serial).map(String::as_str).collect();
            Verdict::Refused(
                "unlisted",
                format!(
                    "enrol.mode is \"list\", and found {}, wanted a MAC address or serial number of a [[nodes.machine]] in the Master's \
                     /etc/cias/site.toml: add an entry there",
                    crate::site::shown_value(&marks.join(", "))
                ),
            )
        }
        // "approve": whatever else there may be one day, asking a person is the safe answer.
        _ if standing == Some(Standing::Approved) => Verdict::Passes,
        _ => Verdict::Pends(format!(
            "enrol.mode is \"approve\", and nobody has approved {name} yet: `cias enrol approve {name}` on the Master lets it in"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{from_text, tests::example};

    const ID: MachineId = MachineId([7; 16]);
    const NOW: u64 = 1_400_000_000;

    fn book(until: u64, standing: Option<Standing>) -> Book {
        let application = standing.map(|standing| Application {
            machine: ID,
            standing,
            name: "pve-a-1-1".into(),
            address: [10, 254, 1, 1].into(),
            who: Who::default(),
            since: 1,
        });
        Book { until, applications: application.into_iter().map(|found| (ID, found)).collect() }
    }

    #[test]
    fn each_mode_and_each_word_of_an_administrator() {
        let day = u64::from(LONGEST) * 60;
        let listed = Who { macs: vec!["52:54:00:00:00:01".into()], serial: None };
        let by_serial = Who { macs: vec!["52:54:00:00:00:09".into()], serial: Some("S1".into()) };
        let other = Who { macs: vec!["52:54:00:00:00:02".into()], serial: None };
        let (approved, denied, pending) =
            (Some(Standing::Approved), Some(Standing::Denied), Some(Standing::Pending));
        for (mode, until, standing, who, wanted) in [
            ("open", 0, None, &other, "passes"),
            ("open", 0, denied, &other, "denied"),
            ("open", 0, pending, &other, "passes"),
            ("window", 0, None, &other, "closed"),
            ("window", NOW, None, &other, "closed"),
            ("window", NOW + 1, None, &other, "passes"),
            ("window", NOW + day, None, &other, "passes"),
            ("window", NOW + day + 1, None, &other, "closed"),
            ("window", NOW + 60, denied, &other, "denied"),
            ("window", 0, approved, &other, "closed"),
            ("list", 0, None, &listed, "passes"),
            ("list", 0, None, &by_serial, "passes"),
            ("list", 0, None, &other, "unlisted"),
            ("list", 0, approved, &other, "unlisted"),
            ("list", 0, denied, &listed, "denied"),
            ("approve", 0, None, &listed, "pends"),
            ("approve", 0, pending, &listed, "pends"),
            ("approve", 0, approved, &other, "passes"),
            ("approve", 0, denied, &other, "denied"),
        ] {
            let text = example()
                + &format!("[enrol]\nmode = \"{mode}\"\n[[nodes.machine]]\nmac = \"52:54:00:00:00:01\"\n")
                + "[[nodes.machine]]\nserial = \"S1\"\n";
            let site = from_text(&text).unwrap();
            let verdict = judge(&site, &book(until, standing), ID, who, "pve-a-1-1", NOW).unwrap();
            let found = match &verdict {
                Verdict::Passes => "passes",
                Verdict::Refused(kind, _) => kind,
                Verdict::Pends(_) => "pends",
            };
            assert_eq!(found, wanted, "{mode} {until} {standing:?} {verdict:?}");
        }
    }
}
