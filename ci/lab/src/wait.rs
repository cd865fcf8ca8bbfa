//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

use anyhow::Result;

/// A deadline has passed: perhaps the machine was too slow, which CI may forgive once.
#[derive(Debug)]
pub struct Late(pub String);

impl std::fmt::Display for Late {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Late {}

/// How long to rest between two looks at a condition that cannot wake us.
const REST: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3);

/// Looks at `condition` until it gives a value; nothing after `limit`.
pub fn until<T>(limit: Duration, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let end = Instant::now() + limit;
    loop {
        let start = Instant::now();
        if let Some(value) = condition()? {
            return Ok(Some(value));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        // A file that another process writes can only be looked at again.
        std::thread::sleep(rest(start.elapsed()));
    }
}

/// A look over ssh takes the processor of the server whose work is awaited, so a long one is followed by a longer rest.
fn rest(look: Duration) -> Duration {
    (look * 2).clamp(*REST.start(), *REST.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_a_look_the_longer_the_rest_within_bounds() {
        for (look, wanted) in [(0, 100), (30, 100), (400, 800), (60_000, 3000)] {
            assert_eq!(rest(Duration::from_millis(look)), Duration::from_millis(wanted), "{look} ms");
        }
    }
}
