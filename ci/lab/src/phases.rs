//! How long each part of a scenario took, as a table for people and a file for programs.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A part in the file.
#[derive(Serialize, Deserialize)]
struct Row {
    what: String,
    seconds: f64,
}

/// Parts, each with its end.
#[derive(Clone, Debug)]
pub struct Phases {
    start: Instant,
    rows: Vec<(String, Duration)>,
}

impl Phases {
    /// They begin now.
    pub fn begin() -> Self {
        Self { start: Instant::now(), rows: Vec::new() }
    }

    /// They go on from those that were kept in `file`, as if that had just happened.
    pub fn after(file: &Path) -> Result<Self> {
        let (rows, last) = kept(file)?;
        let start = Instant::now().checked_sub(last).context("going back before this machine's start")?;
        Ok(Self { start, rows })
    }

    /// How long those took that were kept in `file`.
    pub fn length(file: &Path) -> Result<Duration> {
        kept(file).map(|(_, last)| last)
    }

    /// Something has happened now; what has happened before stays as it is.
    pub fn note(&mut self, what: &str) {
        if !self.has(what) {
            eprintln!("lab: {what} after {} s", self.start.elapsed().as_secs());
            self.rows.push((what.to_owned(), self.start.elapsed()));
        }
    }

    /// Has it happened?
    pub fn has(&self, what: &str) -> bool {
        self.rows.iter().any(|(name, _)| name == what)
    }

    /// Prints them and keeps them in `file`.
    pub fn end(&self, file: &Path) -> Result<()> {
        print!("{}", self.table());
        let row = |(what, at): &(String, Duration)| Row { what: what.clone(), seconds: at.as_secs_f64() };
        let rows: Vec<Row> = self.rows.iter().map(row).collect();
        let text = serde_json::to_string_pretty(&rows).context("writing the phases as JSON")?;
        std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or_default();
        let mut last = Duration::ZERO;
        self.rows.iter().fold(String::new(), |mut text, (what, at)| {
            let step = at.saturating_sub(last);
            last = *at;
            let _ = writeln!(
                text,
                "  {what:width$}  {:>6.1} s  (+{:.1} s)",
                at.as_secs_f32(),
                step.as_secs_f32()
            );
            text
        })
    }
}

/// What [`Phases::end`] kept, and the end of the last.
fn kept(file: &Path) -> Result<(Vec<(String, Duration)>, Duration)> {
    let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let kept: Vec<Row> =
        serde_json::from_slice(&text).with_context(|| format!("reading {}", file.display()))?;
    let rows: Vec<_> = kept.into_iter().map(|row| (row.what, Duration::from_secs_f64(row.seconds))).collect();
    let last = rows.iter().map(|(_, at)| *at).max().unwrap_or_default();
    Ok((rows, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_when_and_how_long() {
        let rows = [("power on", 0), ("identity of a", 61), ("quorum", 90)];
        let rows = rows.map(|(what, at)| (what.to_owned(), Duration::from_secs(at))).into();
        let phases = Phases { start: Instant::now(), rows };
        assert_eq!(
            phases.table(),
            "  power on          0.0 s  (+0.0 s)\n  identity of a    61.0 s  (+61.0 s)\n  quorum           90.0 s  (+29.0 s)\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("phases.json");
        phases.end(&file).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(read[1], serde_json::json!({"what": "identity of a", "seconds": 61.0}));
        let mut on = Phases::after(&file).unwrap();
        on.note("done");
        assert_eq!(on.rows[..3], phases.rows[..]);
        assert!(on.rows[3].1 >= Duration::from_secs(90), "{:?}", on.rows[3]);
        assert_eq!(Phases::length(&file).unwrap(), Duration::from_secs(90));
    }

    #[test]
    fn what_has_happened_is_noted_once() {
        let mut phases = Phases::begin();
        phases.note("x");
        phases.note("x");
        assert_eq!(phases.rows.len(), 1);
        assert!(phases.has("x") && !phases.has("y"));
    }
}
