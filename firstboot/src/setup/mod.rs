//! `cias setup`: makes a node of a server on which a person installed Proxmox VE by hand.
//!
//! It looks, asks and shows; what it then does is begun in the journal and done by `cias run`, as everything else.

mod ask;
mod guards;
pub mod rename;
mod secrets;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::agent::arrive::{self, Ended};
use crate::enrol::given::Given;
use crate::facts::Facts;
use crate::journal::{self, Journal, Progress, State};
use crate::log::Log;
use crate::node::{SITE, Stage};
use crate::outcome::Class;
use crate::runner::{Call, Host};
use crate::site::{Loaded, Site};
use crate::system::{Sysroot, System};
use crate::{engine, files, plan, run};

/// The name of the original plan, under which the program is `cias setup`, with the site file as its argument.
pub const ALIAS: &str = "dlll_cias-setup.sh";

/// What `cias setup` was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the files are; `/` but in tests.
    pub root: Sysroot,
    /// The site file; else the installed one, or `site.toml` in this folder.
    pub site: Option<PathBuf>,
    /// Begins without waiting for Enter.
    pub yes: bool,
    /// Leaves the join key in the site file that was given.
    pub keep_file: bool,
}

/// Looks, asks, shows the plan, waits for Enter, and makes a node of this server.
pub fn setup(request: &Request) -> Result<()> {
    let root = &request.root;
    if root.is_machine() && !nix::unistd::geteuid().is_root() {
        return Err(Class::Failed
            .error("`cias setup` changes the system and was not started by root: use su or sudo"));
    }
    let log = Log::stderr();
    let quiet = Log::silent();
    let host = Host::new(|line| quiet.note(line));
    let system = System { root: root.clone(), runner: &host, log: &log };
    let state = journal::read(root)?.unwrap_or_default();
    let given;
    if is_begun(&state) {
        given = Given::noted(root);
        if request.keep_file {
            Given::default().note(root)?;
        }
        log.say("setup: it was begun before and is gone on with");
    } else {
        // Before its site is read, which no new node may be made from once this one has joined.
        if let Some(sentence) = guards::is_node(&state) {
            return Err(Class::Refused.error(sentence));
        }
        let path = file(request)?;
        let loaded = ask::load(&path)?;
        look(&system, &loaded.site)?;
        given = Given::look(root, &path);
        let mut plan = plan::show(&plan::with_setup(root, &loaded.site)?);
        plan.push_str(&secrets::planned(&given, request.keep_file));
        std::io::stdout().write_all(plan.as_bytes()).context("writing to standard output")?;
        if !request.yes {
            if !ask::can_ask() {
                return Err(Class::Refused.error(
                    "there is no terminal to press Enter at: look at the plan above, then give --yes to begin without being asked",
                ));
            }
            ask::confirm()?;
        }
        let forgets = if request.keep_file { Given::default() } else { given.clone() };
        begin(root, &loaded, &forgets)?;
    }
    let result = go_on(&system);
    for sentence in secrets::left(root, &given) {
        log.say(&format!("setup: {sentence}"));
    }
    result
}

/// Does what was begun, as far as it comes.
fn go_on(system: &System) -> Result<()> {
    let root = &system.root;
    let identity = run::run(&run::Request { root: root.clone(), stage: Some(Stage::Identity), again: false });
    let waits = identity.as_ref().is_err_and(|error| Class::of(error) == Class::TryLater);
    if (identity.is_ok() || waits) && !is_begun(&journal::read(root)?.unwrap_or_default()) {
        bring_up(system)?;
    }
    identity?;
    system.log.say(
        "setup: services and data disks follow, which may take minutes; /var/log/cias/firstboot.log tells",
    );
    match arrive::arrive(system) {
        Ended::Done | Ended::Left | Ended::Withdrawn => Ok(()),
        Ended::TryLater(reason) => Err(Class::TryLater.error(reason)),
        Ended::Failed(reason) | Ended::Refused(reason) => Err(Class::Failed.error(format!(
            "{reason}: put it right and run `cias run`, or reboot; both go on where it stopped"
        ))),
    }
}

/// Goes on with what [`setup`] began, if it did not come to its end.
pub fn resume(system: &System, journal: &mut Journal, site: &Site) -> Result<()> {
    if is_begun(journal.state()) {
        engine::run(rename::STAGE, &rename::steps(site), system, journal)?;
    }
    Ok(())
}

/// Why an identity must not be settled: Proxmox VE starts by itself under another name, and nobody has asked for `cias setup`.
pub fn obstacle(root: &Sysroot, journal: &State) -> Option<String> {
    let by_hand = journal.place.is_none() && rename::starts(root, "pve-cluster");
    (by_hand && journal.stage(rename::STAGE).is_none()).then(|| {
        format!(
            "Proxmox VE was installed here by hand and has run under the name {}: `cias setup` looks whether it may be renamed, and does it",
            root.attribute("/etc/hostname").unwrap_or_default()
        )
    })
}

/// Is `setup` in the journal, and not at its end?
fn is_begun(journal: &State) -> bool {
    journal.stage(rename::STAGE).is_some_and(|stage| !stage.progress.is_done())
}

fn file(request: &Request) -> Result<PathBuf> {
    if let Some(given) = &request.site {
        return Ok(given.clone());
    }
    let places = [request.root.path(SITE), PathBuf::from("site.toml")];
    places.into_iter().find(|path| path.exists()).ok_or_else(|| {
        Class::BadInput.error(format!(
            "found no site file, neither {SITE} nor site.toml in this folder: make one with `cias-builder init` on your workstation, the same for all \
             nodes, copy it here (mode 0600, as it holds secrets), and name it with --site"
        ))
    })
}

fn look(system: &System, site: &Site) -> Result<()> {
    let seen = guards::Seen::look(&system.root, &Facts::gather(&system.root, system.runner))?;
    let refusals = seen.refusals(site);
    if !refusals.is_empty() {
        return Err(Class::Refused.error(format!(
            "this server is not set up, and nothing was changed, for {} reason(s):\n{}",
            refusals.len(),
            refusals.join("\n")
        )));
    }
    for warning in seen.warnings() {
        system.log.say(&format!("warning: {warning}"));
    }
    let gateway = site.network.gateway.to_string();
    let ping = Call::new("ping").args(["-n", "-c", "1", "-w", "3", &gateway]);
    if let Err(error) = system.runner.run(&ping) {
        system.log.say(&format!("warning: the gateway {gateway} does not answer: {error:#}"));
    }
    Ok(())
}

/// From here on it is gone on with, whatever happens. The site comes first: without the journal's entry it begins nothing.
fn begin(root: &Sysroot, loaded: &Loaded, given: &Given) -> Result<()> {
    let mut journal = Journal::open(root)?;
    given.note(root)?;
    files::make_folder(&root.path("/etc/cias"), 0o700)?;
    files::write(&root.path(SITE), &loaded.text, 0o600)?;
    journal.update(|state| state.stage_mut(rename::STAGE).progress = Progress::Working)
}

/// The network by its new files. A boot would do the same; the old bridge has no bond below it.
fn bring_up(system: &System) -> Result<()> {
    if system.root.has("/sys/class/net/bond0") {
        return Ok(());
    }
    system
        .log
        .say("setup: the network changes now: what came in by the old address is cut off, and all goes on");
    // It may be down; what counts is that it comes up by the new file.
    system.runner.outcome(&Call::new("ifdown").arg("vmbr0"))?;
    for port in ["bond0", "vmbr0"] {
        system.runner.run(&Call::new("ifup").arg(port))?;
    }
    Ok(())
}
