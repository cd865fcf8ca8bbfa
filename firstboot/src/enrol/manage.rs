//! `cias enrol open`, `close`, `approve`, `deny` and `list`: what an administrator says about who may join.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use serde::Serialize;

use super::policy::{Application, Book, Standing};
use super::store;
use crate::cluster::register;
use crate::hello::MachineId;
use crate::hello::ledger::{Ledger, State};
use crate::node;
use crate::outcome::Class;
use crate::site::{Site, Who};
use crate::system::Sysroot;

/// Opens the window for so many minutes; says what it did.
pub fn open(root: &Sysroot, minutes: u32) -> Result<String> {
    needs_window(&node::load_site(root)?)?;
    let until = store::now() + u64::from(minutes) * 60;
    store::set_window(root, until)?;
    Ok(format!("servers may join until {}", time(until)))
}

/// Closes the window; says what it did.
pub fn close(root: &Sysroot) -> Result<String> {
    needs_window(&node::load_site(root)?)?;
    store::set_window(root, 0)?;
    Ok("no more servers may join; joins that are under way go on".to_owned())
}

fn needs_window(site: &Site) -> Result<()> {
    if site.enrol.mode == "window" {
        return Ok(());
    }
    Err(Class::BadInput.error(format!(
        "{}: found enrol.mode = {:?}, which has no window, wanted \"window\": change it there on the Master, or use `cias enrol deny` for single servers",
        node::SITE,
        site.enrol.mode
    )))
}

/// Approves or denies the one machine that `who` means; says what it did.
pub fn decide(root: &Sysroot, who: &str, standing: Standing) -> Result<String> {
    let site = node::load_site(root)?;
    let (ledger, book) = (register::read(root)?, store::read(root)?);
    let machine = find(&machines(&ledger, &book), who)?.clone();
    let Machine { id, name, address, macs, serial, .. } = machine;
    let who = Who { macs, serial };
    store::set(
        root,
        &Application { machine: id, standing, name: name.clone(), address, who, since: store::now() },
    )?;
    let is_member = machine.place == State::Member.name();
    Ok(match standing {
        Standing::Denied if is_member => format!(
            "{name} is denied, and has joined already: it stays in the cluster, and may not join it anew"
        ),
        Standing::Denied => format!("{name} is denied, until `cias enrol approve {name}`"),
        _ if site.enrol.mode == "approve" => format!("{name} is approved: it joins when it asks next"),
        _ => format!(
            "{name} is approved; who may join is enrol.mode = {:?} in {}",
            site.enrol.mode,
            node::SITE
        ),
    })
}

/// What `cias enrol list` shows.
#[derive(Clone, Debug, Serialize)]
pub struct List {
    /// `enrol.mode`.
    pub mode: String,
    /// Until when the window is open, if it is, in seconds since 1970.
    pub open_until: Option<u64>,
    /// By address.
    pub machines: Vec<Machine>,
}

/// A machine with a place.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Its id.
    pub id: MachineId,
    /// Its host name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its network cards, once it has asked.
    pub macs: Vec<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// `offered` or `member`.
    pub place: &'static str,
    /// `pending`, `approved` or `denied`, if anything was said.
    pub standing: Option<Standing>,
    /// Since when, in seconds since 1970.
    pub since: Option<u64>,
}

/// Reads it.
pub fn list(root: &Sysroot) -> Result<List> {
    let site = node::load_site(root)?;
    let (ledger, book) = (register::read(root)?, store::read(root)?);
    let open_until = (site.enrol.mode == "window" && book.is_open(store::now())).then_some(book.until);
    Ok(List { mode: site.enrol.mode, open_until, machines: machines(&ledger, &book) })
}

impl fmt::Display for List {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "mode: {}", self.mode)?;
        match (self.mode.as_str(), self.open_until) {
            ("window", Some(until)) => writeln!(out, ", open until {}", time(until))?,
            ("window", None) => writeln!(out, ", closed")?,
            _ => writeln!(out)?,
        }
        for machine in &self.machines {
            let standing = machine.standing.map_or("-", Standing::name);
            let marks: Vec<&str> = machine.macs.iter().chain(&machine.serial).map(String::as_str).collect();
            writeln!(
                out,
                "{:<15} {:<24} {:<8} {:<8} {} {}",
                machine.address.to_string(),
                machine.name,
                machine.place,
                standing,
                machine.id,
                crate::site::visible(&marks.join(" "))
            )?;
        }
        Ok(())
    }
}

/// All machines that have a place and were not removed, with what was said about them.
fn machines(ledger: &Ledger, book: &Book) -> Vec<Machine> {
    let machine = |entry: &crate::hello::ledger::Entry| {
        let said = book.applications.get(&entry.machine);
        Machine {
            id: entry.machine,
            name: entry.place.name.clone(),
            address: entry.place.address,
            macs: said.map(|said| said.who.macs.clone()).unwrap_or_default(),
            serial: entry.serial.clone().or_else(|| said.and_then(|said| said.who.serial.clone())),
            place: entry.state.name(),
            standing: said.map(|said| said.standing),
            since: said.map(|said| said.since),
        }
    };
    ledger.entries().filter(|entry| entry.state != State::Retired).map(machine).collect()
}

/// The one machine that `who` means.
fn find<'a>(machines: &'a [Machine], who: &str) -> Result<&'a Machine> {
    let lower = who.to_ascii_lowercase();
    // A machine is known by its lowest MAC address even before it has told all of them.
    let by_mac = MachineId::of(std::slice::from_ref(&lower));
    let means = |machine: &&Machine| {
        machine.name == lower
            || machine.address.to_string() == who
            || machine.id.to_string() == lower
            || machine.macs.contains(&lower)
            || by_mac == Some(machine.id)
            || machine.serial.as_deref() == Some(who)
    };
    let found: Vec<&Machine> = machines.iter().filter(means).collect();
    let (what, candidates) = match found[..] {
        [one] => return Ok(one),
        [] => ("no server", machines.iter().collect()),
        _ => ("several servers", found),
    };
    let listed: Vec<String> = candidates
        .iter()
        .map(|machine| format!("{} ({}, machine {})", machine.name, machine.address, machine.id))
        .collect();
    let listed = if listed.is_empty() { "no server has a place yet".to_owned() } else { listed.join("; ") };
    Err(Class::BadInput.error(format!(
        "found {what} by {}, wanted the name, address, MAC address, serial number or machine id of one of: {listed}",
        crate::site::shown_value(who)
    )))
}

fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(byte: u8, name: &str, serial: Option<&str>, macs: &[&str]) -> Machine {
        Machine {
            id: MachineId([byte; 16]),
            name: name.to_owned(),
            address: [10, 254, 1, byte].into(),
            macs: macs.iter().map(|mac| (*mac).to_owned()).collect(),
            serial: serial.map(ToOwned::to_owned),
            place: "offered",
            standing: None,
            since: None,
        }
    }

    #[test]
    fn a_server_is_meant_by_any_of_its_marks_and_only_one_may_be() {
        let mut all = vec![
            machine(1, "pve-a-1-1", Some("S1"), &["52:54:00:00:00:01"]),
            machine(2, "pve-a-1-2", Some("SAME"), &[]),
            machine(3, "pve-a-1-3", Some("SAME"), &[]),
        ];
        all[1].id = MachineId::of(&["52:54:00:00:00:0a".to_owned()]).unwrap();
        for (who, wanted) in [
            ("pve-a-1-1", Some("pve-a-1-1")),
            ("PVE-A-1-1", Some("pve-a-1-1")),
            ("10.254.1.3", Some("pve-a-1-3")),
            ("52:54:00:00:00:01", Some("pve-a-1-1")),
            ("52:54:00:00:00:0A", Some("pve-a-1-2")),
            ("S1", Some("pve-a-1-1")),
            ("03030303030303030303030303030303", Some("pve-a-1-3")),
            ("SAME", None),
            ("pve-a-1", None),
            ("", None),
        ] {
            let found = find(&all, who);
            assert_eq!(found.as_ref().ok().map(|machine| machine.name.as_str()), wanted, "{who}");
            if let Err(error) = found {
                assert_eq!(Class::of(&error), Class::BadInput);
                assert!(error.to_string().contains("pve-a-1-2 (10.254.1.2, machine "), "{error}");
            }
        }
        assert!(find(&[], "x").unwrap_err().to_string().contains("no server has a place yet"));
    }
}
