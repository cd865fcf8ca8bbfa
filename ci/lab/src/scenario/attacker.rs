//! A stranger on the segment, while a fresh server settles and joins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cias_firstboot::agent::link::{Link, Received};
use cias_firstboot::agent::published::Published;
use cias_firstboot::hello::frame::{Body, Codec, Frame, Hello, Offer};
use cias_firstboot::hello::rank::{Phase, Progress, Rank};
use cias_firstboot::hello::{MachineId, Nonce};

use super::Lab;
use super::fleet::{Fleet, Mould};
use super::formed::{self, NODES};
use super::intruder::{self, Keys};
use super::road::PHASES;
use crate::phases::Phases;

/// Between two bursts of frames.
const PAUSE: Duration = Duration::from_millis(40);

/// Frames that are kept to be sent again.
const KEPT: usize = 500;

/// Where the site's tag is in a frame (docs/cluster.md).
const TAG: std::ops::Range<usize> = 8..16;

/// Where the id of a frame's sender and the frame's number are.
const SENDER: std::ops::Range<usize> = 16..32;
const NUMBER: std::ops::Range<usize> = 32..40;

/// What the stranger wants to be.
const STRANGER: MachineId = MachineId([0xee; 16]);

/// Recordings, forgeries, floods and a false Master keep nobody out and let nobody in.
pub fn attacker(lab: &Lab) -> Result<()> {
    let mut fleet = formed::founder(lab, "attacker")?;
    fleet.add(&Mould::unpinned(lab)?)?;
    let keys = Keys::make(lab, &fleet.folder)?;
    let link = fleet.net.enter(|| Link::open("lan"))?.context("opening the lab's port")?;
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let attack = scope.spawn(|| attack(&link, &stop));
        let result = settle(&fleet, &keys);
        stop.store(true, Ordering::Relaxed);
        let sent = attack.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.and(sent)
    })?;
    eprintln!("lab: attacker: {sent} frames were sent");
    Ok(())
}

fn settle(fleet: &Fleet, keys: &Keys) -> Result<()> {
    let mut guests = fleet.start(0..2)?;
    let mut phases = Phases::begin();
    intruder::is_kept_out(fleet, keys, NODES[0])?;
    phases.note("nobody got in");
    formed::joined(fleet, &mut guests, &NODES[..2], &mut phases)?;
    formed::whole(fleet, &NODES[..2])?;
    intruder::is_kept_out(fleet, keys, NODES[0])?;
    for (address, wanted) in NODES.iter().zip(["serving", "member"]) {
        let text = fleet.node(address).ask("cat /run/cias/agent.json")?;
        let said: Published = serde_json::from_str(&text).context("reading what the agent says")?;
        let it = said.dropped;
        ensure!(
            it.malformed > 0 && it.forged > 0 && it.foreign > 0,
            "{address}: found {it:?}, wanted some of each that the stranger sent"
        );
        ensure!(said.phase == wanted && said.rivals.is_empty(), "{address}: found {said:?}, wanted {wanted}");
        ensure!(
            said.heard == 1 && !said.twin,
            "{address}: found {said:?}, wanted the other node alone to be heard"
        );
    }
    phases.end(&fleet.folder.join(PHASES))
}

/// Sends what a stranger without the key can, until it is told to stop; returns how many frames that were.
fn attack(link: &Link, stop: &AtomicBool) -> Result<u64> {
    let codec = Codec::new(&"5a".repeat(32))?;
    let mut recorded: Vec<Vec<u8>> = Vec::new();
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        while let Received::Frame(frame) = link.receive()? {
            if recorded.len() < KEPT {
                recorded.push(frame);
            }
        }
        let some = recorded.get(usize::try_from(count).unwrap_or_default() % recorded.len().max(1)).cloned();
        let burst = burst(&codec, some, count)?;
        for frame in &burst {
            link.send(frame)?;
        }
        count += burst.len() as u64;
        // A flood without pauses would only show how fast the lab is.
        std::thread::sleep(PAUSE);
    }
    Ok(count)
}

/// A recorded frame as it was, changed, and cut off; a false Master and its offer, under a wrong tag and the right one.
fn burst(codec: &Codec, recorded: Option<Vec<u8>>, number: u64) -> Result<Vec<Vec<u8>>> {
    let nonce = Nonce(number);
    let rank = Rank {
        phase: Phase::Serving,
        progress: Progress::ALL[Progress::ALL.len() - 1],
        may_found: true,
        priority: 101,
        id: STRANGER,
    };
    let hello = Body::Hello(Hello { rank, echoes: Vec::new(), asks: Vec::new() });
    // To whoever was heard, and with the number that an answer to its request repeats.
    let heard = |range: std::ops::Range<usize>| recorded.as_ref().and_then(|recorded| recorded.get(range));
    let to = heard(SENDER).and_then(|bytes| bytes.try_into().ok()).map_or(STRANGER, MachineId);
    let echo = heard(NUMBER)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(nonce, |bytes| Nonce(u64::from_be_bytes(bytes)));
    let offer = Body::Offer(Offer {
        to,
        echo,
        address: [10, 254, 9, 9].into(),
        name: "stranger".into(),
        master: [10, 0, 0, 254].into(),
        host_key: "ecdsa-sha2-nistp256 AAAA".into(),
        time: 1,
    });
    let mut frames = vec![b"CIAS".to_vec(), b"CIAS\x01\x01\xff\xff".to_vec(), vec![0; 64]];
    for body in [hello, offer] {
        let frame = codec.encode(&Frame { from: STRANGER, nonce, body })?;
        if let Some(tag) = heard(TAG) {
            let mut forged = frame.clone();
            forged[TAG].copy_from_slice(tag);
            frames.push(forged);
        }
        frames.push(frame);
    }
    if let Some(whole) = recorded {
        let mut changed = whole.clone();
        if let Some(byte) = changed.get_mut(TAG.end + 20) {
            *byte ^= 1;
        }
        frames.extend([whole[..whole.len() / 2].to_vec(), changed, whole]);
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cias_firstboot::hello::frame::Dropped;

    #[test]
    fn a_burst_has_every_kind_that_is_dropped_and_the_recorded_frame() {
        let (site, wrong) = (Codec::new(&"11".repeat(32)).unwrap(), Codec::new(&"5a".repeat(32)).unwrap());
        let body = Body::Versions(1);
        let frame = Frame { from: MachineId([1; 16]), nonce: Nonce(7), body };
        let bytes = site.encode(&frame).unwrap();
        let found: Vec<_> =
            burst(&wrong, Some(bytes.clone()), 3).unwrap().iter().map(|bytes| site.decode(bytes)).collect();
        for wanted in [Dropped::Malformed, Dropped::Foreign, Dropped::Forged] {
            assert!(found.contains(&Err(wanted)), "{wanted:?}: {found:?}");
        }
        assert_eq!(found.iter().filter(|one| one.as_ref() == Ok(&frame)).count(), 1);
        let offers: Vec<_> = burst(&wrong, Some(bytes), 3)
            .unwrap()
            .iter()
            .filter_map(|bytes| match wrong.decode(bytes).ok()?.body {
                Body::Offer(offer) => Some((offer.to, offer.echo)),
                _ => None,
            })
            .collect();
        assert_eq!(
            offers,
            [(frame.from, frame.nonce)],
            "the false offer is for the sender of what was heard"
        );
        assert!(burst(&wrong, None, 0).unwrap().iter().all(|bytes| site.decode(bytes).is_err()));
    }
}
