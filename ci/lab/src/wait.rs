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

/// How often a condition is looked at that cannot wake us.
const STEP: Duration = Duration::from_millis(100);

/// Looks at `condition` until it gives a value; nothing after `limit`.
pub fn until<T>(limit: Duration, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(Some(value));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        // A file that another process writes can only be looked at again.
        std::thread::sleep(STEP);
    }
}
