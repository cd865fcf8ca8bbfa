//! Stand-in: records calls and answers from a script instead of running anything. For tests only.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;

use super::host::needless;
use super::{Call, Conversation, Output, Runner, Stop, table};
use crate::outcome::Class;

type Deed = Box<dyn Fn() + Send + Sync>;
type Answer = Box<dyn Fn(&str) -> Output + Send + Sync>;
type Speaker = Arc<dyn Fn(UnixStream) + Send + Sync>;

/// Answers each call by the first rule whose beginning fits its line; calls without a rule succeed in silence. Calls
/// outside the table are errors, as on the real machine. No time passes.
#[derive(Default)]
pub(crate) struct Fake {
    rules: Vec<(String, i32, String, String)>,
    deeds: Vec<(String, Deed)>,
    answers: Vec<(String, Answer)>,
    speaker: Option<Speaker>,
    lines: Mutex<Vec<String>>,
    rested: Mutex<Duration>,
    cut: Option<usize>,
    hangs: Option<String>,
}

impl Fake {
    /// Calls whose line begins with `line` print `stdout`.
    pub(crate) fn prints(mut self, line: &str, stdout: &str) -> Self {
        self.rules.push((line.into(), 0, stdout.into(), String::new()));
        self
    }

    /// Calls whose line begins with `line` end with `code` and print `stderr`.
    pub(crate) fn fails(mut self, line: &str, code: i32, stderr: &str) -> Self {
        self.rules.push((line.into(), code, String::new(), stderr.into()));
        self
    }

    /// Calls whose line begins with `line` do this to the machine, whatever else they answer.
    pub(crate) fn does(mut self, line: &str, deed: impl Fn() + Send + Sync + 'static) -> Self {
        self.deeds.push((line.into(), Box::new(deed)));
        self
    }

    /// Calls whose line begins with `line` and that have no rule answer with what this makes of the line.
    pub(crate) fn answers(
        mut self,
        line: &str,
        answer: impl Fn(&str) -> Output + Send + Sync + 'static,
    ) -> Self {
        self.answers.push((line.into(), Box::new(answer)));
        self
    }

    /// The other side of every conversation.
    pub(crate) fn speaks(mut self, speaker: impl Fn(UnixStream) + Send + Sync + 'static) -> Self {
        self.speaker = Some(Arc::new(speaker));
        self
    }

    /// The power goes before (even) or after (odd) a call: at 0 before the first one. From then on nothing runs.
    pub(crate) fn cut_at(mut self, point: usize) -> Self {
        self.cut = Some(point);
        self
    }

    /// The call whose line begins with `line` goes on until what it belongs to has ended.
    pub(crate) fn hangs(mut self, line: &str) -> Self {
        self.hangs = Some(line.into());
        self
    }

    fn pass(&self, point: usize) -> Result<()> {
        if self.cut.is_some_and(|cut| point >= cut) {
            return Err(Class::Interrupted.error("the power is gone"));
        }
        Ok(())
    }

    /// The lines of all calls so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// For how long it was waited.
    pub(crate) fn rested(&self) -> Duration {
        *self.rested.lock().unwrap()
    }

    fn record(&self, call: &Call) -> Result<String> {
        table::check(table::TABLE, call)?;
        let line = call.line();
        let count = {
            let mut lines = self.lines.lock().unwrap();
            lines.push(line.clone());
            lines.len() - 1
        };
        self.pass(2 * count)?;
        for (_, deed) in self.deeds.iter().filter(|(start, _)| line.starts_with(start)) {
            deed();
        }
        self.pass(2 * count + 1)?;
        Ok(line)
    }

    fn answer(&self, line: &str) -> Output {
        let rule = self.rules.iter().find(|rule| line.starts_with(&rule.0));
        let made = || {
            let answer = self.answers.iter().find(|answer| line.starts_with(&answer.0));
            answer.map_or_else(Output::default, |(_, answer)| answer(line))
        };
        rule.map_or_else(made, |(_, code, stdout, stderr)| Output {
            code: *code,
            stdout: stdout.clone(),
            stderr: stderr.clone(),
        })
    }
}

impl Runner for Fake {
    fn outcome(&self, call: &Call) -> Result<Output> {
        let line = self.record(call)?;
        if self.hangs.as_ref().is_some_and(|hangs| line.starts_with(hangs)) {
            let (gone, why) = call.until.clone().unwrap_or_default();
            assert!(gone.rest(Duration::from_secs(30)), "`{line}` hangs for ever");
            return Err(needless(why));
        }
        Ok(self.answer(&line))
    }

    fn converse(&self, call: &Call) -> Result<Conversation> {
        let line = self.record(call)?;
        let (ours, theirs) = UnixStream::pair()?;
        let speaker = self.speaker.clone();
        let gone = Stop::default();
        let tell = gone.clone();
        let speaking = std::thread::spawn(move || {
            let said = speaker.map(|speak| speak(theirs));
            tell.ask();
            said
        });
        let (output, answer) = (BufReader::new(ours.try_clone()?), self.answer(&line));
        Ok(Conversation::new(ours.try_clone()?, output, gone, move || {
            ours.shutdown(std::net::Shutdown::Both)?;
            speaking.join().map_err(|_| anyhow::anyhow!("the other side panicked"))?;
            Ok(answer)
        }))
    }

    fn rest(&self, pause: Duration) -> Result<()> {
        *self.rested.lock().unwrap() += pause;
        Ok(())
    }
}
