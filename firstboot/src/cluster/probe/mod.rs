//! Does multicast pass between this node and the Master? cman needs it, and where a switch drops it a join would wait for ever.
//!
//! Node and Master use the very group that cman will use, on another port: switches decide by the group. The node asks by multicast, and
//! the Master answers by multicast, so that both ways are proved.

pub mod frame;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::frame::{Frame, Nonce};

/// cman has 5404 and 5405.
pub const PORT: u16 = 5406;

/// How long the node asks.
const LIMIT: Duration = Duration::from_secs(10);

/// How often.
const PAUSE: Duration = Duration::from_millis(200);

/// As many questions must be answered: one alone may have been flooded before a switch made up its mind.
const WANTED: usize = 3;

/// How often the responder looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Questions that were sent.
    pub asked: usize,
    /// Those that were answered.
    pub answered: usize,
}

impl Outcome {
    /// Does multicast pass, both ways?
    pub fn passes(self) -> bool {
        self.answered >= WANTED
    }
}

/// The group that cman uses for the cluster `name`, if its configuration names none: `generate_cluster_id` and the default address in
/// cman/daemon/cman-preconfig.c (docs/facts.md 16).
pub fn group(name: &str) -> Ipv4Addr {
    let id = name.bytes().fold(0_u16, |id, byte| id.wrapping_shl(1).wrapping_add(u16::from(byte)));
    let [high, _] = id.to_be_bytes();
    // It is 255 there, not 256.
    let low = u8::try_from(id % 0xFF).unwrap_or_default();
    Ipv4Addr::new(239, 192, high, low)
}

/// The two sockets of one side.
struct Ends {
    hears: UdpSocket,
    speaks: UdpSocket,
    group: SocketAddrV4,
}

impl Ends {
    /// On the interface that has the address `own`.
    fn open(cluster: &str, own: Ipv4Addr, wait: Duration) -> Result<Self> {
        let group = SocketAddrV4::new(group(cluster), PORT);
        let failed = || format!("opening the multicast group {group} on the interface with {own}");
        // Bound to the group, it hears nothing else.
        let hears = UdpSocket::bind(group).with_context(failed)?;
        hears.join_multicast_v4(group.ip(), &own).with_context(failed)?;
        hears.set_read_timeout(Some(wait)).with_context(failed)?;
        // Linux sends multicast by the interface of the address that the socket is bound to (ip_route_output_key in net/ipv4/route.c).
        let speaks = UdpSocket::bind(SocketAddrV4::new(own, 0)).with_context(failed)?;
        speaks.set_multicast_ttl_v4(1).with_context(failed)?;
        speaks.set_multicast_loop_v4(false).with_context(failed)?;
        Ok(Self { hears, speaks, group })
    }

    /// A frame, if one came in the time given to [`Ends::open`].
    fn hear(&self, key: &str) -> Result<Option<Frame>> {
        let mut bytes = [0; frame::SIZE + 1];
        match self.hears.recv(&mut bytes) {
            Ok(count) => Ok(frame::decode(&bytes[..count], key)),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).context("hearing multicast"),
        }
    }

    fn say(&self, frame: Frame, key: &str) -> Result<()> {
        self.speaks.send_to(&frame::encode(frame, key)?, self.group).context("sending multicast").map(drop)
    }
}

/// Asks from the interface with the address `own` whether multicast passes for the cluster `cluster`; `key` is the site's.
pub fn probe(key: &str, cluster: &str, own: Ipv4Addr) -> Result<Outcome> {
    let ends = Ends::open(cluster, own, PAUSE / 4)?;
    let (begin, mut asked) = (Instant::now(), BTreeSet::<Nonce>::new());
    let (mut answered, mut sent, mut next) = (BTreeSet::new(), 0, Duration::ZERO);
    while begin.elapsed() < LIMIT && answered.len() < WANTED {
        if begin.elapsed() >= next {
            next += PAUSE;
            let nonce = fastrand::u128(..).to_be_bytes();
            ends.say(Frame::Ask(nonce), key)?;
            asked.insert(nonce);
            sent += 1;
        }
        if let Some(Frame::Answer(nonce)) = ends.hear(key)?
            && asked.contains(&nonce)
        {
            answered.insert(nonce);
        }
    }
    Ok(Outcome { asked: sent, answered: answered.len() })
}

/// The Master's side: answers until it is dropped.
#[derive(Debug)]
pub struct Responder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Answers for the cluster `cluster` on the interface with the address `own`; `key` is the site's.
    pub fn start(key: &str, cluster: &str, own: Ipv4Addr) -> Result<Self> {
        let ends = Ends::open(cluster, own, LOOK)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, key) = (stop.clone(), key.to_owned());
        let thread = std::thread::spawn(move || {
            while !asked.load(Ordering::SeqCst) {
                // A lost answer, or an interface that is down for a moment, is what the node's further questions are for.
                match ends.hear(&key) {
                    Ok(Some(Frame::Ask(nonce))) => drop(ends.say(Frame::Answer(nonce), &key)),
                    Ok(_) => {}
                    Err(_) => std::thread::sleep(LOOK),
                }
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_cmans() {
        assert_eq!(group("DLLL-CIAS"), Ipv4Addr::new(239, 192, 141, 238));
    }
}
