//! `cias run`: brings the stages about, at first boot and at every boot after it.

use std::time::Duration;

use anyhow::Result;

use crate::agent::arrive::Ended;
use crate::agent::memory::{self, Stopped};
use crate::agent::withdraw::withdraw;
use crate::facts::Facts;
use crate::identity::{self, Plan};
use crate::interrupt::Interrupt;
use crate::journal::{self, Journal, Progress, State};
use crate::log::Log;
use crate::node::{self, Stage};
use crate::notify::{self, Event};
use crate::outcome::Class;
use crate::runner::{Call, Host};
use crate::site::Who;
use crate::status::{self, Status};
use crate::system::{Sysroot, System};
use crate::{banner, engine, files, provision, setup};

pub(crate) const LOG: &str = "/var/log/cias/firstboot.log";

/// How long to wait for the ports' drivers.
const SETTLE: Duration = Duration::from_mins(1);

/// What `cias run` was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the files are; `/` but in tests.
    pub root: Sysroot,
    /// One stage only.
    pub stage: Option<Stage>,
    /// Writes the files of a settled identity anew.
    pub again: bool,
}

/// Runs the stages asked for, and shows on the console how far the node is, also after an error.
pub fn run(request: &Request) -> Result<()> {
    if request.root.is_machine() && !nix::unistd::geteuid().is_root() {
        return Err(
            Class::Failed.error("`cias run` changes the system and was not started by root: use su or sudo")
        );
    }
    let path = request.root.path(LOG);
    let mut journal = Journal::open(&request.root)?;
    if let Some(folder) = path.parent() {
        files::make_folder(folder, 0o755)?;
    }
    let log = Log::to_file(&path)?;
    let interrupt = Interrupt::install()?;
    let host = Host::new(|line| log.note(line)).stopped_by(interrupt.stop());
    let system = System { root: request.root.clone(), runner: &host, log: &log };
    let stopped = memory::stopped(&system.root, system.runner)?;
    let result = match &stopped {
        Some(stopped) => refuse_a_stopped_one(&system, stopped),
        None => stages(request, &system, &mut journal),
    };
    if let Err(error) = &result {
        log.note(&format!("error: {error:#}"));
        // That it has stopped its agent has told.
        if stopped.is_none() {
            tell(&system, journal.state(), error);
        }
    }
    let status = Status::of(journal.state(), false);
    let reason = stopped.map(|stopped| stopped.reason);
    banner::show(&system, &status.stopped(reason.as_deref()))?;
    result
}

fn stages(request: &Request, system: &System, journal: &mut Journal) -> Result<()> {
    for stage in Stage::ALL.into_iter().filter(|stage| request.stage.is_none_or(|only| only == *stage)) {
        let result = match stage {
            Stage::Identity => settle_identity(request.again, system, journal),
            Stage::Provision => provision(system, journal),
        };
        if let Err(error) = result {
            // It is gone on with, and the journal knows where.
            if Class::of(&error) == Class::Interrupted {
                return Err(error);
            }
            let waits = Class::of(&error) == Class::TryLater;
            journal.update(|state| {
                let known = state.stage_mut(stage.name());
                known.progress = if waits { Progress::Waiting } else { Progress::Failed };
                known.reason = Some(format!("{error:#}"));
            })?;
            return Err(error);
        }
    }
    Ok(())
}

/// Tells the administrator of a failure; whoever only waits, or was interrupted, goes on by itself.
fn tell(system: &System, state: &State, error: &anyhow::Error) {
    if matches!(Class::of(error), Class::TryLater | Class::Interrupted) {
        return;
    }
    // Without a site there is nobody to tell, and that is the error.
    let Ok(site) = node::load_site(&system.root) else { return };
    let reason = format!("{error:#}");
    let step = failed_step(state, &reason);
    let event = Event::step_failed(&site, &notify::here(&system.root), step, &reason);
    let is_final = Class::FINAL.contains(&Class::of(error));
    notify::tell_once(system, &site, if is_final { event } else { event.tried_again() });
}

/// The step that the reason names, or else its stage.
fn failed_step<'s>(state: &'s State, reason: &str) -> &'s str {
    let has_failed = |stage: &&journal::Stage| stage.progress == Progress::Failed;
    let Some(failed) = state.stages.iter().rfind(has_failed) else { return identity::STAGE };
    let count = failed.steps.len();
    let named = |(at, step): &(usize, &journal::Step)| {
        reason.starts_with(&format!("step {} of {count}: {}: ", at + 1, step.name))
    };
    failed.steps.iter().enumerate().find(named).map_or(&failed.name, |(_, step)| &step.name)
}

/// A settled identity is left alone: the administrator may have changed the network since.
fn settle_identity(again: bool, system: &System, journal: &mut Journal) -> Result<()> {
    let machine = marks(&Facts::gather(&system.root, system.runner).who());
    if !again {
        refuse_another_machine(&machine, journal)?;
    }
    let is_settled = journal.state().is_settled();
    if let (true, false, Some(place)) = (is_settled, again, &journal.state().place) {
        system.log.say(&format!("identity: settled as {} with {}", place.fqdn, place.address));
        return Ok(());
    }
    if let Some(obstacle) = setup::obstacle(&system.root, journal.state()) {
        return Err(Class::Refused.error(obstacle));
    }
    let settling = Call::new("udevadm").arg("settle").arg(format!("--timeout={}", SETTLE.as_secs()));
    if let Err(error) = system.runner.run(&settling.limit(SETTLE * 2)) {
        system.log.say(&format!("warning: not all devices may be there yet: {error:#}"));
    }
    let site = node::load_site(&system.root)?;
    setup::resume(system, journal, &site)?;
    let plan = node::plan_identity(&site, system)?;
    if is_settled {
        refuse_another_place(&plan, journal)?;
    }
    journal.update(|state| {
        state.role = Some(plan.role);
        state.place.clone_from(&plan.place);
        state.machine = machine;
    })?;
    engine::run(identity::STAGE, &plan.steps(), system, journal)?;
    match plan.reason {
        Some(reason) => Err(Class::TryLater.error(reason)),
        None => Ok(()),
    }
}

/// A machine that met another founder, or was removed from its cluster, goes no step further by itself. A boot brought back what a founder
/// had given up.
fn refuse_a_stopped_one(system: &System, stopped: &Stopped) -> Result<()> {
    if !stopped.is_retired
        && let Ended::Failed(reason) = withdraw(system)
    {
        system.log.say(&format!("warning: not all was given up: {reason}"));
    }
    Err(Class::Refused.error(format!("{}; {}", stopped.reason, status::out_of_a_stop())))
}

/// What a machine is known by.
fn marks(who: &Who) -> Vec<String> {
    let macs = who.macs.iter().map(|mac| format!("NIC {mac}"));
    who.serial.iter().map(|serial| format!("serial number {serial}")).chain(macs).collect()
}

/// A system disk that was copied, or put into another server, must not bring its name and address along unasked: the
/// first server may still be there. One new NIC or a new main board is the same machine.
fn refuse_another_machine(machine: &[String], journal: &Journal) -> Result<()> {
    let (known, place) = (&journal.state().machine, &journal.state().place);
    let Some(place) = place else { return Ok(()) };
    if known.is_empty() || machine.is_empty() || known.iter().any(|mark| machine.contains(mark)) {
        return Ok(());
    }
    Err(Class::Refused.error(format!(
        "{} is another machine's: found {}, wanted one of {}; two servers as {} would fight over {}: if this disk moved here for good, \
         `cias run --again` keeps its name and address, else install this server anew",
        journal::FILE,
        machine.join(", "),
        known.join(", "),
        place.fqdn,
        place.address
    )))
}

/// Name and address are in the cluster's database from its first start on (docs/facts.md 9).
fn refuse_another_place(plan: &Plan, journal: &Journal) -> Result<()> {
    let settled = journal.state().place.as_ref();
    if plan.place.as_ref() == settled {
        return Ok(());
    }
    let show = |place: Option<&crate::site::Place>| {
        place.map_or("no place".to_owned(), |place| format!("{} with {}", place.fqdn, place.address))
    };
    Err(Class::Refused.error(format!(
        "this node is settled as {} and {} now gives it {}: a node that has run keeps its place; undo the change, or install the node anew",
        show(settled),
        node::SITE,
        show(plan.place.as_ref())
    )))
}

fn provision(system: &System, journal: &mut Journal) -> Result<()> {
    if !journal.state().is_settled() {
        return Err(Class::TryLater.error(
            "who this node is must be settled first: `cias status` tells why it is not, `cias run --stage identity` tries again",
        ));
    }
    let site = node::load_site(&system.root)?;
    let steps = provision::steps(&site, journal.state());
    engine::run(provision::STAGE, &steps, system, journal)
}
