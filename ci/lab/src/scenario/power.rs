//! Power cuts: QEMU is killed at moments that a seed chooses, and the server is switched on again.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Lab;
use super::asserts;
use super::guard::FOUND;
use super::road::{self, BOOT, INSTALL, PHASES, Road};
use crate::guest::Guest;
use crate::kept;
use crate::phases::Phases;
use crate::site::FOUNDER;

/// Variable with another seed than 1.
const SEED: &str = "CIAS_LAB_SEED";

/// Cuts in one scenario.
const ROUNDS: u32 = 2;

/// What a node looks like when it is done, but for random numbers: names, network, which disk is mounted where. `look` is the
/// empty folder at which a half-made file system was mounted for a look; the agent writes `agent.json` and `notify` some time after all is done.
/// The stand-in of pve-cluster does not sync the names that it was started under, so a cut may leave zeroes in place of one.
const STATE: &str = "cd /etc; md5sum hostname hosts network/interfaces udev/rules.d/70-persistent-net.rules resolv.conf mailname postfix/main.cf; \
    sed 's/UUID=[^ ]*/UUID/' fstab; mount | grep ' on /data/' | sort; blkid -s TYPE -s LABEL /dev/vd[a-z] | sort; ls -A /data/*; ls -I look -I agent.json -I notify /var/lib/cias; \
    tr -d '\\0' </var/lib/pve-cluster/started-as | sort -u; cat /sys/class/net/bond0/bonding/slaves; ls /sys/class/net/vmbr0/brif";

/// A stage, as its lines on the console show it.
struct Stage {
    /// As in the journal.
    name: &'static str,
    /// The disks are made slow at this line.
    from: &'static str,
    /// From then on the moment may come.
    begun: Begun,
    /// And it is done when this line stands there.
    until: &'static str,
}

/// How one sees that a stage is at work.
#[derive(Clone, Copy)]
enum Begun {
    /// By a line on the console.
    Line(&'static str),
    /// By the first bytes on a disk that was blank: what runs in runlevel 2 is shown only when it has ended.
    Written(&'static str),
}

/// How a stage says on the console that it does something.
const STEP: &str = "cias: step ";

/// Operations that a disk does in a second while the moment is awaited.
const SLOW: u32 = 25;

/// Names and network are settled.
const IDENTITY: Stage = Stage {
    name: "identity",
    from: "Mounting local filesystems...done",
    begun: Begun::Line("cias: step 1 of 10"),
    until: "(founder, 10.254.0.1): pending",
};

/// Data disks are formatted.
const PROVISION: Stage = Stage {
    name: "provision",
    from: "INIT: Entering runlevel: 2",
    begun: Begun::Written("DATA1"),
    until: "(founder, 10.254.0.1): done",
};

/// While names and network are settled.
pub fn identity(lab: &Lab) -> Result<()> {
    let usual = Usual::find(lab)?;
    cut(lab, "power-cut-identity", &IDENTITY, &usual.state, usual.identity)
}

/// While data disks are formatted.
pub fn disks(lab: &Lab) -> Result<()> {
    let usual = Usual::find(lab)?;
    cut(lab, "power-cut-disks", &PROVISION, &usual.state, usual.provision)
}

/// Cuts at moments between two lines of the first boot, which are `window` seconds apart; each time the next boot must end in the
/// `wanted` state.
fn cut(lab: &Lab, name: &str, stage: &Stage, wanted: &str, window: f64) -> Result<()> {
    let seed = seed()?;
    let mut inside = 0;
    for round in 0..ROUNDS {
        // A copy of the disks as they were before the first boot.
        let road = Road::installed(lab, name)?;
        let foreign = asserts::fingerprint(road.disk("FOREIGN")?)?;
        let mut guest = road.start()?;
        reach(&road, &mut guest, stage)?;
        let moment = Duration::from_secs_f64(window * fraction(seed, name, round));
        eprintln!("lab: {name}: seed {seed}: power cut after {moment:.1?} of {window:.1} s");
        // The moment itself is what is tried; there is nothing to wait for.
        std::thread::sleep(moment);
        let before = guest.console();
        drop(guest);
        let mut guest = road.boot()?;
        asserts::settled(&road, &mut guest)?;
        let node = road.node();
        let found = node.ask(STATE)?;
        ensure!(found == wanted, "after the cut in round {round} found:\n{found}\nwanted:\n{wanted}");
        if !before.contains(stage.until) {
            inside += 1;
            let (console, status) = (guest.console(), node.ask("cias status")?);
            let said = status.contains("after power loss") && console.contains("after power loss");
            // What it printed may lag behind what it did, so the stage may have been at its end.
            let ended = !console.contains(STEP) && !console.contains(&format!("{}: resumed", stage.name));
            ensure!(said || ended, "`cias status` does not say that power was lost:\n{status}\n{console}");
        }
        drop(guest);
        ensure!(
            asserts::fingerprint(road.disk("FOREIGN")?)? == foreign,
            "the disk with foreign data was changed"
        );
    }
    eprintln!("lab: {name}: {inside} of {ROUNDS} cuts were inside the stage");
    Ok(())
}

/// A first boot without a cut.
#[derive(Serialize, Deserialize)]
struct Usual {
    /// The state that it ends in.
    state: String,
    /// How long each stage takes on slow disks, in seconds.
    identity: f64,
    provision: f64,
}

impl Usual {
    /// Of these programs; it is kept, so that one boot serves every scenario.
    fn find(lab: &Lab) -> Result<Self> {
        let folder = lab.folder.join("undisturbed");
        let file = folder.join("usual.json");
        let mut parts = road::of_installation(lab)?;
        parts.push(include_bytes!("power.rs").to_vec());
        kept::ensure(&folder, &parts, || {
            let text = serde_json::to_vec(&Self::boot(lab)?).context("writing a state as JSON")?;
            std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
        })?;
        let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}", file.display()))
    }

    fn boot(lab: &Lab) -> Result<Self> {
        let road = Road::installed(lab, "undisturbed")?;
        let mut guest = road.start()?;
        let mut window = |stage: &Stage| -> Result<f64> {
            reach(&road, &mut guest, stage)?;
            let start = Instant::now();
            guest.wait_for(stage.until, BOOT)?;
            guest.slow_disks(road.machine.disks.len(), 0)?;
            Ok(start.elapsed().as_secs_f64())
        };
        let (identity, provision) = (window(&IDENTITY)?, window(&PROVISION)?);
        asserts::settled(&road, &mut guest)?;
        Ok(Self { state: road.node().ask(STATE)?, identity, provision })
    }
}

/// Boots until the stage has begun, on disks that are slow by then.
fn reach(road: &Road, guest: &mut Guest, stage: &Stage) -> Result<()> {
    guest.wait_for(stage.from, BOOT)?;
    guest.slow_disks(road.machine.disks.len(), SLOW)?;
    match stage.begun {
        Begun::Line(line) => guest.wait_for(line, BOOT),
        Begun::Written(serial) => {
            let image = road.disk(serial)?.to_owned();
            guest.wait(&format!("byte on {serial}"), BOOT, |_| {
                let written = std::fs::metadata(&image).context("looking at a disk")?.blocks() > 0;
                Ok(written.then_some(()))
            })
        }
    }
}

/// While the vendor's installer runs, twice at a moment of the seed's, and once right after the marker was written. The
/// medium stays in: what is half done is done afresh, what is finished starts.
pub fn install(lab: &Lab) -> Result<()> {
    const NAME: &str = "power-cut-install";
    /// The part of an installation in which the disk is written: before it the medium is started, after it the server is reset.
    const WRITING: f64 = 0.7;
    let seed = seed()?;
    let usual = Phases::length(&road::installation(lab)?.join(PHASES))?;
    let road = Road::prepare(lab, NAME, FOUNDER, |_| ())?;
    road.put_foreign_data()?;
    let mut finished = false;
    for round in 0..2 {
        let mut guest = road.boot_image()?;
        guest.wait_for("Erasing", BOOT)?;
        let moment = usual.mul_f64(WRITING * fraction(seed, NAME, round));
        eprintln!("lab: {NAME}: seed {seed}: power cut {moment:.1?} after the countdown began");
        std::thread::sleep(moment);
        finished = guest.console().contains("cias: installation done");
        drop(guest);
        if finished {
            break;
        }
    }
    if !finished {
        let mut guest = road.boot_image()?;
        guest.wait_for("cias: installation done", INSTALL)?;
        ensure!(!guest.console().contains(FOUND), "a half-done installation was taken for a finished one");
    }
    let mut guest = road.boot_image()?;
    guest.wait_for(FOUND, BOOT)?;
    guest.wait_for_login(BOOT)?;
    complete(&road, &mut guest)
}

/// Everything that the installer does after its long steps is there.
fn complete(road: &Road, guest: &mut Guest) -> Result<()> {
    asserts::settled(road, guest)?;
    let node = road.node();
    node.equals("grep -c ' /data/' /proc/mounts", "2")?;
    node.equals("dpkg-query -W -f '${Status}\n' | sort -u", "install ok installed")?;
    node.equals("stat -c %a /etc/cias/site.toml", "600")?;
    node.contains("cat /var/log/cias/install.log", "grub-install")
}

fn seed() -> Result<u64> {
    match std::env::var(SEED) {
        Ok(text) => text.parse().with_context(|| format!("reading {SEED}: found {text:?}, wanted a number")),
        Err(_) => Ok(1),
    }
}

/// A number from 0 to 1 that depends on nothing but its arguments.
fn fraction(seed: u64, name: &str, round: u32) -> f64 {
    let hash = Sha256::digest(format!("{seed} {name} {round}"));
    f64::from(u16::from_be_bytes([hash[0], hash[1]])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_depend_on_seed_scenario_and_round_alone() {
        let one = fraction(1, "a", 0);
        assert!((0.0..=1.0).contains(&one));
        assert!((one - fraction(1, "a", 0)).abs() < f64::EPSILON);
        for other in [fraction(2, "a", 0), fraction(1, "b", 0), fraction(1, "a", 1)] {
            assert!((one - other).abs() > f64::EPSILON);
        }
    }
}
