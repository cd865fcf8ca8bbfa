//! A measured line: what, figure, ratio, goal, and whether the goal is met.

use std::fmt;

use serde::Serialize;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The ratio is at most this.
    Ratio(f64),
    /// The figure is below this, in its unit.
    Below(f64),
}

/// One line of the results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The part of the run that it belongs to.
    pub part: &'static str,
    /// What was measured.
    pub what: String,
    /// The figure; nothing if it could not be measured, and then `note` says why.
    pub figure: Option<f64>,
    /// What it counts.
    pub unit: Unit,
    /// The figure divided by the one it is compared with.
    pub ratio: Option<f64>,
    /// What is wanted of it.
    pub goal: Option<Goal>,
    /// Whether the goal is met; nothing without a goal or a figure.
    pub met: Option<bool>,
    /// What belongs to the figure, as its range.
    pub note: String,
}

impl Line {
    /// A figure.
    pub fn new(part: &'static str, what: impl Into<String>, figure: f64, unit: Unit) -> Self {
        let (what, note) = (what.into(), String::new());
        Self { part, what, figure: Some(figure), unit, ratio: None, goal: None, met: None, note }
    }

    /// Something that can't be measured here.
    pub fn missing(part: &'static str, what: impl Into<String>, unit: Unit, why: String) -> Self {
        Self { figure: None, note: why, ..Self::new(part, what, 0.0, unit) }
    }

    /// Compares with `base`, in the same unit.
    #[must_use]
    pub fn against(mut self, base: f64) -> Self {
        self.ratio = self.figure.filter(|_| base > 0.0).map(|figure| figure / base);
        self.judged()
    }

    /// States what is wanted.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self.judged()
    }

    /// Adds a remark.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn judged(mut self) -> Self {
        self.met = match self.goal {
            Some(Goal::Ratio(most)) => self.ratio.map(|ratio| ratio <= most),
            Some(Goal::Below(limit)) => self.figure.map(|figure| figure < limit),
            None => None,
        };
        self
    }

    /// Figure, ratio, goal and verdict as people read them.
    pub fn cells(&self) -> [String; 4] {
        let figure = self.figure.map_or_else(|| "not measured".into(), |figure| shown(figure, self.unit));
        let ratio = self.ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        let goal = match self.goal {
            Some(Goal::Ratio(most)) => format!("ratio <= {most:.3}"),
            Some(Goal::Below(limit)) => format!("< {}", shown(limit, self.unit)),
            None => "-".into(),
        };
        let met = match (self.goal, self.met) {
            (None, _) => "-",
            (_, Some(true)) => "met",
            (_, Some(false)) => "missed",
            (_, None) => "open",
        };
        [figure, ratio, goal, met.into()]
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [figure, ratio, goal, met] = self.cells();
        write!(out, "{:<58} {figure:>12} {ratio:>8}  {goal:<16} {met:<6}", self.what)?;
        if self.note.is_empty() { Ok(()) } else { write!(out, "  {}", self.note) }
    }
}

/// A figure with its unit.
fn shown(figure: f64, unit: Unit) -> String {
    const KIB: f64 = 1024.0;
    match unit {
        Unit::Seconds if figure < 1.0 => format!("{:.1} ms", figure * 1000.0),
        Unit::Seconds => format!("{figure:.2} s"),
        Unit::Bytes if figure < KIB * KIB => format!("{:.1} KiB", figure / KIB),
        Unit::Bytes if figure < KIB * KIB * KIB => format!("{:.1} MiB", figure / KIB / KIB),
        Unit::Bytes => format!("{:.2} GiB", figure / KIB / KIB / KIB),
    }
}

/// The middle of some figures: the mean of the two in the middle if their number is even. Nothing if there are none.
pub fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// Least and greatest figure, as a remark.
pub fn range(figures: &[f64], unit: Unit) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    format!("{} to {} in {} runs", shown(least, unit), shown(most, unit), figures.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_its_limit_and_a_bound_only_below_it() {
        let table = [
            (1.3, Goal::Ratio(1.3), "met"),
            (1.301, Goal::Ratio(1.3), "missed"),
            (0.9, Goal::Below(1.0), "met"),
            (1.0, Goal::Below(1.0), "missed"),
        ];
        for (figure, goal, wanted) in table {
            let line = Line::new("p", "w", figure, Unit::Seconds).against(1.0).goal(goal);
            assert_eq!(line.cells()[3], wanted, "{figure} {goal:?}");
        }
    }

    #[test]
    fn without_a_figure_a_goal_stays_open_and_without_a_goal_there_is_no_verdict() {
        let missing = Line::missing("p", "w", Unit::Bytes, "no root".into()).goal(Goal::Below(1.0));
        assert_eq!(missing.cells(), ["not measured", "", "< 0.0 KiB", "open"]);
        assert_eq!(Line::new("p", "w", 2.0, Unit::Seconds).cells(), ["2.00 s", "", "-", "-"]);
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        assert_eq!(median(&[]), None);
        assert!((median(&[3.0, 1.0, 2.0]).unwrap() - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]).unwrap() - 2.5).abs() < 1e-9);
    }

    #[test]
    fn figures_carry_the_unit_that_fits() {
        let table = [
            (0.0042, Unit::Seconds, "4.2 ms"),
            (1.5, Unit::Seconds, "1.50 s"),
            (512.0, Unit::Bytes, "0.5 KiB"),
            (3.0 * 1024.0 * 1024.0, Unit::Bytes, "3.0 MiB"),
            (4.0 * 1024.0 * 1024.0 * 1024.0, Unit::Bytes, "4.00 GiB"),
        ];
        for (figure, unit, wanted) in table {
            assert_eq!(shown(figure, unit), wanted);
        }
    }
}
