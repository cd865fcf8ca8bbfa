//! Answers from the Master's address outside leave by the gateway there: a table of routes of its own, and a rule for that source. keepalived 1.2.2
//! knows no rules (docs/facts.md 17).
//!
//! What the bridge reaches by itself is in the table too, for a client in one of those networks is not behind the gateway.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;

use super::BRIDGE;
use crate::runner::{Call, Runner};
use crate::site::{Interface, Net, Network};

/// The table, which nothing else uses, and the rank of the rule, which is before those of the kernel.
const TABLE: &str = "7322";

/// The kernel answers at once.
const LIMIT: Duration = Duration::from_secs(10);

/// The way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    wan: Interface,
    gateway: Ipv4Addr,
    lan: Network,
}

impl Way {
    /// Of a site with an address outside.
    pub fn of(net: &Net) -> Option<Self> {
        let (wan, gateway) = net.wan_address.zip(net.wan_gateway)?;
        Some(Self { wan, gateway, lan: net.lan })
    }

    /// For people.
    pub fn sentence(&self) -> String {
        format!("what comes from {} leaves by {}", self.wan.address, self.gateway)
    }

    /// Adds what is not there, and takes away rules for an address that the site had before.
    pub fn add(&self, runner: &dyn Runner) -> Result<()> {
        let own = self.wan.address.to_string();
        for (network, source) in [(self.wan.network, Some(&own)), (self.lan, None)] {
            let route = format!("{}/{}", network.base, network.prefix);
            let call = ip("route").args(["replace", &route, "dev", BRIDGE, "table", TABLE]);
            runner.run(&match source {
                Some(source) => call.args(["src", source]),
                None => call,
            })?;
        }
        let gateway = self.gateway.to_string();
        let default = ["replace", "default", "via", &gateway, "dev", BRIDGE, "src", &own, "table", TABLE];
        runner.run(&ip("route").args(default))?;
        let sources = sources(&runner.run(&ip("rule").arg("show"))?.stdout);
        let mut is_there = false;
        for source in sources {
            if source == own && !is_there {
                is_there = true;
            } else {
                forget(runner, &source)?;
            }
        }
        if !is_there {
            runner.run(&ip("rule").args(["add", "from", &own, "table", TABLE, "priority", TABLE]))?;
        }
        Ok(())
    }
}

/// Takes away all that [`Way::add`] may have added, for any address. Returns whether there was something.
pub fn remove(runner: &dyn Runner) -> Result<bool> {
    let sources = sources(&runner.run(&ip("rule").arg("show"))?.stdout);
    for source in &sources {
        forget(runner, source)?;
    }
    // Newer versions call it an error where the table was never used.
    let routes = runner.outcome(&ip("route").args(["show", "table", TABLE]))?;
    let has_routes = routes.code == 0 && !routes.stdout.trim().is_empty();
    if has_routes {
        runner.run(&ip("route").args(["flush", "table", TABLE]))?;
    }
    Ok(has_routes || !sources.is_empty())
}

fn ip(what: &str) -> Call {
    Call::new("ip").arg(what).limit(LIMIT)
}

fn forget(runner: &dyn Runner, source: &str) -> Result<()> {
    runner.run(&ip("rule").args(["del", "from", source, "table", TABLE])).map(drop)
}

/// The sources of the rules that lead to our table, in lines of `7322: from 192.168.56.101 lookup 7322`.
fn sources(rules: &str) -> Vec<String> {
    let words = rules.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter_map(|words| match words[..] {
            [_, "from", source, .., "lookup", table] if table == TABLE => Some(source.to_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};

    const KERNEL: &str =
        "0:\tfrom all lookup local \n32766:\tfrom all lookup main \n32767:\tfrom all lookup default \n";

    fn way() -> Way {
        let more = "[network]\nwan_address = \"192.168.56.101/24\"\nwan_gateway = \"192.168.56.1\"\n";
        Way::of(&from_text(&(example() + more)).unwrap().network).unwrap()
    }

    fn rules(sources: &[&str]) -> String {
        let own: Vec<String> =
            sources.iter().map(|source| format!("7322:\tfrom {source} lookup 7322 \n")).collect();
        own.concat() + KERNEL
    }

    #[test]
    fn one_rule_is_left_whatever_was_there() {
        const DEL: &str = "ip rule del from 192.168.56.101 table 7322";
        const OLD: &str = "ip rule del from 192.168.56.9 table 7322";
        const ADD: &str = "ip rule add from 192.168.56.101 table 7322 priority 7322";
        for (there, wanted) in [
            (&[][..], &[ADD][..]),
            (&["192.168.56.101"], &[]),
            (&["192.168.56.101", "192.168.56.101"], &[DEL]),
            (&["192.168.56.9"], &[OLD, ADD]),
        ] {
            let fake = Fake::default().prints("ip rule show", &rules(there));
            way().add(&fake).unwrap();
            let lines = fake.lines();
            assert_eq!(
                lines[..4],
                [
                    "ip route replace 192.168.56.0/24 dev vmbr0 table 7322 src 192.168.56.101",
                    "ip route replace 10.0.0.0/8 dev vmbr0 table 7322",
                    "ip route replace default via 192.168.56.1 dev vmbr0 src 192.168.56.101 table 7322",
                    "ip rule show",
                ]
            );
            assert_eq!(lines[4..], *wanted, "{there:?}");
        }
    }

    #[test]
    fn nothing_of_ours_is_left_and_nothing_else_is_touched() {
        let fake = Fake::default()
            .prints("ip rule show", &rules(&["192.168.56.101", "192.168.56.9"]))
            .prints("ip route show", "default via 192.168.56.1 dev vmbr0 \n");
        assert!(remove(&fake).unwrap());
        assert_eq!(
            fake.lines(),
            [
                "ip rule show",
                "ip rule del from 192.168.56.101 table 7322",
                "ip rule del from 192.168.56.9 table 7322",
                "ip route show table 7322",
                "ip route flush table 7322",
            ]
        );
        let fake = Fake::default().prints("ip rule show", KERNEL).fails("ip route show", 2, "no such table");
        assert!(!remove(&fake).unwrap());
        assert_eq!(fake.lines(), ["ip rule show", "ip route show table 7322"]);
    }
}
