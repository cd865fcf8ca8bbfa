//! What follows from what the machine concluded: frames, files, `cias run`.

use std::time::Duration;

use anyhow::{Context, Result};

use super::super::arrive::Ended;
use super::super::clock;
use super::super::errand::{Errand, Task};
use super::super::memory::{Kept, Stopped};
use super::super::patience::{LONGEST, Patience};
use super::super::post::News;
use super::Agent;
use crate::hello::MachineId;
use crate::hello::output::Output;
use crate::hello::rank::Phase;
use crate::status::{Overall, Status};
use crate::{engine, journal};

/// How long the `cias run` of a boot has before the agent looks whether all is done.
const AFTER_BOOT: Duration = Duration::from_mins(2);

/// The reason as `cias run` has told it.
fn without_code(reason: &str) -> &str {
    let rest = reason.strip_prefix("exit code ").and_then(|rest| rest.split_once(": "));
    rest.map_or(reason, |(_, rest)| rest)
}

impl Agent<'_> {
    pub(super) fn carry_out(&mut self, out: Vec<Output>) -> Result<()> {
        for output in out {
            match output {
                Output::Send(frame) => self.send(&frame)?,
                Output::Phase(phase) => {
                    self.voice.say(&format!("is now {}", phase.name()));
                    if matches!(phase, Phase::Founder | Phase::Offered | Phase::Member | Phase::Serving) {
                        self.shown.refused = None;
                        self.go_on_later();
                    }
                    self.publish(true);
                }
                Output::Elected => {
                    self.memory.elected = true;
                    self.memory.boot = engine::boot(self.root);
                    self.voice.say("this machine founds the cluster");
                    self.remember()?;
                }
                Output::Yielded(other) => {
                    self.doubt(format!("yields to {other}; nothing was begun here"))?;
                }
                Output::Stopped(other) => self.stop_for(other)?,
                Output::Retired(reason) => {
                    self.stop(Stopped { reason: crate::site::visible(&reason), is_retired: true })?;
                    self.step_back(true)?;
                }
                Output::Rival(other) => {
                    self.voice.say(&format!("another founder or Master is there: {other}"));
                    self.tell(News::Rival(other));
                    self.shown.rivals.push(other.to_string());
                }
                Output::Asked(asking) => self.desk.ask(asking),
                Output::Offered(offer) => {
                    self.set_clock(offer.time);
                    self.memory.elected = false;
                    self.memory.offer = Some(Kept::from(&offer));
                    self.shown.refused = None;
                    self.voice.say(&format!(
                        "the Master at {} gave this server {} as {}",
                        offer.master, offer.address, offer.name
                    ));
                    self.remember()?;
                }
                Output::Refused(reason, pause) => {
                    let refused = format!("{reason}; tried again in {} s", (pause * self.hurry).as_secs());
                    self.voice.say(&format!("a Master refused this server: {refused}"));
                    self.shown.refused = Some(crate::site::visible(&refused));
                }
                Output::Confirmed => self.shown.refused = None,
                Output::Twin => {
                    if !self.shown.twin {
                        self.voice.say("another machine says to be this one: two network ports have the same address, or a recorded frame is played back");
                    }
                    self.shown.twin = true;
                }
            }
        }
        Ok(())
    }

    fn stop_for(&mut self, other: MachineId) -> Result<()> {
        let reason = format!(
            "this machine has begun to found a cluster and {other} leads one already; which of them is to go on must be decided by a person: \
             install this server anew to have it join the other"
        );
        self.stop(Stopped { reason, is_retired: false })?;
        self.step_back(false)
    }

    /// From now on it does nothing, also after a restart, until a person has looked.
    fn stop(&mut self, stopped: Stopped) -> Result<()> {
        self.voice.say(&format!("STOPPED: {}", stopped.reason));
        let news = News::Stopped(stopped.reason.clone());
        if let Some(errand) = &self.errand {
            errand.stop();
        }
        self.again = None;
        self.memory.stopped = Some(stopped);
        let remembered = self.remember();
        // Only now: what keeps a message writes to the same disk.
        self.tell(news);
        remembered
    }

    /// Has the administrator be told.
    pub(super) fn tell(&self, news: News) {
        // If the thread is gone, the agent is about to end.
        let _ = self.news.send(news);
    }

    /// The Master's time, before anything is written with a wrong one.
    fn set_clock(&mut self, time: u64) {
        match clock::set(self.root, time) {
            Ok(None) => {}
            Ok(Some(off)) => {
                let way = if off > 0 { "behind" } else { "ahead of" };
                self.voice
                    .say(&format!("the clock was {} s {way} the Master's and was set", off.unsigned_abs()));
                self.memory.stepped = true;
            }
            Err(error) => self.voice.say(&format!("warning: {error:#}")),
        }
    }

    /// One that was removed ends the services of its cluster; one that stopped for another founder gives up what both have.
    pub(super) fn step_back(&mut self, is_retired: bool) -> Result<()> {
        self.start_errand(if is_retired { Task::Leave } else { Task::Withdraw })
    }

    fn start_errand(&mut self, task: Task) -> Result<()> {
        let wake = self.wake.try_clone().context("copying a socket")?;
        let before = self.errand.take();
        self.errand = Some(Errand::start(task, before, self.root, &self.log, wake));
        Ok(())
    }

    /// Writes what must not be forgotten, and only then begins what follows from it. A disk that takes nothing is tried again.
    pub(super) fn remember(&mut self) -> Result<()> {
        match self.memory.write(self.root) {
            Ok(()) => {
                self.unwritten = None;
                self.machine.set_progress(self.memory.progress);
                self.begin()
            }
            Err(error) => {
                let reason = format!("{error:#}");
                if self.unwritten.as_ref() != Some(&reason) {
                    self.voice.say(&format!(
                        "nothing is begun before it can be remembered, and that failed: {reason}"
                    ));
                }
                self.unwritten = Some(reason);
                Ok(())
            }
        }
    }

    /// Follows the decision, if there is one and something to do: an election only while it holds.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.again = None;
        let rank = self.machine.rank();
        let founds = rank.is_founder() && (self.is_pinned || self.memory.elected);
        let is_decided = founds || self.memory.offer.is_some();
        if is_decided && !self.is_stopped() && self.errand.is_none() && self.state()?.state != Overall::Done {
            self.voice.say("runs `cias run`");
            self.start_errand(Task::Arrive { stepped: self.memory.stepped })?;
        }
        Ok(())
    }

    /// What the boot's `cias run` has left undone is gone on with, once that has had its time.
    fn go_on_later(&mut self) {
        if self.errand.is_none() && self.again.is_none() && self.doubt.is_none() {
            self.again = Some(self.clock.elapsed() + AFTER_BOOT / self.hurry);
        }
    }

    /// What `cias run` had brought about is gone: it does so again, as at a boot. What it is at, or is to try again, comes first.
    pub(super) fn mend(&mut self, lost: &str) -> Result<()> {
        if !self.is_stopped() && self.errand.is_none() && self.again.is_none() {
            self.voice.say(&format!("{lost} is to be done again: runs `cias run`"));
            self.start_errand(Task::Mend)?;
        }
        Ok(())
    }

    /// Must a person look before it does anything?
    fn is_stopped(&self) -> bool {
        self.machine.rank().phase == Phase::Stopped || self.memory.stopped.is_some()
    }

    fn state(&self) -> Result<Status> {
        Ok(Status::of(&journal::read(self.root)?.unwrap_or_default(), false))
    }

    /// The hardware's clock has followed, if that could be.
    fn forget_step(&mut self) {
        if std::mem::take(&mut self.memory.stepped)
            && let Err(error) = self.memory.write(self.root)
        {
            self.log.note(&format!("warning: {error:#}"));
        }
    }

    /// Has it tried again after a pause, which it returns, unless it has stopped.
    fn try_again(&mut self, reason: &str) -> Duration {
        let pause = self.patience.pause(reason);
        self.again = (!self.is_stopped()).then(|| self.clock.elapsed() + pause / self.hurry);
        pause
    }

    pub(super) fn end_errand(&mut self) -> Result<()> {
        let Some(ended) = self.errand.as_ref().and_then(Errand::ended) else { return Ok(()) };
        self.note_begun()?;
        self.errand = None;
        if self.doubt.is_some() {
            // How it ended says nothing: it was stopped.
            return self.resolve();
        }
        self.forget_step();
        let sentence = match ended {
            Ended::Left => "this node was removed from the cluster, and its services were ended".to_owned(),
            Ended::Withdrawn => {
                "this founder has stopped, and its address, keepalived and the enrolment were given up"
                    .to_owned()
            }
            Ended::Done => {
                self.patience = Patience::default();
                let status = self.state()?;
                format!(
                    "this node is {} with {}",
                    status.fqdn.unwrap_or_default(),
                    status.address.map(|address| address.to_string()).unwrap_or_default()
                )
            }
            Ended::TryLater(reason) => {
                let before = self.patience.last();
                let pause = self.try_again(&reason);
                // Once, when it takes longer than a Master that just starts.
                if self.again.is_some() && before < LONGEST && pause == LONGEST {
                    self.tell(News::Waits(reason.clone(), pause.as_secs()));
                }
                format!("`cias run` waits and is tried again in {} s: {reason}", pause.as_secs())
            }
            Ended::Failed(reason) if !self.is_stopped() => {
                self.tell(News::Failed(without_code(&reason).to_owned(), true));
                let pause = self.try_again(&reason);
                format!("`cias run` failed and is tried again in {} s: {reason}", pause.as_secs())
            }
            Ended::Failed(reason) | Ended::Refused(reason) => {
                self.tell(News::Failed(without_code(&reason).to_owned(), false));
                format!(
                    "`cias run` failed, and goes on once that is put right and it is started again: {reason}"
                )
            }
        };
        if self.shown.run.as_ref() != Some(&sentence) {
            self.voice.say(&sentence);
        }
        self.shown.run = Some(sentence);
        self.publish(true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_cias_run_is_the_one_that_it_has_told() {
        assert_eq!(without_code("exit code 5: step 1 of 4: a: no: b"), "step 1 of 4: a: no: b");
        assert_eq!(without_code("vmbr0: down"), "vmbr0: down");
    }
}
