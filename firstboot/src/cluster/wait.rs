//! Waiting for a condition.

use std::time::Duration;

use anyhow::Result;

use crate::runner::Runner;

/// How often to look.
pub const LOOK: Duration = Duration::from_millis(500);

/// Looks now, and then every [`LOOK`] until `look` finds something or `limit` is over; nothing if it is.
pub fn await_until<T>(
    runner: &dyn Runner,
    limit: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<Option<T>> {
    let mut left = limit;
    loop {
        let found = look();
        if found.is_some() || left.is_zero() {
            return Ok(found);
        }
        let pause = LOOK.min(left);
        runner.rest(pause)?;
        left -= pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::fake::Fake;

    #[test]
    fn it_looks_at_once_and_for_the_last_time_when_the_limit_is_over() {
        let limit = Duration::from_millis(1700);
        for (there_at, found, rested) in [(0, true, 0), (2, true, 1000), (4, true, 1700), (5, false, 1700)] {
            let (fake, mut looks) = (Fake::default(), 0..);
            let result = await_until(&fake, limit, || looks.next().filter(|look| *look >= there_at)).unwrap();
            assert_eq!((result.is_some(), fake.rested().as_millis()), (found, rested), "{there_at}");
        }
    }
}
