//! How the node stands to its cluster, what follows from that, and the answers to whoever asks for a place.

use std::time::Duration;

use anyhow::Result;

use super::super::desk::{Answer, Standing};
use super::super::post::News;
use super::Agent;
use crate::hello::frame::{Refusal, longest_text};
use crate::hello::rank::{Phase, Progress};
use crate::notify;
use crate::site::Who;

/// How often it is looked how the node stands.
pub(super) const STAND: Duration = Duration::from_secs(2);

impl Agent<'_> {
    /// Carries out what the desk found out.
    pub(super) fn take_answers(&mut self) -> Result<()> {
        while let Some(answer) = self.desk.answer() {
            let now = self.clock.elapsed();
            match answer {
                Answer::Stands(standing) => {
                    self.shown.cluster = None;
                    self.stand(standing, now)?;
                }
                Answer::Unknown(reason) => {
                    if self.shown.cluster.as_ref() != Some(&reason) {
                        self.voice.say(&format!("cannot tell how it stands to the cluster: {reason}"));
                    }
                    self.shown.cluster = Some(reason);
                }
                Answer::Offer(offer) => {
                    self.log.note(&format!("gives {} as {} to {}", offer.address, offer.name, offer.to));
                    let frame = self.machine.offer(offer, now);
                    self.send(&frame)?;
                }
                Answer::Refusal(refusal, who) => {
                    self.tell_refusal(&refusal, who, now);
                    self.log.note(&format!("gives {} no place: {}", refusal.to, refusal.reason));
                    let reason = longest_text(&refusal.reason);
                    let frame = self.machine.refuse(Refusal { reason, ..refusal }, now);
                    self.send(&frame)?;
                }
            }
        }
        Ok(())
    }

    /// Tells the administrator, once an hour for each machine and reason.
    fn tell_refusal(&mut self, refusal: &Refusal, who: Who, now: Duration) {
        let Refusal { to, reason, .. } = refusal;
        if self.mailed.is_new(&format!("{to} {}", longest_text(&notify::gist(reason))), now.as_secs()) {
            self.tell(News::NoPlace(refusal.clone(), who));
        }
    }

    /// Once a member, always one: without quorum a Master goes on being heard, and gives no places.
    fn stand(&mut self, standing: Standing, now: Duration) -> Result<()> {
        let phase = self.machine.rank().phase;
        let serves = match (standing, phase) {
            (_, Phase::Stopped)
            | (Standing::Away, _)
            | (Standing::Serving, Phase::Serving)
            | (Standing::Member, Phase::Member) => return Ok(()),
            (Standing::Serving, _) => true,
            (Standing::Member, _) => false,
        };
        if serves && self.memory.progress != Progress::Founded {
            self.memory.progress = Progress::Founded;
            self.remember()?;
            if self.unwritten.is_some() {
                return Ok(());
            }
            self.tell(News::Founded);
        }
        let out = self.machine.set_member(serves, now);
        self.carry_out(out)
    }
}
