//! Formatting several disks at once against formatting one, on disks of a limited speed.

use std::path::Path;

use anyhow::{Result, ensure};
use cias_firstboot::site::Site;

use crate::line::{Goal, Line, Unit, median, range};
use crate::node::Node;
use crate::throttle::Throttle;

const PART: &str = "parallel";
/// Disks at once.
const DISKS: usize = 4;
/// Size of each in bytes.
const SIZE: u64 = 16 << 30;
/// Bytes per second that each takes: slow enough that this machine's own disk does not count.
const RATE: u64 = 16 << 20;
/// At most so many times the time of one.
const GOAL: f64 = 1.5;
/// Runs of each.
const ROUNDS: usize = 3;

/// Both times, or why they can't be taken here.
pub fn lines(site: &Site, work: &Path) -> Vec<Line> {
    let what = format!("formatting {DISKS} disks at once, against one");
    measured(site, work, &what).unwrap_or_else(|error| {
        let line = Line::missing(PART, what, Unit::Seconds, format!("{error:#}"));
        vec![line.goal(Goal::Ratio(GOAL))]
    })
}

fn measured(site: &Site, work: &Path, what: &str) -> Result<Vec<Line>> {
    let (mut one, mut all) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(once(site, work, 1)?);
        all.push(once(site, work, DISKS)?);
    }
    let line = |what: String, figures: &[f64]| {
        let middle = median(figures).unwrap_or_default();
        Line::new(PART, what, middle, Unit::Seconds).note(range(figures, Unit::Seconds))
    };
    let single = line(format!("formatting one disk of {} GiB at {} MiB/s", SIZE >> 30, RATE >> 20), &one);
    let base = single.figure.unwrap_or_default();
    Ok(vec![single, line(what.to_owned(), &all).against(base).goal(Goal::Ratio(GOAL))])
}

/// Seconds of one boot with `count` blank disks.
fn once(site: &Site, work: &Path, count: usize) -> Result<f64> {
    let node = Node::new(work, count, SIZE)?;
    let throttle = Throttle::new(&node.disks, RATE)?;
    let (seconds, formats) = node.boot(site)?;
    drop(throttle);
    // Without this an ineffective limit would pass as a good result.
    let slowest = formats.iter().map(|format| format.bytes).max().unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "a disk's bytes stay below 2^53")]
    let least = slowest as f64 / RATE as f64 * 0.8;
    ensure!(
        seconds >= least,
        "the I/O controller has no effect: {slowest} bytes took {seconds:.2} s, wanted {least:.2} s or more"
    );
    Ok(seconds)
}
