//! `cias promote` and `cias demote`: keepalived runs them when the Master's addresses came to this node, or went.
//!
//! Two nodes that begin at the same time both get the first call, and one of them the second within milliseconds (docs/facts.md 17), and calls may
//! overtake each other. So each call takes its turn, and then what counts is which addresses the node has, and not what was called.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::health;
use super::route::{self, Way};
use crate::files;
use crate::log::Log;
use crate::moosefs;
use crate::node;
use crate::outcome::Class;
use crate::runner::Host;
use crate::site::Site;
use crate::system::{Sysroot, System};

const LOG: &str = "/var/log/cias/keepalived.log";

/// One call at a time.
const LOCK: &str = "/run/cias/moved.lock";

/// The role address, for those who may not read the site file.
const ADDRESS: &str = "/run/cias/role-address";

/// How long the addresses must have stayed.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// Which way they moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// To this node.
    Here,
    /// To another one, or to none.
    Away,
}

/// Does what follows.
pub fn moved(root: &Sysroot, how: Moved) -> Result<()> {
    if root.is_machine() && !nix::unistd::geteuid().is_root() {
        return Err(Class::Failed.error("`cias promote` and `cias demote` change routes, and this was not started by root: use su or sudo"));
    }
    let path = root.path(LOG);
    for file in [LOG, LOCK].map(|file| root.path(file)) {
        files::make_folder(file.parent().context("a file has a folder")?, 0o755)?;
    }
    let log = Log::to_file(&path)?;
    let host = Host::new(|line| log.note(line));
    let system = System { root: root.clone(), runner: &host, log: &log };
    let result = in_turn(&system, how);
    if let Err(error) = &result {
        log.note(&format!("error: {error:#}"));
    }
    result
}

/// `cias switch`: nobody but the founder can be Master in this version. What is to be said of it.
pub fn switch(root: &Sysroot) -> Result<String> {
    root.needs_root("cias switch")?;
    let (host, log) = (Host::new(|_| ()), Log::silent());
    let site = node::load_site(root)?;
    health::is_master(&System { root: root.clone(), runner: &host, log: &log }, &site).map_err(|error| {
        Class::Refused.error(format!("this node is not made the Master, and nothing was changed: {error:#}"))
    })?;
    Ok("this node is the Master already".to_owned())
}

fn in_turn(system: &System, how: Moved) -> Result<()> {
    let site = node::load_site(&system.root)?;
    let _turn = files::lock_in_turn(&system.root.path(LOCK))?;
    files::write_if_changed(&system.root.path(ADDRESS), site.network.vip.to_string(), 0o644)?;
    follow(system, &site, how, || has(site.network.vip))
}

/// `is_here` tells whether this node has the role address now.
fn follow(system: &System, site: &Site, how: Moved, is_here: impl Fn() -> Result<bool>) -> Result<()> {
    let vip = site.network.vip;
    match how {
        Moved::Here => {
            system.runner.rest(DEBOUNCE)?;
            if !is_here()? {
                system.log.say(&format!("promote: {vip} is not on this node now, so that nothing is done"));
                return Ok(());
            }
            match Way::of(&site.network) {
                None => system.log.say(&format!("promote: {vip} is here; the site has no address outside")),
                Some(way) => {
                    way.add(system.runner)?;
                    system.log.say(&format!("promote: {vip} is here; {}", way.sentence()));
                }
            }
            moosefs::resume::resume(system, is_here)?;
        }
        Moved::Away => {
            if is_here()? {
                system.runner.rest(DEBOUNCE)?;
            }
            if is_here()? {
                return Err(Class::Refused.error(format!(
                    "this node has {vip}, so that its way out stays: `service keepalived stop` gives the addresses to another node first"
                )));
            }
            // Before the rest, which may fail: two metadata servers would be two histories.
            moosefs::end::end_master(system)?;
            let was_there = route::remove(system.runner)?;
            let done = if was_there { "its way out is taken away" } else { "there is nothing to take away" };
            system.log.say(&format!("demote: {vip} is not here; {done}"));
        }
    }
    Ok(())
}

/// The Master's role address and whether this node has it now; nothing before keepalived ran.
pub fn role_address(root: &Sysroot) -> Option<(Ipv4Addr, bool)> {
    let address = root.attribute(ADDRESS)?.parse().ok()?;
    Some((address, has(address).ok()?))
}

/// Has this node the address now?
pub fn has(address: Ipv4Addr) -> Result<bool> {
    let mut all = nix::ifaddrs::getifaddrs().context("listing the addresses of this node")?;
    Ok(all.any(|one| {
        one.address.is_some_and(|found| found.as_sockaddr_in().is_some_and(|found| found.ip() == address))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};
    use crate::tree::Tree;
    use std::cell::RefCell;

    const WAN: &str = "[network]\nwan_address = \"192.168.56.101/24\"\nwan_gateway = \"192.168.56.1\"\n";

    /// What is run, and for how long it rests, when the address is here at each look in turn.
    fn run(more: &str, how: Moved, looks: &[bool]) -> (Result<()>, Vec<String>, Duration) {
        let tree = Tree::from_text("");
        let (fake, log) = (Fake::default().prints("ip route show", "default"), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let left = RefCell::new(looks.iter().copied());
        let site = from_text(&(example() + more)).unwrap();
        let result = follow(&system, &site, how, || Ok(left.borrow_mut().next().unwrap()));
        assert_eq!(left.borrow_mut().next(), None);
        (result, fake.lines(), fake.rested())
    }

    #[test]
    fn what_counts_is_where_the_address_is() {
        for (more, how, looks, commands, rests) in [
            (WAN, Moved::Here, &[true][..], 5, true),
            (WAN, Moved::Here, &[false], 0, true),
            ("", Moved::Here, &[true], 0, true),
            (WAN, Moved::Away, &[false, false], 3, false),
            (WAN, Moved::Away, &[true, false], 3, true),
        ] {
            let (result, lines, rested) = run(more, how, looks);
            result.unwrap();
            assert_eq!((lines.len(), rested == DEBOUNCE), (commands, rests), "{how:?} {looks:?} {lines:?}");
        }
        let (result, lines, _) = run(WAN, Moved::Away, &[true, true]);
        assert_eq!(Class::of(&result.unwrap_err()), Class::Refused);
        assert_eq!(lines, [""; 0]);
    }

    #[test]
    fn the_metadata_server_ends_when_the_address_goes_and_goes_on_when_it_is_back() {
        for (role, more, resumes) in
            [("founder", "", true), ("node", "", false), ("founder", "# other's", false)]
        {
            let journal = format!(r#"{{"schema": 1, "role": "{role}", "place": null, "stages": []}}"#);
            let tree = Tree::from_text(&format!(
                "/usr/sbin/mfsmaster = x\n/usr/sbin/mfscgiserv = x\n/var/lib/cias/journal.json = {journal}\n\
                 /etc/mfs/mfsmaster.cfg = {more}# Written by cias for tests\n/var/lib/mfs/\n/var/lib/dpkg/\n"
            ));
            let root = tree.root();
            let status = moosefs::detect::tests::status(&moosefs::dialect::Old, "1.6.27-5");
            std::fs::write(root.path("/var/lib/dpkg/status"), status).unwrap();
            let bytes = [b"MFSM 1.5\0\0\0\x01", &9_u64.to_be_bytes()[..], &[0; 75]].concat();
            let runs = std::sync::Mutex::new(true);
            let answer = move |line: &str| {
                let mut runs = runs.lock().unwrap();
                match line {
                    "mfsmaster stop" => {
                        *runs = false;
                        std::fs::write(root.path("/var/lib/mfs/metadata.mfs"), &bytes).unwrap();
                    }
                    "mfsmaster start" => *runs = true,
                    _ => {}
                }
                let said = if *runs { "mfsmaster pid: 7" } else { "mfsmaster is not running" };
                crate::runner::Output { code: 0, stdout: said.into(), stderr: String::new() }
            };
            // The web view listens nowhere here, which is told after the metadata server runs.
            let (fake, log) = (Fake::default().answers("mfsmaster", answer), Log::silent());
            let system = System { root: tree.root(), runner: &fake, log: &log };
            let site = from_text(&example()).unwrap();
            follow(&system, &site, Moved::Away, || Ok(false)).unwrap();
            let stops = |line: &&String| line.ends_with(" stop");
            assert_eq!(fake.lines().iter().filter(stops).count(), 2, "{:?}", fake.lines());
            // Gone again before its turn.
            let looks = RefCell::new([true, false].into_iter());
            follow(&system, &site, Moved::Here, || Ok(looks.borrow_mut().next().unwrap())).unwrap();
            assert!(!fake.lines().contains(&"mfsmaster start".into()));
            let result = follow(&system, &site, Moved::Here, || Ok(true));
            let said = result.map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(said.contains("mfscgiserv does not listen"), resumes, "{said}");
            assert_eq!(fake.lines().contains(&"mfsmaster start".into()), resumes, "{role} {more}");
        }
    }

    #[test]
    fn the_role_address_is_known_once_keepalived_ran() {
        assert_eq!(role_address(&Tree::from_text("").root()), None);
        let tree = Tree::from_text("/run/cias/role-address = 192.0.2.77\n");
        assert_eq!(role_address(&tree.root()), Some(([192, 0, 2, 77].into(), false)));
    }

    #[test]
    fn the_addresses_are_those_of_this_machine() {
        assert!(has(Ipv4Addr::LOCALHOST).unwrap());
        assert!(!has([192, 0, 2, 77].into()).unwrap());
    }
}
