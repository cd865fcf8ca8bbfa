//! One simulated node: its machine while it runs, and what its disk keeps when it does not.

use std::time::Duration;

use crate::hello::machine::{Machine, Me};
use crate::hello::rank::{Phase, Progress};
use crate::hello::timing::Timing;
use crate::hello::{Draw, MachineId, Nonce};
use crate::site::{Place, Who};

use super::plan::{Defect, Plan};

/// What a node's disk keeps.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub progress: Progress,
    pub place: Option<Place>,
    pub is_member: bool,
    /// The cluster that it founded or got its place from.
    pub cluster: Option<usize>,
}

/// A node.
pub(super) struct Node {
    pub number: usize,
    pub priority: u8,
    pub disk: Disk,
    /// Off while there is none.
    pub machine: Option<Machine>,
    /// Counts the boots, so that what an earlier one asked for is not done.
    pub boot: u32,
    /// When its tick is on the agenda.
    pub ticks: Option<Duration>,
    /// It yielded, and what it began as founder has not come to its end.
    pub in_doubt: bool,
}

impl Node {
    pub fn new(number: usize, priority: u8) -> Self {
        Self { number, priority, disk: Disk::default(), machine: None, boot: 0, ticks: None, in_doubt: false }
    }

    /// Known by its number, in an order that is not that of the numbers.
    pub fn id(&self) -> MachineId {
        let number = u64::try_from(self.number).unwrap_or_default();
        let mixed = fastrand::Rng::with_seed(number).u128(..);
        MachineId(mixed.to_be_bytes())
    }

    pub fn who(&self) -> Who {
        Who { macs: Vec::new(), serial: Some(format!("S{}", self.number)) }
    }

    pub fn phase(&self) -> Option<Phase> {
        self.machine.as_ref().map(|machine| machine.rank().phase)
    }

    pub fn is_founder(&self) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.rank().is_founder())
    }

    /// Switches it on.
    pub fn start(&mut self, plan: &Plan, now: Duration) {
        self.boot += 1;
        self.in_doubt = false;
        let seed =
            plan.seed ^ u64::from(self.boot) << 32 ^ u64::try_from(self.number).unwrap_or_default() << 40;
        let me = Me {
            id: self.id(),
            may_found: self.priority > 0,
            priority: self.priority,
            progress: self.disk.progress,
            who: self.who(),
            release: "3.2".into(),
        };
        let mut timing = Timing::default();
        if plan.defect == Some(Defect::NoListening) {
            timing.listen = Duration::ZERO;
        }
        let mut machine = Machine::new(me, timing, draw(plan.defect, seed), seed, now);
        machine.set_carrier(true, now);
        if let Some(place) = &self.disk.place {
            machine.set_offered(place.address);
        }
        if self.disk.is_member {
            machine.set_member(false, now);
        }
        (self.machine, self.ticks) = (Some(machine), None);
    }
}

fn draw(defect: Option<Defect>, seed: u64) -> Draw {
    if defect == Some(Defect::ReusedNonce) {
        return Box::new(move || Nonce(seed));
    }
    let mut rng = fastrand::Rng::with_seed(!seed);
    Box::new(move || Nonce(rng.u64(..)))
}
