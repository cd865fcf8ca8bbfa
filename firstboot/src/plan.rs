//! `cias plan`: what `cias run` would do now, step by step. Changes nothing.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use crate::log::Log;
use crate::node::{self, Stage};
use crate::runner::Host;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};
use crate::{journal, provision};

/// What would be done.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// `founder`, `node` or `waiting`.
    pub role: &'static str,
    /// Host name with the domain, unless it waits.
    pub fqdn: Option<String>,
    /// Address, unless it waits.
    pub address: Option<std::net::Ipv4Addr>,
    /// Why it waits.
    pub reason: Option<String>,
    /// The stages.
    pub stages: Vec<PlannedStage>,
}

/// What a stage would do.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedStage {
    /// `identity` or `provision`.
    pub name: &'static str,
    /// It was done before and is left alone unless `--again` is given.
    pub settled: bool,
    /// Its steps.
    pub steps: Vec<PlannedStep>,
}

/// What a step would do.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedStep {
    /// Its name.
    pub name: String,
    /// One sentence for each thing to do; none if it is done.
    pub todo: Vec<String>,
    /// What is wrong but stops nothing.
    pub warnings: Vec<String>,
}

/// Plans both stages. Needs root: the site file holds secrets.
pub fn plan(root: &Sysroot) -> Result<Planned> {
    let log = Log::silent();
    let host = Host::new(|line| log.note(line));
    let system = System { root: root.clone(), runner: &host, log: &log };
    let site = node::load_site(root)?;
    let plan = node::plan_identity(&site, &system)?;
    let state = journal::read(root)?.unwrap_or_default();
    let settled = state.is_settled();
    // What it will be once the identity is settled.
    let to_be = journal::State { role: Some(plan.role), place: plan.place.clone(), ..state };
    let stages = Stage::ALL
        .into_iter()
        .map(|stage| {
            let steps = match stage {
                Stage::Identity => plan.steps(),
                Stage::Provision => provision::steps(&site, &to_be),
            };
            let settled = settled && stage == Stage::Identity;
            Ok(PlannedStage { name: stage.name(), settled, steps: look(&steps, &system)? })
        })
        .collect::<Result<_>>()?;
    Ok(Planned {
        role: plan.role.word(),
        fqdn: plan.place.as_ref().map(|place| place.fqdn.clone()),
        address: plan.place.as_ref().map(|place| place.address),
        reason: plan.reason,
        stages,
    })
}

fn look(steps: &[Box<dyn Step>], system: &System) -> Result<Vec<PlannedStep>> {
    steps
        .iter()
        .map(|step| {
            let Finding { todo, warnings } = step.check(system)?;
            Ok(PlannedStep { name: step.name().to_owned(), todo, warnings })
        })
        .collect()
}

/// The plan for a person.
pub fn show(plan: &Planned) -> String {
    let mut text = plan.role.to_owned();
    if let (Some(fqdn), Some(address)) = (&plan.fqdn, plan.address) {
        append(&mut text, format_args!(": {fqdn}, {address}"));
    }
    if let Some(reason) = &plan.reason {
        append(&mut text, format_args!(": {reason}"));
    }
    text.push('\n');
    for stage in &plan.stages {
        let settled = if stage.settled { " (settled: left alone without --again)" } else { "" };
        append(&mut text, format_args!("{}{settled}\n", stage.name));
        for (index, step) in stage.steps.iter().enumerate() {
            let done = if step.todo.is_empty() { ": nothing to do" } else { "" };
            let place = format!("  step {} of {}: {}{done}\n", index + 1, stage.steps.len(), step.name);
            text.push_str(&place);
            for sentence in &step.todo {
                append(&mut text, format_args!("    - {sentence}\n"));
            }
            for warning in &step.warnings {
                append(&mut text, format_args!("    ! {warning}\n"));
            }
        }
    }
    text
}

fn append(text: &mut String, more: std::fmt::Arguments) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(more);
}
