//! What happens in one run, all of it drawn from its seed.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

/// As many nodes as the largest pool has places (docs/facts.md 12).
pub const LARGEST: u16 = 1270;

/// From how many nodes on a site is large.
const MANY: usize = 256;

/// A thing done wrong on purpose, to show that the simulation would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// Machines do not listen before they claim.
    NoListening,
    /// Machines use one number over and over, so recorded frames count as new.
    ReusedNonce,
    /// A Master that restarts has forgotten whom it gave which place.
    LedgerNotPersisted,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NoListening, Self::ReusedNonce, Self::LedgerNotPersisted];
}

/// Who fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// A node by its number.
    Node(usize),
    /// The founder or Master of that time, if there is one.
    Leader,
}

/// A node that fails.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    /// When.
    pub at: Duration,
    /// Who.
    pub victim: Victim,
    /// When it is switched on again; a Master always is.
    pub back: Option<Duration>,
    /// Its disks are wiped and it is installed anew.
    pub reinstalled: bool,
}

/// A time in which two halves of the wire do not hear each other.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// When it begins.
    pub from: Duration,
    /// When it ends.
    pub to: Duration,
    /// Nodes below this number are on one side.
    pub below: usize,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All else follows from it.
    pub seed: u64,
    /// When each node is switched on.
    pub boots: Vec<Duration>,
    /// The priority of each.
    pub priorities: Vec<u8>,
    /// Part of the frames that are lost on their way to one receiver.
    pub loss: f64,
    /// Part that comes twice.
    pub twice: f64,
    /// The longest way; each frame takes its own time, so they overtake each other.
    pub delay: Duration,
    /// Nodes that fail.
    pub crashes: Vec<Crash>,
    /// A cut of the wire.
    pub cut: Option<Cut>,
    /// Between two old frames that somebody sends again.
    pub replay: Option<Duration>,
    /// That somebody also sends an old frame of a leader right behind each new one.
    pub shadows: bool,
    /// Done wrong on purpose.
    pub defect: Option<Defect>,
}

impl Plan {
    /// Draws a plan, with `nodes` nodes if given.
    pub fn draw(seed: u64, nodes: Option<u16>, defect: Option<Defect>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        // Drawn in any case, so that a seed means the same with the number given.
        let drawn = rng.u16(2..=32);
        let nodes = usize::from(nodes.unwrap_or(drawn));
        let seconds = |rng: &mut fastrand::Rng, from: u64, to: u64| {
            Duration::from_millis(rng.u64(from * 1000..=to * 1000))
        };
        // What takes ten minutes in a large site costs minutes to simulate and shows no more.
        let (spreads, haste) = if nodes > MANY { ([0, 1, 1, 10, 60], 4) } else { ([0, 1, 10, 120, 600], 1) };
        let spread = spreads[rng.usize(0..5)];
        let boots = (0..nodes).map(|_| seconds(&mut rng, 0, spread)).collect();
        let priorities = match rng.u8(0..4) {
            0 => (0..nodes).map(|_| rng.u8(0..=100)).collect(),
            1 => (0..nodes).map(|_| [0, 50][rng.usize(0..2)]).collect(),
            _ => vec![50; nodes],
        };
        let crashes = if rng.u8(0..10) < 4 { rng.usize(1..=3) } else { 0 };
        let crashes = (0..crashes).map(|_| {
            let victim = if rng.bool() { Victim::Leader } else { Victim::Node(rng.usize(0..nodes)) };
            // A founder is most vulnerable, and replaced, before it serves.
            let (from, to) =
                if victim == Victim::Leader && rng.bool() { (70, 200) } else { (0, 600 / haste) };
            let at = seconds(&mut rng, from, to);
            let back = (rng.u8(0..4) > 0).then(|| at + seconds(&mut rng, 1, 400 / haste));
            Crash { at, victim, back, reinstalled: rng.u8(0..4) == 0 }
        });
        let crashes = crashes.collect();
        let cut = (rng.u8(0..6) == 0).then(|| {
            let from = seconds(&mut rng, 0, 300 / haste);
            Cut { from, to: from + seconds(&mut rng, 5, 600 / haste), below: rng.usize(1..nodes.max(2)) }
        });
        let plan = Self {
            seed,
            boots,
            priorities,
            loss: [0.0, 0.01, 0.1, 0.3][rng.usize(0..4)],
            twice: [0.0, 0.1][rng.usize(0..2)],
            delay: Duration::from_millis([1, 20, 200, 1000][rng.usize(0..4)]),
            crashes,
            cut,
            replay: (rng.u8(0..3) == 0).then(|| Duration::from_millis(rng.u64(100..=2000))),
            shadows: rng.u8(0..4) == 0,
            defect,
        };
        // Every other large site is switched on together and left in peace: how long that takes is to be told.
        if nodes > MANY && seed % 2 == 1 {
            let boots = (0..nodes).map(|_| seconds(&mut rng, 0, 1)).collect();
            return Self { boots, crashes: Vec::new(), cut: None, ..plan };
        }
        plan
    }

    /// When the last thing of the plan happens.
    pub fn calm_after(&self) -> Duration {
        let crashes = self.crashes.iter().map(|crash| crash.back.unwrap_or(crash.at));
        let cut = self.cut.iter().map(|cut| cut.to);
        self.boots.iter().copied().chain(crashes).chain(cut).max().unwrap_or_default()
    }

    /// Nothing fails in it: frames are lost and late, no more.
    pub fn is_quiet(&self) -> bool {
        self.crashes.is_empty() && self.cut.is_none()
    }

    /// All nodes are switched on within a second or so.
    pub fn is_together(&self) -> bool {
        self.boots.iter().all(|at| *at <= Duration::from_secs(1))
    }
}
