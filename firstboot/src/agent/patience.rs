//! How long the agent waits before it tries something again.

use std::time::Duration;

use crate::notify;

/// The first pause.
const FIRST: Duration = Duration::from_secs(30);

/// The longest pause.
pub const LONGEST: Duration = Duration::from_mins(10);

/// How long to wait before the next try: twice as long each time, as long as the reason is the same.
#[derive(Debug, Default)]
pub struct Patience {
    reason: String,
    pause: Duration,
}

impl Patience {
    /// The pause after a try that found it too early for `reason`.
    pub fn pause(&mut self, reason: &str) -> Duration {
        let reason = notify::gist(reason);
        self.pause = if reason == self.reason { (self.pause * 2).min(LONGEST) } else { FIRST };
        self.reason = reason;
        self.pause
    }

    /// The pause before this one; none if there was none.
    pub fn last(&self) -> Duration {
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_while_the_reason_stays_and_begins_anew_with_another() {
        let mut patience = Patience::default();
        let mut seconds = |reason: &str| patience.pause(reason).as_secs();
        let same: Vec<u64> = (0..7).map(|count| seconds(&format!("{count} of 50 answered"))).collect();
        assert_eq!(same, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!([seconds("no quorum"), seconds("no quorum"), seconds("1 of 50 answered")], [30, 60, 30]);
    }
}
