//! `cias simulate`: discovery and election as a node runs them, over a simulated wire, many times.
//!
//! A run is its seed: everything that happens in it is drawn from it, so a counter-example can be told by one number and is
//! shown event by event.

mod life;
mod node;
mod plan;
mod report;
mod wire;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;

use crate::outcome::Class;

pub use plan::{Defect, Plan};
pub use report::Report;
pub use world::Outcome;

/// One run in this many has as many nodes as the largest pool. Odd, so that their seeds are odd and even in turn
/// ([`Plan::draw`]).
const LARGE_EACH: u64 = 399;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// How many runs.
    pub runs: u64,
    /// Seed of the first run; the others follow.
    pub seed: u64,
    /// Nodes in each run; drawn if not given.
    pub nodes: Option<u16>,
    /// No run is large.
    pub small: bool,
    /// Breaks the environment on purpose.
    pub defect: Option<Defect>,
}

/// Does all runs, as many at a time as there are processors. `progress` hears how many are done.
pub fn simulate(request: &Request, progress: impl Fn(u64) + Sync) -> Result<Report> {
    let (next, done, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let outcomes = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= request.runs {
                        break;
                    }
                    let outcome = world::run(&plan_of(request, index), false);
                    if outcome.broken.is_some() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    if let Ok(mut all) = outcomes.lock() {
                        all.push(outcome);
                    }
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().map_err(|_| Class::Failed.error("a simulated run panicked"))?;
    Ok(Report::of(request, &outcomes))
}

/// The plan of the run with this index.
fn plan_of(request: &Request, index: u64) -> Plan {
    let seed = request.seed.wrapping_add(index);
    let is_large = request.nodes.is_none() && !request.small && index % LARGE_EACH == LARGE_EACH - 1;
    let large = is_large.then_some(plan::LARGEST);
    Plan::draw(seed, request.nodes.or(large), request.defect)
}

/// The first run once more, with its events.
pub fn trace(request: &Request) -> Outcome {
    world::run(&plan_of(request, 0), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(runs: u64, nodes: Option<u16>, defect: Option<Defect>) -> Request {
        Request { runs, seed: 1, nodes, small: true, defect }
    }

    #[test]
    fn small_sites_settle_whatever_happens_to_them() {
        let report = simulate(&request(40, None, None), |_| ()).unwrap();
        assert!(report.counter_example.is_none(), "{}", report.show());
        assert_eq!(report.runs, 40);
    }

    #[test]
    fn a_site_where_all_have_failed_for_good_has_settled_though_somebody_sends_old_frames() {
        let report = simulate(&Request { seed: 2274, ..request(1, None, None) }, |_| ()).unwrap();
        assert!(report.counter_example.is_none(), "{}", report.show());
    }

    #[test]
    fn a_run_is_its_seed() {
        let plan = Plan::draw(7, None, None);
        let (a, b) = (world::run(&plan, true), world::run(&plan, true));
        assert!(a.events.len() > 10);
        assert_eq!(a.events, b.events);
    }

    #[test]
    fn each_seeded_defect_is_found() {
        for defect in Defect::ALL {
            let report = simulate(&request(400, Some(6), Some(defect)), |_| ()).unwrap();
            let found = report.counter_example.as_ref();
            assert!(found.is_some_and(|found| !found.events.is_empty()), "{defect:?}: {}", report.show());
        }
    }

    #[test]
    fn a_counter_example_names_what_repeats_it() {
        let defect = Some(Defect::ReusedNonce);
        let report = simulate(&request(400, None, defect), |_| ()).unwrap();
        let found = report.counter_example.as_ref().unwrap();
        let (seed, nodes) = (found.seed, found.nodes);
        let again = format!("cias simulate --runs 1 --seed {seed} --nodes {nodes} --defect reused-nonce");
        assert!(report.show().contains(&again), "{}", report.show());
        let same = Request { seed, ..request(1, u16::try_from(nodes).ok(), defect) };
        assert_eq!(simulate(&same, |_| ()).unwrap().counter_example.unwrap().broken, found.broken);
    }

    #[test]
    fn a_large_run_is_its_seed_and_its_number_of_nodes() {
        for large in [LARGE_EACH - 1, 2 * LARGE_EACH - 1] {
            let all = Request { small: false, ..request(2000, None, None) };
            let plan = plan_of(&all, large);
            assert_eq!(plan.boots.len(), usize::from(plan::LARGEST));
            let again = Request { runs: 1, seed: plan.seed, nodes: Some(plan::LARGEST), ..all };
            assert_eq!(format!("{:?}", plan_of(&again, 0)), format!("{plan:?}"));
        }
    }
}
