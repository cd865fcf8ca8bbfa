//! What the stage *identity* will do: the files with their whole content, the host name, the services to release. Pure.

use anyhow::Result;
use minijinja::context;

use super::settle::Settled;
use super::steps::{HostName, Release, Remove, WriteFile};
use crate::facts::Facts;
use crate::journal::Role;
use crate::render::render;
use crate::site::{Place, Site};
use crate::step::Step;

/// What is already on the machine and is changed, not replaced.
#[derive(Clone, Debug, Default)]
pub struct Present {
    /// `/etc/postfix/main.cf`, if postfix is installed.
    pub postfix: Option<String>,
}

/// The plan. `cias plan` prints it and `cias run` applies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What this node is.
    pub role: Role,
    /// Who it is; nothing while it waits.
    pub place: Option<Place>,
    /// Why it waits.
    pub reason: Option<String>,
    files: Vec<(&'static str, String)>,
}

impl Plan {
    /// Plans for a machine. While it waits it gets its bridge without an address: the one that the vendor's installer gave
    /// it is the founder's.
    pub fn new(site: &Site, facts: &Facts, settled: Settled, present: &Present) -> Result<Self> {
        let (role, place, reason) = match settled {
            Settled::Founder(place) => (Role::Founder, Some(place), None),
            Settled::Node(place, _) => (Role::Node, Some(place), None),
            Settled::Waiting(reason) => (Role::Waiting, None, Some(reason)),
        };
        let mut files = vec![
            (
                "/etc/udev/rules.d/70-persistent-net.rules",
                render(
                    "70-persistent-net.rules",
                    include_str!("../../../overlay/templates/70-persistent-net.rules.j2"),
                    context! { nics => facts.nics },
                )?,
            ),
            ("/etc/network/interfaces", interfaces(site, facts, place.as_ref())?),
        ];
        if let Some(place) = &place {
            files.extend(named(site, place)?);
            if let Some(text) = &present.postfix {
                files.push(("/etc/postfix/main.cf", postfix(text, &place.fqdn)));
            }
        }
        Ok(Self { role, place, reason, files })
    }

    /// The steps that bring the plan about, in their order.
    pub fn steps(&self) -> Vec<Box<dyn Step>> {
        let mut steps: Vec<Box<dyn Step>> = Vec::new();
        for (path, content) in &self.files {
            steps.push(Box::new(WriteFile::new(path, content.clone())));
        }
        steps.push(Box::new(Remove::new("/etc/network/interfaces.new")));
        if let Some(place) = &self.place {
            steps.push(Box::new(HostName(place.name.clone())));
            steps.push(Box::new(Release));
        }
        steps
    }
}

fn interfaces(site: &Site, facts: &Facts, place: Option<&Place>) -> Result<String> {
    let net = &site.network;
    render(
        "interfaces",
        include_str!("../../../overlay/templates/interfaces.j2"),
        context! {
            nics => facts.nics,
            miimon => net.bond_miimon,
            mode => net.bond_mode,
            address => place.map(|place| place.address),
            netmask => net.lan.mask(),
            gateway => net.gateway,
        },
    )
}

/// The files that hold the name. Who is Master moves, and its role address with it: that is what everybody knows it by.
fn named(site: &Site, place: &Place) -> Result<[(&'static str, String); 4]> {
    let hosts = render(
        "hosts",
        include_str!("../../../overlay/templates/hosts.j2"),
        context! { address => place.address, fqdn => place.fqdn, name => place.name, master => site.network.vip },
    )?;
    let resolvers = render(
        "resolv.conf",
        include_str!("../../../overlay/templates/resolv.conf.j2"),
        context! { domain => site.site.domain, dns => site.network.dns },
    )?;
    Ok([
        ("/etc/hostname", format!("{}\n", place.name)),
        ("/etc/hosts", hosts),
        ("/etc/resolv.conf", resolvers),
        ("/etc/mailname", format!("{}\n", place.fqdn)),
    ])
}

/// `main.cf` with `fqdn` as its `myhostname`; all other lines stay as they are.
fn postfix(text: &str, fqdn: &str) -> String {
    let wanted = format!("myhostname={fqdn}");
    let is_name = |line: &str| line.split_once('=').is_some_and(|(key, _)| key.trim_end() == "myhostname");
    let mut lines: Vec<&str> = Vec::new();
    let mut placed = false;
    for line in text.lines() {
        if !is_name(line) {
            lines.push(line);
        } else if !placed {
            lines.push(&wanted);
            placed = true;
        }
    }
    if !placed {
        lines.push(&wanted);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::settle::{Decision, settle, tests::facts};
    use super::*;
    use crate::site::{from_text, tests::example};

    fn plan(more: &str, macs: &[&str]) -> Plan {
        decided(more, macs, None)
    }

    fn decided(more: &str, macs: &[&str], decision: Option<&Decision>) -> Plan {
        let site = from_text(&(example() + more)).unwrap();
        let facts = facts(macs, Some("LAB-1"));
        let settled = settle(&site, &facts, decision, Vec::new).unwrap();
        let postfix = "myhostname=old.example.com\nmydestination = $myhostname\nmyhostname = x\n".to_owned();
        Plan::new(&site, &facts, settled, &Present { postfix: Some(postfix) }).unwrap()
    }

    /// Compares all files of a plan, in one text, with a fixture; `CIAS_BLESS=1` writes the fixture.
    fn assert_renders(plan: &Plan, fixture: &str) {
        let path = format!("{}/tests/fixtures/rendered/{fixture}", env!("CARGO_MANIFEST_DIR"));
        let parts: Vec<String> =
            plan.files.iter().map(|(path, content)| format!("==> {path} <==\n{content}")).collect();
        let found = parts.concat();
        if std::env::var_os("CIAS_BLESS").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == wanted, "{path} is not what was rendered:\n{found}");
    }

    const PIN: &str = "[role]\nfounder = { serial = \"LAB-1\" }\n";
    const MACS: [&str; 2] = ["52:54:00:00:00:01", "52:54:00:00:00:02"];

    #[test]
    fn the_founders_files() {
        assert_renders(&plan(PIN, &MACS), "founder-two-ports.txt");
    }

    #[test]
    fn the_founders_files_with_one_port_and_another_bond() {
        let more = "[network]\nbond_mode = \"802.3ad\"\nbond_miimon = 50\n[[nodes.machine]]\nserial = \"LAB-1\"\nrack = \"b7\"\n";
        assert_renders(&plan(&format!("{more}{PIN}"), &MACS[..1]), "founder-one-port-802.3ad.txt");
    }

    #[test]
    fn a_nodes_files_name_the_role_address_whoever_gave_it_its_place() {
        let decision = Decision::Offered {
            address: [10, 254, 1, 7].into(),
            name: "pve-rack-a-1-7".into(),
            master: [10, 254, 0, 1].into(),
        };
        let plan = decided("", &MACS, Some(&decision));
        assert_eq!(plan.role, Role::Node);
        assert_renders(&plan, "node-two-ports.txt");
    }

    #[test]
    fn a_waiting_server_gets_a_bridge_without_an_address_and_no_name() {
        let plan = plan("", &MACS);
        assert_renders(&plan, "waiting-two-ports.txt");
        assert_eq!((plan.role, &plan.place), (Role::Waiting, &None));
        assert!(!plan.steps().iter().any(|step| step.name().contains("services")));
    }
}
