//! Saved states themselves.

use anyhow::{Context, Result, ensure};

use super::Lab;
use super::formed;
use super::road::{ADDRESS, BOOT};
use crate::guest;

/// Processes and clocks of a founder go on where they were, twice from the same state, and both servers hear each other again.
pub fn saved_fleet(lab: &Lab) -> Result<()> {
    let mut before = None;
    for round in 0..2 {
        let fleet = formed::elected(lab, "saved-fleet")?;
        let start = std::time::Instant::now();
        let mut guests = fleet.start(0..2)?;
        eprintln!("lab: saved-fleet: restored in {:.1} s", start.elapsed().as_secs_f32());
        guest::all(&mut guests, "answer of the founder", BOOT, |_| {
            Ok(fleet.net.answers(ADDRESS)?.then_some(()))
        })?;
        let node = fleet.node(ADDRESS);
        let boot =
            node.ask("cat /proc/sys/kernel/random/boot_id; pgrep -x -f '/usr/sbin/cias-firstboot agent'")?;
        let uptime: f64 = node.ask("cut -d ' ' -f 1 /proc/uptime")?.parse().context("reading the uptime")?;
        if let Some((old, up)) = before.replace((boot.clone(), uptime)) {
            ensure!(old == boot, "the second time found {boot:?}, wanted {old:?}");
            ensure!((uptime - up).abs() < 60.0, "found an uptime of {uptime} s, wanted one near {up} s");
        }
        node.ask(&format!("touch /root/round-{round}"))?;
        node.equals("ls /root/round-*", &format!("/root/round-{round}"))?;
        // It counts whom it heard in the last seconds only.
        guest::all(&mut guests, "hello of the other server", BOOT, |_| {
            let said: serde_json::Value = serde_json::from_str(&node.ask("cat /run/cias/agent.json")?)?;
            Ok((said["phase"] == "founder" && said["heard"] == 1).then_some(()))
        })?;
    }
    Ok(())
}
