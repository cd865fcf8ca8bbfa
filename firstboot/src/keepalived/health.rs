//! May this node have the Master's addresses? keepalived asks every two seconds, and whoever may not is in FAULT.
//!
//! The cluster's file system may keep whoever asks it waiting, on the target's kernel beyond being killed. So the program that keepalived starts
//! touches nothing of it: it starts another one, and gives that up after [`LIMIT`]. It is small on purpose: keepalived 1.2.2 takes a script that a
//! signal ended for one that is well (docs/facts.md 17).

use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};

use crate::agent::{memory, published};
use crate::cluster::members::{self, Members};
use crate::cluster::register;
use crate::facts::Facts;
use crate::files;
use crate::hello::MachineId;
use crate::hello::ledger::State;
use crate::journal::{self, Role};
use crate::node;
use crate::outcome::Class;
use crate::runner::{Call, Host, Runner};
use crate::site::Site;
use crate::system::{Sysroot, System};

/// Less than [`super::conf::INTERVAL`].
const LIMIT: Duration = Duration::from_millis(1500);

/// Whoever looks holds the lock on this file, so that those that hang do not pile up.
const LOCK: &str = "/run/cias/check-master.lock";

/// When the last look that came to its end began, in seconds of the machine's clock that nobody sets; there only if it passed.
const PASSED: &str = "/run/cias/check-master.passed";

/// How long a look that passed holds while those after it are too slow: a busy moment, as of a backup or of a node that joins, is no reason to
/// move the addresses, and the metadata server with them.
const HOLDS: Duration = Duration::from_secs(15);

/// Asks in another process, and waits no longer than [`LIMIT`]. One that is too slow says nothing, so that the one before it holds for
/// [`HOLDS`]; one that ends and does not pass counts at once.
pub fn check(root: &Sysroot) -> Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    let call = Call::new(program.to_string_lossy())
        .args(["--root", &root.path("/").to_string_lossy(), "check-master", "--look"])
        .limit(LIMIT)
        .grace(Duration::ZERO);
    let said = match Host::new(|_| ()).outcome(&call) {
        Ok(output) if output.code == 0 => return Ok(()),
        Ok(output) => output.failure(),
        Err(error) => format!("{error:#}"),
    };
    if has_passed_lately(root)? {
        return Ok(());
    }
    Err(Class::TryLater.error(said.strip_prefix("error: ").unwrap_or(&said).to_owned()))
}

fn has_passed_lately(root: &Sysroot) -> Result<bool> {
    let then = root.text(PASSED).ok().and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let now = since_boot()?;
    Ok(then.is_some_and(|then| then <= now && now < then + HOLDS))
}

fn since_boot() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC).context("reading the clock")?.into())
}

/// Looks, for as long as it takes: an error is what keeps this node from being Master.
pub fn look(root: &Sysroot) -> Result<()> {
    let host = Host::new(|_| ());
    let log = crate::log::Log::silent();
    let site = node::load_site(root);
    if site.is_err() {
        files::remove(&root.path(PASSED))?;
    }
    judge(&System { root: root.clone(), runner: &host, log: &log }, &site?)
}

fn judge(system: &System, site: &Site) -> Result<()> {
    files::make_folder(&system.root.path(published::FOLDER), 0o755)?;
    let _turn = files::lock(&system.root.path(LOCK), || {
        "the look before this one still waits for the cluster's file system".to_owned()
    })?;
    let (passed, begin) = (system.root.path(PASSED), since_boot()?);
    let found = is_master(system, site);
    match found {
        Ok(()) => files::write(&passed, begin.as_secs().to_string(), 0o600)?,
        Err(_) => files::remove(&passed)?,
    }
    found
}

/// Is this node the Master? [`Class::TryLater`] says why not.
pub fn is_master(system: &System, site: &Site) -> Result<()> {
    let root = &system.root;
    let no = |reason: String| Err(Class::TryLater.error(reason));
    if let Some(stopped) = memory::stopped(root, system.runner)? {
        return no(format!("this machine has stopped: {}", stopped.reason));
    }
    let state = journal::read(root)?.unwrap_or_default();
    let (Some(Role::Founder), Some(place)) = (state.role, state.place) else {
        return no("this node is not the founder, and nobody else is Master in this version".to_owned());
    };
    let members = Members::read(root)?.unwrap_or_default();
    if !members.is_quorate_in(&site.site.cluster_name) || !members::is_writable(root) {
        return no(files::NO_QUORUM.to_owned());
    }
    let me = MachineId::of(&Facts::gather(root, system.runner).who().macs);
    let ledger = register::read(root)?;
    match ledger.entries().find(|entry| entry.place.address == place.address) {
        Some(entry) if Some(entry.machine) == me && entry.state == State::Member => Ok(()),
        Some(entry) => no(format!(
            "the ledger has {} as {} of machine {}, wanted this one as a member",
            place.address,
            entry.state.name(),
            entry.machine
        )),
        None => no(format!("the ledger does not have {} yet: the agent enters it", place.address)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::hello::ledger::Entry;
    use crate::journal::Journal;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::site::{Place, from_text, tests::example};
    use crate::tree::Tree;

    /// A founder that is Master.
    pub(crate) fn master() -> (Tree, Site) {
        let tree = Tree::from_text(
            "/etc/pve/local -> nodes/me\n\
             /sys/class/net/eth0/device -> ../../../devices/pci0000:00/0000:00:03.0/virtio0\n\
             /sys/class/net/eth0/type = 1\n/sys/class/net/eth0/address = 52:54:00:00:00:01\n",
        );
        let site = from_text(&example()).unwrap();
        write_members(&tree, 1);
        let place = site.founder_place(None);
        Journal::open(&tree.root())
            .unwrap()
            .update(|state| {
                state.role = Some(Role::Founder);
                state.place = Some(place.clone());
            })
            .unwrap();
        enter(&tree, place, 1, State::Member);
        (tree, site)
    }

    fn write_members(tree: &Tree, quorate: u8) {
        let text = format!(
            "{{\"nodename\": \"me\", \"cluster\": {{\"name\": \"DLLL-CIAS\", \"quorate\": {quorate}}}, \"nodelist\": {{\"me\": {{\"online\": 1}}}}}}"
        );
        std::fs::write(tree.root().path("/etc/pve/.members"), text).unwrap();
    }

    fn enter(tree: &Tree, place: Place, port: u8, state: State) {
        std::fs::create_dir_all(tree.root().path("/run/cias")).unwrap();
        let machine = MachineId::of(&[format!("52:54:00:00:00:{port:02x}")]).unwrap();
        register::change(&tree.root(), |ledger| ledger.enter(Entry { machine, state, place, serial: None }))
            .unwrap();
    }

    fn found((tree, site): &(Tree, Site)) -> String {
        let (fake, log) = (Fake::default().fails("ethtool", 71, "no"), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        match judge(&system, site) {
            Ok(()) => "passes".to_owned(),
            Err(error) => {
                assert_eq!(Class::of(&error), Class::TryLater, "{error:#}");
                error.to_string()
            }
        }
    }

    #[test]
    fn only_the_ledgers_founder_with_quorum_passes() {
        let whole = master();
        assert_eq!(found(&whole), "passes");
        write_members(&whole.0, 0);
        assert!(found(&whole).contains("no quorum"));
        write_members(&whole.0, 1);
        for (port, state, wanted) in [
            (2, State::Member, "as member of machine"),
            (1, State::Retired, "as retired"),
            (1, State::Offered, "as offered"),
        ] {
            enter(&whole.0, whole.1.founder_place(None), port, state);
            let said = found(&whole);
            assert!(said.contains(wanted), "{said}");
        }

        let node = master();
        Journal::open(&node.0.root()).unwrap().update(|state| state.role = Some(Role::Node)).unwrap();
        assert!(found(&node).contains("not the founder"));

        let empty = master();
        std::fs::remove_dir_all(empty.0.root().path("/etc/pve/priv")).unwrap();
        assert!(found(&empty).contains("does not have 10.254.0.1 yet"));
        std::fs::remove_file(empty.0.root().path("/etc/pve/local")).unwrap();
        assert!(found(&empty).contains("no quorum"));
    }

    #[test]
    fn one_that_still_looks_keeps_the_next_from_waiting_too() {
        let whole = master();
        let held = files::lock(&whole.0.root().path(LOCK), || unreachable!()).unwrap();
        assert!(found(&whole).contains("still waits"));
        drop(held);
        assert_eq!(found(&whole), "passes");
    }

    #[test]
    fn a_look_that_passed_holds_for_a_while_and_not_after_one_that_did_not() {
        let whole = master();
        let root = whole.0.root();
        let lately = || has_passed_lately(&root).unwrap();
        assert!(!lately(), "nobody has looked");
        assert_eq!(found(&whole), "passes");
        assert!(lately());
        let held = files::lock(&root.path(LOCK), || unreachable!()).unwrap();
        assert!(found(&whole).contains("still waits") && lately(), "it says nothing");
        drop(held);
        for (age, wanted) in [(12, true), (15, false)] {
            let then = since_boot().unwrap().as_secs() - age;
            std::fs::write(root.path(PASSED), then.to_string()).unwrap();
            assert_eq!(lately(), wanted, "{age} s ago");
        }
        assert_eq!(found(&whole), "passes");
        write_members(&whole.0, 0);
        assert!(found(&whole).contains("no quorum") && !lately());
        write_members(&whole.0, 1);
        assert_eq!(found(&whole), "passes");
        assert!(look(&root).is_err() && !lately(), "there is no site file");
    }
}
