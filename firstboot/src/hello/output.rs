//! What comes out of the machine.

use std::time::Duration;

use super::frame::{Frame, Offer, Request};
use super::rank::Phase;
use super::{MachineId, Nonce};

/// What is to be done or told, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this frame to all.
    Send(Frame),
    /// The phase changed.
    Phase(Phase),
    /// This machine founds. Nothing may be done about it before that is on the disk.
    Elected,
    /// It was elected, and another one goes before it. What was begun is to be ended, then `Machine::set_progress` tells whether anything
    /// was, and `Machine::set_in_doubt` that nothing runs any more.
    Yielded(MachineId),
    /// It has founded or formatted, and another one goes before it: no provisioning, no offers, no address; a person must
    /// look.
    Stopped(MachineId),
    /// Another founder or Master is there too. Told once for each.
    Rival(MachineId),
    /// A machine asks this Master for a place: look into the ledger, keep the answer, then `Machine::offer` or
    /// `Machine::refuse`.
    Asked(Asking),
    /// A Master gave a place.
    Offered(Offer),
    /// A Master gave none, or does not know the one that this machine has; it is asked again after the pause.
    Refused(String, Duration),
    /// A Master knows this machine's place after all.
    Confirmed,
    /// The Master says that this machine's place was taken from it for good.
    Retired(String),
    /// Another machine says to be this one. Told once.
    Twin,
}

/// A request that proved to be of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Who asks.
    pub from: MachineId,
    /// To be echoed.
    pub nonce: Nonce,
    /// What it is.
    pub request: Request,
}

/// What was heard and not believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Own frames that came back.
    pub own: u64,
    /// Offers, refusals, requests and frames under this machine's name that echo no number of the last moment: recorded
    /// ones, or late.
    pub stale: u64,
    /// Frames of another machine under this one's name.
    pub twins: u64,
}
