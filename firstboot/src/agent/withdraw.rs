//! A founder that has stopped for another one gives up what both have: keepalived, the service of the enrolment, the founder's address, and
//! the metadata server. Who asks for that address is to reach the one that goes on.

use anyhow::Result;

use super::arrive::Ended;
use super::port::{self, Own};
use crate::enrol::service;
use crate::journal::{self, Role};
use crate::keepalived;
use crate::moosefs;
use crate::outcome;
use crate::runner::Call;
use crate::system::System;

/// Gives all of it up, until the next boot. What is gone already is left alone.
pub fn withdraw(system: &System) -> Ended {
    withdraw_from(system, &port::addresses())
}

fn withdraw_from(system: &System, owned: &[Own]) -> Ended {
    // The metadata server last: who goes on is found sooner, and this one may write for a while.
    let result = outcome::all([
        keepalived::step::end(system),
        service::end(system),
        release(system, owned),
        moosefs::end::end_master(system),
    ]);
    result.map_or_else(|error| Ended::Failed(error.to_string()), |()| Ended::Withdrawn)
}

fn release(system: &System, owned: &[Own]) -> Result<()> {
    let state = journal::read(&system.root)?.unwrap_or_default();
    let (Some(Role::Founder), Some(place)) = (state.role, state.place) else { return Ok(()) };
    for own in owned.iter().filter(|own| own.address == place.address) {
        let address = format!("{}/{}", own.address, own.prefix);
        system.runner.run(&Call::new("ip").args(["addr", "del", &address, "dev", &own.port]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::tree::Tree;

    #[test]
    fn a_founder_gives_up_its_address_and_a_node_keeps_its_own() {
        let own =
            |port: &str, address: [u8; 4]| Own { port: port.into(), address: address.into(), prefix: 8 };
        let owned = [own("lo", [127, 0, 0, 1]), own("vmbr0", [10, 254, 0, 1])];
        let deleted = vec!["ip addr del 10.254.0.1/8 dev vmbr0"];
        for (role, address, wanted) in [
            ("founder", "10.254.0.1", deleted),
            ("founder", "10.254.0.2", vec![]),
            ("node", "10.254.0.1", vec![]),
        ] {
            let journal = format!(
                r#"{{"schema": 1, "role": "{role}", "place": {{"address": "{address}", "name": "n", "fqdn": "n.x"}}, "stages": []}}"#
            );
            let tree = Tree::from_text(&format!("/var/lib/cias/journal.json = {journal}\n"));
            let (fake, log) = (Fake::default(), Log::silent());
            let system = System { root: tree.root(), runner: &fake, log: &log };
            assert_eq!(withdraw_from(&system, &owned), Ended::Withdrawn);
            assert_eq!(fake.lines(), wanted);
        }
    }

    #[test]
    fn no_metadata_server_goes_on() {
        let tree = Tree::from_text("/usr/sbin/mfsmaster = x\n/usr/sbin/mfscgiserv = x\n");
        let runs = std::sync::atomic::AtomicBool::new(true);
        let answer = move |line: &str| {
            use std::sync::atomic::Ordering::Relaxed;
            runs.fetch_and(line != "mfsmaster stop", Relaxed);
            let said = if runs.load(Relaxed) { "mfsmaster pid: 7" } else { "mfsmaster is not running" };
            crate::runner::Output { code: 0, stdout: said.into(), stderr: String::new() }
        };
        let (fake, log) = (Fake::default().answers("mfsmaster", answer), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        assert_eq!(withdraw_from(&system, &[]), Ended::Withdrawn);
        let lines = fake.lines();
        assert!(
            lines.contains(&"mfsmaster stop".into()) && lines.contains(&"mfscgiserv stop".into()),
            "{lines:?}"
        );
    }

    #[test]
    fn what_fails_keeps_nothing_else_from_being_given_up() {
        let journal = r#"{"schema": 1, "role": "founder", "place": {"address": "10.254.0.1", "name": "n", "fqdn": "n.x"}, "stages": []}"#;
        let tree = Tree::from_text(&format!(
            "/var/lib/cias/journal.json = {journal}\n/run/cias/enrol-sshd.pid = 7\n/proc/7/stat = 7 (sshd) S\n"
        ));
        let (fake, log) = (Fake::default().fails("start-stop-daemon", 1, "no"), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let owned = [Own { port: "vmbr0".into(), address: [10, 254, 0, 1].into(), prefix: 8 }];
        assert!(
            matches!(withdraw_from(&system, &owned), Ended::Failed(reason) if reason.contains("start-stop-daemon"))
        );
        assert!(fake.lines().iter().any(|line| line.starts_with("ip addr del")), "{:?}", fake.lines());
    }
}
