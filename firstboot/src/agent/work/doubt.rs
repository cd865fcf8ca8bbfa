//! How much of a founding was begun: what the journal says of it is remembered, and decides whether a founder may still yield.

use anyhow::Result;

use super::Agent;
use crate::hello::rank::Progress;
use crate::journal::{self, Journal};

impl Agent<'_> {
    /// Once `cias run` has begun to take the founder's identity, this machine does not yield any more.
    pub(super) fn note_begun(&mut self) -> Result<()> {
        let may_begin = self.memory.progress == Progress::Nothing && (self.memory.elected || self.is_pinned);
        if may_begin && journal::read(self.root)?.is_some_and(|state| state.is_founders()) {
            self.memory.progress = Progress::Settled;
            self.remember()?;
        }
        Ok(())
    }

    /// It founds no more, unless something was begun: what runs for it is ended first, and that takes a moment. `sentence` is said if
    /// nothing was.
    pub(super) fn doubt(&mut self, sentence: String) -> Result<()> {
        self.machine.set_in_doubt(true);
        self.again = None;
        self.doubt = Some(sentence);
        if let Some(errand) = &self.errand {
            errand.stop();
        }
        self.resolve()
    }

    /// Decides a doubt by the journal, once nothing runs that could change it. A `cias run` that somebody else has started may hold the
    /// founder's identity in its hands, too; the next look tries again.
    pub(super) fn resolve(&mut self) -> Result<()> {
        if self.doubt.is_none() || self.errand.is_some() {
            return Ok(());
        }
        let journal = match Journal::open(self.root) {
            Ok(journal) => journal,
            Err(error) => {
                let sentence = format!("it cannot tell yet whether anything was begun here: {error:#}");
                if self.shown.run.as_ref() != Some(&sentence) {
                    self.voice.say(&sentence);
                }
                self.shown.run = Some(sentence);
                return Ok(());
            }
        };
        let is_begun = journal.state().is_founders();
        // With that progress the machine stops if the other one is still there.
        self.memory.progress = if is_begun { Progress::Settled } else { Progress::Nothing };
        if !is_begun {
            (self.memory.elected, self.memory.boot) = (false, None);
        }
        // Under the journal's lock: whoever gets it next reads what is remembered now.
        self.remember()?;
        if self.unwritten.is_none() {
            self.machine.set_in_doubt(false);
            self.shown.run = None;
            if let (Some(sentence), false) = (self.doubt.take(), is_begun) {
                self.voice.say(&sentence);
            }
        }
        Ok(())
    }
}
