//! What all runs came to, for people and programs.

use std::fmt::Write;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::plan::Defect;
use super::world::Outcome;
use super::{Request, trace};

/// The most events of a counter-example that are shown: those before its end.
const MOST_EVENTS: usize = 200;

/// Settle times of the quiet runs in which so many nodes were switched on together.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Least number of nodes.
    pub from: usize,
    /// Greatest number of nodes.
    pub to: usize,
    /// Number of runs.
    pub runs: usize,
    /// From the last boot until all had a place, in seconds: the fastest run.
    pub least: f64,
    /// The run in the middle.
    pub median: f64,
    /// The slowest run.
    pub most: f64,
    /// Frames that each node sent, in the middle.
    pub frames_per_node: f64,
}

/// A run in which something did not hold.
#[derive(Clone, Debug, Serialize)]
pub struct CounterExample {
    /// Its seed.
    pub seed: u64,
    /// Number of nodes.
    pub nodes: usize,
    /// What repeats it. The number of nodes belongs to it: that of a large run does not follow from its seed.
    pub again: String,
    /// What did not hold.
    pub broken: String,
    /// What happened, in its order.
    pub events: Vec<String>,
}

/// What all runs came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many runs were done.
    pub runs: usize,
    /// In how many of them nothing failed.
    pub quiet: usize,
    /// What was done wrong on purpose.
    pub defect: Option<Defect>,
    /// By the number of nodes.
    pub table: Vec<Row>,
    /// The first run that broke something.
    pub counter_example: Option<CounterExample>,
}

impl Report {
    pub(super) fn of(request: &Request, outcomes: &[Outcome]) -> Self {
        let broken = outcomes.iter().filter(|one| one.broken.is_some()).min_by_key(|one| one.seed);
        let counter_example = broken.map(|one| {
            // Once more, and this time it is written down.
            let same = Request { seed: one.seed, nodes: u16::try_from(one.nodes).ok(), ..*request };
            let mut events = trace(&same).events;
            let surplus = events.len().saturating_sub(MOST_EVENTS);
            events.drain(..surplus);
            let broken = one.broken.clone().unwrap_or_default();
            let again = again(one, request.defect);
            CounterExample { seed: one.seed, nodes: one.nodes, again, broken, events }
        });
        let timed: Vec<&Outcome> = outcomes.iter().filter(|one| one.quiet && one.together).collect();
        Self {
            runs: outcomes.len(),
            quiet: outcomes.iter().filter(|one| one.quiet).count(),
            defect: request.defect,
            table: [(2, 3), (4, 8), (9, 16), (17, 32), (33, 300), (301, 1270)]
                .into_iter()
                .filter_map(|(from, to)| row(&timed, from, to))
                .collect(),
            counter_example,
        }
    }

    /// As text.
    pub fn show(&self) -> String {
        let mut text = format!(
            "{} runs, {} of them quiet (frames lost and late, nothing fails)\n",
            self.runs, self.quiet
        );
        if !self.table.is_empty() {
            text += "seconds from power-on of all together until all have a place, in quiet runs:\n";
            text += "     nodes   runs   least  median    most   frames per node\n";
        }
        for row in &self.table {
            let _ = writeln!(
                text,
                "{:>4}-{:<5} {:>6} {:>7.1} {:>7.1} {:>7.1} {:>17.0}",
                row.from, row.to, row.runs, row.least, row.median, row.most, row.frames_per_node
            );
        }
        match &self.counter_example {
            None => text += "never two founders without a cut, no address twice, everyone settled\n",
            Some(found) => {
                let _ = writeln!(text, "seed {} with {} nodes: {}", found.seed, found.nodes, found.broken);
                let _ = writeln!(text, "`{}` repeats it; its last events:", found.again);
                for event in &found.events {
                    let _ = writeln!(text, "  {event}");
                }
            }
        }
        text
    }
}

/// The command that does this run once more.
fn again(run: &Outcome, defect: Option<Defect>) -> String {
    let defect = defect.and_then(|defect| defect.to_possible_value());
    let defect = defect.map_or(String::new(), |defect| format!(" --defect {}", defect.get_name()));
    format!("cias simulate --runs 1 --seed {} --nodes {}{defect}", run.seed, run.nodes)
}

fn row(all: &[&Outcome], from: usize, to: usize) -> Option<Row> {
    let here: Vec<&&Outcome> = all.iter().filter(|one| (from..=to).contains(&one.nodes)).collect();
    let mut times: Vec<Duration> = here.iter().filter_map(|one| one.settled).collect();
    times.sort();
    #[expect(clippy::cast_precision_loss, reason = "frames of a run are few")]
    let mut frames: Vec<f64> = here.iter().map(|one| one.frames as f64 / one.nodes as f64).collect();
    frames.sort_by(f64::total_cmp);
    Some(Row {
        from,
        to,
        runs: times.len(),
        least: times.first()?.as_secs_f64(),
        median: times.get(times.len() / 2)?.as_secs_f64(),
        most: times.last()?.as_secs_f64(),
        frames_per_node: *frames.get(frames.len() / 2)?,
    })
}
