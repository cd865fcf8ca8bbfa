//! The clock of a server that takes its place: a dead battery must not keep it out, as certificates, keys and corosync want the Master's time.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use crate::runner::Call;
use crate::system::{Sysroot, System};

/// Differences up to this many seconds are ntp's to mend, and the way of a frame.
const FINE: u64 = 1;

/// Sets the clock to `time`, in seconds since 1970, if it is further off than a second; returns by how many seconds it was behind. In a test's
/// folder nothing is set.
pub fn set(root: &Sysroot, time: u64) -> Result<Option<i64>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    if now.abs_diff(time) <= FINE {
        return Ok(None);
    }
    let off = i64::try_from(time).unwrap_or(i64::MAX).saturating_sub_unsigned(now);
    if root.is_machine() {
        let time = i64::try_from(time).context("reading the Master's time")?;
        clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(time, 0)).context("setting the clock")?;
    }
    Ok(Some(off))
}

/// Has the hardware's clock follow, and ntp go on from there: it ends itself where it finds a step.
pub fn keep(system: &System) {
    let mut calls = vec![Call::new("hwclock").args(["--systohc", "--utc"])];
    if system.root.has("/etc/init.d/ntp") {
        calls.push(Call::new("invoke-rc.d").args(["ntp", "restart"]));
    }
    for call in calls {
        if let Err(error) = system.runner.run(&call) {
            system.log.say(&format!("agent: warning: {error:#}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::tree::Tree;

    #[test]
    fn only_what_is_off_by_more_than_a_second_is_set() {
        let tree = Tree::from_text("");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(set(&tree.root(), now).unwrap(), None);
        let off = set(&tree.root(), 946_684_800).unwrap().unwrap();
        assert!(off < -800_000_000, "{off}");
        assert!(set(&tree.root(), now + 3600).unwrap().unwrap() >= 3598);
    }

    #[test]
    fn the_hardwares_clock_and_ntp_follow() {
        let log = Log::silent();
        for (text, wanted) in [
            ("", vec!["hwclock --systohc --utc"]),
            ("/etc/init.d/ntp = x\n", vec!["hwclock --systohc --utc", "invoke-rc.d ntp restart"]),
        ] {
            let (tree, fake) = (Tree::from_text(text), Fake::default());
            keep(&System { root: tree.root(), runner: &fake, log: &log });
            assert_eq!(fake.lines(), wanted);
        }
    }
}
