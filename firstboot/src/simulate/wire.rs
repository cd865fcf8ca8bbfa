//! The simulated wire: what is sent reaches each node late, twice or not at all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use crate::hello::frame::Frame;

/// Receivers of one frame get it in this many portions, each after a time of its own.
const PORTIONS: usize = 4;

/// What comes to pass.
pub(super) enum Event {
    /// A node is switched on.
    Boot { node: usize, reinstalled: bool },
    /// A node fails: the one at this place of the plan's list.
    Crash(usize),
    /// A machine's tick, if that is the boot that asked for it.
    Tick { node: usize, boot: u32 },
    /// A founder gets a step further, or a node joins.
    Step { node: usize, boot: u32 },
    /// The members agree on another Master.
    Takeover { cluster: usize },
    /// A part of the receivers gets a frame; the sender is nobody if it is an old one.
    Portion { frame: Rc<Frame>, sender: Option<usize>, portion: usize },
    /// One node gets a frame once more.
    Again { frame: Rc<Frame>, node: usize, sender: Option<usize> },
    /// Somebody sends an old frame.
    Replay,
    /// The last thing of the plan is over: it may be that nobody lives whom anything more could happen to.
    Calm,
}

struct Due {
    at: Duration,
    /// Equal times keep their order, or a run would not be its seed.
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What is yet to come, in its order.
#[derive(Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<Due>>,
    number: u64,
}

impl Agenda {
    pub fn add(&mut self, at: Duration, event: Event) {
        self.number += 1;
        self.heap.push(Reverse(Due { at, number: self.number, event }));
    }

    pub fn next(&mut self) -> Option<(Duration, Event)> {
        self.heap.pop().map(|Reverse(due)| (due.at, due.event))
    }

    /// Sends a frame to all; each portion of them gets it after a time of up to `delay`.
    pub fn send(
        &mut self,
        frame: &Rc<Frame>,
        sender: Option<usize>,
        now: Duration,
        delay: Duration,
        rng: &mut fastrand::Rng,
    ) {
        for portion in 0..PORTIONS {
            let late = delay.mul_f64(rng.f64());
            self.add(now + late, Event::Portion { frame: frame.clone(), sender, portion });
        }
    }
}

/// Does a node belong to a portion of the receivers of a frame?
pub(super) fn is_in(node: usize, portion: usize, frame: &Frame) -> bool {
    // Which ones go together differs from frame to frame.
    let number = usize::try_from(frame.nonce.0 & 0xff).unwrap_or_default();
    (node + number).wrapping_mul(7) / 3 % PORTIONS == portion
}
