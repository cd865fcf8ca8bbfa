//! The contract of a step: one thing that a stage brings about, safe to do again.

use anyhow::Result;

use crate::system::System;

/// What a look at the machine found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// What [`Step::apply`] would do, one sentence each; empty if the step is done. `cias plan` prints these.
    pub todo: Vec<String>,
    /// What is wrong but must not stop the stage, one sentence each: a dead or refused disk.
    pub warnings: Vec<String>,
}

impl Finding {
    /// Nothing to do and nothing to say.
    pub fn done() -> Self {
        Self::default()
    }

    /// This is to be done.
    pub fn todo(sentence: impl Into<String>) -> Self {
        Self { todo: vec![sentence.into()], warnings: Vec::new() }
    }
}

/// One step of a stage. A step carries its part of the plan; it decides nothing while it applies it.
///
/// The power may go at any instant: after [`Step::apply`] was cut off anywhere, `check` must find what is left to do.
/// A step that was applied must be found done.
pub trait Step {
    /// A few words for the journal, the log and the console, as `format the data disks`; the same at each boot.
    fn name(&self) -> &str;

    /// Looks whether the step is done. Changes nothing.
    fn check(&self, system: &System) -> Result<Finding>;

    /// Brings it about; called only if `check` found something to do. Returns warnings. An error stops the stage, which
    /// the next boot resumes at this step.
    fn apply(&self, system: &System) -> Result<Vec<String>>;
}
