//! Runs the steps of a stage: looks, acts, looks again, and journals each, so that the next boot goes on where the power
//! went.

use anyhow::{Context, Result, bail};

use crate::failpoint;
use crate::journal::{self, Cause, Journal, Progress, Resumed};
use crate::outcome::Class;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};

/// A name that the kernel makes anew at each boot.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The boot that this is.
pub fn boot(root: &Sysroot) -> Option<String> {
    root.text(BOOT).ok().map(|id| id.trim().to_owned())
}

/// Runs `steps` as the stage `stage`. Steps found done change nothing, so a second run changes nothing.
///
/// A failed step ends the stage with its error; warnings do not.
pub fn run(stage: &str, steps: &[Box<dyn Step + '_>], system: &System, journal: &mut Journal) -> Result<()> {
    let boot = boot(&system.root);
    let resumed = resumed(stage, steps, boot.as_deref(), journal.state());
    if let Some(resumed) = &resumed {
        system.log.say(&format!("{stage}: {resumed}"));
    }
    journal.update(|state| {
        state.boot = boot;
        let known = state.stage_mut(stage);
        known.resumed = resumed.or(known.resumed.take());
        known.steps = steps.iter().map(|step| recorded(known, step.name())).collect();
    })?;
    for (index, step) in steps.iter().enumerate() {
        let place = format!("step {} of {}: {}", index + 1, steps.len(), step.name());
        if let Err(error) = run_step(stage, index, step.as_ref(), &place, system, journal) {
            let error = error.context(place);
            if Class::of(&error) == Class::Interrupted {
                // Somebody ended this run: the next one must not take it for a power cut.
                journal.update(|state| state.boot = None)?;
                return Err(error);
            }
            system.log.say(&format!("{stage} failed at {error:#}"));
            journal.update(|state| {
                let known = state.stage_mut(stage);
                known.steps[index].progress = Progress::Failed;
                known.progress = Progress::Failed;
                known.reason = Some(format!("{error:#}"));
            })?;
            return Err(error);
        }
    }
    journal.update(|state| {
        let known = state.stage_mut(stage);
        let warned = known.steps.iter().any(|step| step.progress == Progress::Warning);
        known.progress = if warned { Progress::Warning } else { Progress::Done };
        known.reason = None;
    })
}

/// The step as the journal knows it, or a new one.
fn recorded(stage: &journal::Stage, name: &str) -> journal::Step {
    stage.steps.iter().find(|step| step.name == name).cloned().unwrap_or_else(|| journal::Step {
        name: name.to_owned(),
        progress: Progress::Pending,
        warnings: Vec::new(),
    })
}

/// Where an earlier run that did not come to its end is gone on with; `boot` is the one that runs now.
fn resumed(
    stage: &str,
    steps: &[Box<dyn Step + '_>],
    boot: Option<&str>,
    journal: &journal::State,
) -> Option<Resumed> {
    // Whoever only waited goes on as if nothing had been.
    let known = journal
        .stage(stage)
        .filter(|known| !known.progress.is_done() && known.progress != Progress::Waiting)?;
    let is_done = |name: &str| known.steps.iter().any(|step| step.name == name && step.progress.is_done());
    known.steps.iter().find(|step| step.progress != Progress::Pending)?;
    let next = steps.iter().position(|step| !is_done(step.name()))?;
    let cause = match (known.progress, boot, journal.boot.as_deref()) {
        (Progress::Failed, ..) => Cause::Failure,
        (_, Some(now), Some(then)) if now != then => Cause::PowerLoss,
        _ => Cause::Interruption,
    };
    Some(Resumed { step: next + 1, of: steps.len(), cause })
}

fn run_step(
    stage: &str,
    index: usize,
    step: &dyn Step,
    place: &str,
    system: &System,
    journal: &mut Journal,
) -> Result<()> {
    failpoint::hit(&format!("step {} before", step.name()));
    let mut finding = step.check(system).context("looking what is to be done")?;
    if !finding.todo.is_empty() {
        system.log.say(place);
        for sentence in &finding.todo {
            system.log.note(&format!("to do: {sentence}"));
        }
        journal.update(|state| {
            let known = state.stage_mut(stage);
            known.progress = Progress::Working;
            known.reason = None;
            known.steps[index].progress = Progress::Working;
        })?;
        let warnings = step.apply(system)?;
        finding = confirm(step, system)?;
        finding.warnings.extend(warnings);
        finding.warnings.dedup();
    }
    for warning in &finding.warnings {
        system.log.say(&format!("warning: {warning}"));
    }
    journal.update(|state| {
        let known = &mut state.stage_mut(stage).steps[index];
        known.progress = if finding.warnings.is_empty() { Progress::Done } else { Progress::Warning };
        known.warnings = finding.warnings;
    })?;
    failpoint::hit(&format!("step {} after", step.name()));
    Ok(())
}

/// A step that was applied must be found done: what a command's exit code says is not enough.
fn confirm(step: &dyn Step, system: &System) -> Result<Finding> {
    let finding = step.check(system).context("looking whether it is done")?;
    if let Some(first) = finding.todo.first() {
        bail!("it was applied without an error, but this is still to be done: {first}");
    }
    Ok(finding)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::system::Sysroot;
    use crate::tree::Tree;

    /// Makes a file; fails while `/broken` is there.
    struct Touch<'a> {
        name: &'static str,
        applied: &'a RefCell<Vec<&'static str>>,
    }

    impl Step for Touch<'_> {
        fn name(&self) -> &str {
            self.name
        }

        fn check(&self, system: &System) -> Result<Finding> {
            let mut finding = Finding::default();
            if !system.root.has(self.name) {
                finding.todo.push(format!("make {}", self.name));
            }
            if self.name == "b" {
                finding.warnings.push("b is odd".into());
            }
            Ok(finding)
        }

        fn apply(&self, system: &System) -> Result<Vec<String>> {
            self.applied.borrow_mut().push(self.name);
            if self.name == "c" && system.root.has("broken") {
                bail!("something is broken");
            }
            if self.name != "lazy" {
                std::fs::write(system.root.path(self.name), "")?;
            }
            Ok(Vec::new())
        }
    }

    fn go(root: &Sysroot, names: &[&'static str]) -> (Result<()>, Vec<&'static str>) {
        let applied = RefCell::new(Vec::new());
        let steps: Vec<Box<dyn Step + '_>> =
            names.iter().map(|name| Box::new(Touch { name, applied: &applied }) as Box<dyn Step>).collect();
        let (log, runner) = (Log::to_file(&root.path("log")).unwrap(), Fake::default());
        let system = System { root: root.clone(), runner: &runner, log: &log };
        let result = run("identity", &steps, &system, &mut Journal::open(root).unwrap());
        drop(steps);
        (result, applied.into_inner())
    }

    #[test]
    fn a_failed_stage_is_resumed_at_the_step_that_failed() {
        let tree = Tree::from_text("/broken = yes\n");
        let root = tree.root();
        let (result, applied) = go(&root, &["a", "b", "c", "d"]);
        assert_eq!(format!("{:#}", result.unwrap_err()), "step 3 of 4: c: something is broken");
        assert_eq!(applied, ["a", "b", "c"]);
        let stage = journal::read(&root).unwrap().unwrap().stage("identity").unwrap().clone();
        assert_eq!(stage.reason.as_deref(), Some("step 3 of 4: c: something is broken"));
        let progress: Vec<_> = stage.steps.iter().map(|step| step.progress).collect();
        assert_eq!(progress, [Progress::Done, Progress::Warning, Progress::Failed, Progress::Pending]);

        std::fs::remove_file(root.path("broken")).unwrap();
        let (result, applied) = go(&root, &["a", "b", "c", "d"]);
        result.unwrap();
        assert_eq!(applied, ["c", "d"]);
        assert!(root.text("log").unwrap().contains("identity: resumed at step 3 of 4 after a failure"));
        let stage = journal::read(&root).unwrap().unwrap().stage("identity").unwrap().clone();
        assert_eq!((stage.progress, stage.reason), (Progress::Warning, None));
    }

    #[test]
    fn a_stage_that_only_waited_is_not_resumed() {
        let applied = RefCell::new(Vec::new());
        let steps: Vec<Box<dyn Step + '_>> = vec![Box::new(Touch { name: "a", applied: &applied })];
        for (progress, is_resumed) in [(Progress::Failed, true), (Progress::Waiting, false)] {
            let mut journal = journal::State::default();
            let known = journal.stage_mut("identity");
            known.progress = progress;
            known.steps =
                vec![journal::Step { name: "a".into(), progress: Progress::Working, warnings: vec![] }];
            assert_eq!(resumed("identity", &steps, None, &journal).is_some(), is_resumed, "{progress:?}");
        }
    }

    #[test]
    fn a_second_run_changes_nothing_not_even_the_journal() {
        use std::os::unix::fs::MetadataExt;
        let tree = Tree::from_text("");
        let root = tree.root();
        go(&root, &["a", "b"]).0.unwrap();
        let inode = |root: &Sysroot| std::fs::metadata(root.path(journal::FILE)).unwrap().ino();
        let before = inode(&root);
        let (result, applied) = go(&root, &["a", "b"]);
        result.unwrap();
        assert!(applied.is_empty());
        assert_eq!(inode(&root), before);
        assert!(!root.text("log").unwrap().contains("resumed"));
    }

    #[test]
    fn a_step_that_does_not_do_what_it_says_fails() {
        let tree = Tree::from_text("");
        let error = go(&tree.root(), &["lazy"]).0.unwrap_err();
        assert!(format!("{error:#}").contains("still to be done: make lazy"), "{error:#}");
    }
}
