//! Which priority a node has. Pure.
//!
//! Each node should have another one: nodes of the same priority all begin to send at the same time when the Master dies, and all but one go back
//! at once (docs/facts.md 17). What the site file says of one server counts as it is. What it says of all servers, or what follows from the
//! hardware, is spread by the node's place: the founder has the number itself, and each place after it the next lower one that no entry has.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::Result;

use crate::facts::minimum;
use crate::hello::ledger::Places;
use crate::site::{Place, Site, Who};

/// The priority of the machine `who` at `place`; 0 is none: it takes no part. `misses` tells what its hardware lacks, and is asked only where that
/// decides. Who was pinned as the founder is to be a Master, whatever its hardware is.
pub fn priority(
    site: &Site,
    who: &Who,
    place: &Place,
    misses: impl FnOnce() -> Result<Vec<String>>,
) -> Result<u8> {
    if let Some(own) = site.machine(who)?.and_then(|machine| machine.priority) {
        return Ok(own);
    }
    let all = match site.role.priority {
        Some(all) => all,
        None if site.is_founder(who) || misses()?.is_empty() => minimum::PRIORITY,
        None => 0,
    };
    Ok(spread(site, place.address, all))
}

/// The number for `address` among 1 to `all`; those after the last number begin anew.
fn spread(site: &Site, address: Ipv4Addr, all: u8) -> u8 {
    let taken: BTreeSet<u8> = site.nodes.machine.iter().filter_map(|machine| machine.priority).collect();
    let free: Vec<u8> = (1..=all).rev().filter(|number| !taken.contains(number)).collect();
    let turn = turn(site, address).checked_rem(free.len());
    turn.and_then(|turn| free.get(turn).copied()).unwrap_or(all)
}

/// The how-manieth place of the site this is: the founder's, then what entries fix outside of the pool, then the pool.
fn turn(site: &Site, address: Ipv4Addr) -> usize {
    let fixed = site.nodes.machine.iter().filter_map(|machine| site.entry_place(machine));
    let outside = fixed.map(|place| place.address).filter(|fixed| !site.in_pool(*fixed));
    let pool = site.positions().into_iter().map(|position| site.address_of(position));
    std::iter::once(site.network.founder)
        .chain(outside)
        .chain(pool)
        .position(|one| one == address)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{from_text, tests::example};

    fn of(more: &str, serial: &str, address: [u8; 4], is_weak: bool) -> u8 {
        let site = from_text(&(example() + more)).unwrap();
        let who = Who { macs: Vec::new(), serial: Some(serial.into()) };
        let place = Place { address: address.into(), name: "n".into(), fqdn: "n.example.com".into() };
        let misses = || Ok(if is_weak { vec!["memory".to_owned()] } else { Vec::new() });
        priority(&site, &who, &place, misses).unwrap()
    }

    #[test]
    fn the_entry_counts_then_the_role_then_the_hardware() {
        let (founder, first) = ([10, 254, 0, 1], [10, 254, 1, 1]);
        let entry = "[[nodes.machine]]\nserial = \"S\"\npriority = 70\n";
        for (more, serial, address, is_weak, wanted) in [
            ("", "S", founder, false, 50),
            ("", "S", first, false, 49),
            ("", "S", first, true, 0),
            (entry, "S", first, true, 70),
            (&(entry.to_owned() + "[role]\npriority = 20\n"), "S", first, false, 70),
            ("[role]\npriority = 20\n", "S", first, true, 19),
            ("[role]\npriority = 0\n", "S", first, false, 0),
            ("[role]\npriority = 1\n", "S", first, false, 1),
            ("[role]\nfounder = { serial = \"S\" }\n", "S", founder, true, 50),
            ("[role]\nfounder = { serial = \"S\" }\npriority = 0\n", "S", founder, true, 0),
            ("[role]\nfounder = { serial = \"S\" }\n", "T", first, true, 0),
        ] {
            assert_eq!(of(more, serial, address, is_weak), wanted, "{more} {serial}");
        }
    }

    #[test]
    fn fifty_nodes_have_fifty_priorities_and_none_that_an_entry_has() {
        let more = "[[nodes.machine]]\nserial = \"A\"\npriority = 49\n[[nodes.machine]]\nserial = \"B\"\nposition = \"9-1\"\n";
        let outside = of(more, "B", [10, 254, 9, 1], false);
        let pool = (1..=47).map(|pos| of(more, "C", [10, 254, 1, pos], false));
        let all: BTreeSet<u8> =
            [of(more, "F", [10, 254, 0, 1], false), of(more, "A", [10, 254, 1, 48], false), outside]
                .into_iter()
                .chain(pool)
                .collect();
        assert_eq!((all.len(), all.first(), all.last()), (50, Some(&1), Some(&50)));
        // The next one has to share.
        assert_eq!(of(more, "C", [10, 254, 1, 48], false), 50);
    }
}
