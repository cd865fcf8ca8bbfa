//! Does another machine answer for this node's address? Two sites on one wire with the same addresses would fight over them, and each
//! would take the other's guests and storage for its own.
//!
//! As RFC 5227 has it: who asks names no address of its own, so that nobody learns a wrong one.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::agent::link::{Link, Received};
use crate::journal;
use crate::outcome::Class;
use crate::provision;
use crate::runner::Call;
use crate::step::{Finding, Step};
use crate::system::System;

/// The port that carries the address.
const BRIDGE: &str = "vmbr0";

/// Address resolution (RFC 826).
const ETHERTYPE: u16 = 0x0806;

/// How often it is asked: one question may be lost.
const QUESTIONS: u32 = 3;

/// How long after each question an answer is awaited.
const PATIENCE: Duration = Duration::from_millis(700);

/// Who has an address, by its Ethernet address.
type Mac = [u8; 6];

/// Ethernet over IPv4, six and four bytes, question.
const HEAD: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];

fn question(from: Mac, address: Ipv4Addr) -> Vec<u8> {
    [&HEAD[..], &from, &[0; 4], &[0; 6], &address.octets()].concat()
}

/// Who says in this packet that it has the address, or is about to take it.
fn claims(packet: &[u8], address: Ipv4Addr) -> Option<Mac> {
    let wanted = address.octets();
    let (kind, rest) = packet.get(..28)?.split_at(8);
    let mac: Mac = rest[..6].try_into().ok()?;
    let (sender, target) = (&rest[6..10], &rest[16..20]);
    let is_probe = kind[7] == 1 && sender == [0; 4] && target == wanted;
    (kind[..7] == HEAD[..7] && (sender == wanted || is_probe)).then_some(mac)
}

/// The Ethernet address of another machine on the wire of the port `name` that has `address`, if one answers within a few seconds.
pub fn holder(name: &str, address: Ipv4Addr) -> Result<Option<String>> {
    let Some(link) = Link::of_type(name, ETHERTYPE)? else { return Ok(None) };
    let own = own_addresses()?;
    for _ in 0..QUESTIONS {
        link.send(&question(link.address(), address))?;
        let end = Instant::now() + PATIENCE;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            match link.receive()? {
                Received::Frame(packet) => {
                    if let Some(mac) = claims(&packet, address).filter(|mac| !own.contains(mac)) {
                        return Ok(Some(mac.map(|byte| format!("{byte:02x}")).join(":")));
                    }
                }
                Received::Nothing => wait(&link, left)?,
                Received::Lost => return Ok(None),
            }
        }
    }
    Ok(None)
}

fn wait(link: &Link, left: Duration) -> Result<()> {
    let timeout = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(link.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error).context("waiting for answers"),
    }
}

/// Of all ports: a bond may send by any.
fn own_addresses() -> Result<Vec<Mac>> {
    let ports = nix::ifaddrs::getifaddrs().context("listing the network ports")?;
    Ok(ports.filter_map(|port| port.address?.as_link_addr()?.addr()).collect())
}

/// The sentence for people.
pub fn sentence(address: Ipv4Addr, holder: &str) -> String {
    format!(
        "{address} is this node's address and the machine with the network port {holder} answers for it: another site on this wire may use the same \
         addresses; give one of the two sites other ones (network.founder and nodes.rows in site.toml) and install it anew, or take that machine off the wire"
    )
}

/// Makes sure that nobody else has the node's address. A node that was done before is only warned: it must not end its services because a
/// stranger was plugged in.
pub struct Alone;

impl Alone {
    fn look(system: &System) -> Result<Option<String>> {
        let state = journal::read(&system.root)?.unwrap_or_default();
        let Some(place) = state.place else { return Ok(None) };
        if !system.root.has(&format!("/sys/class/net/{BRIDGE}")) {
            return Ok(None);
        }
        Ok(holder(BRIDGE, place.address)?.map(|holder| sentence(place.address, &holder)))
    }

    fn was_done(system: &System) -> Result<bool> {
        let state = journal::read(&system.root)?.unwrap_or_default();
        Ok(state.stage(provision::STAGE).is_some_and(|stage| {
            stage.steps.iter().any(|step| step.name == Self.name() && step.progress.is_done())
        }))
    }
}

impl Step for Alone {
    fn name(&self) -> &'static str {
        "look whether the address is free"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let Some(found) = Self::look(system)? else { return Ok(Finding::done()) };
        if Self::was_done(system)? {
            return Ok(Finding { todo: Vec::new(), warnings: vec![found] });
        }
        Ok(Finding::todo(format!("take {BRIDGE} down and stop, because {found}")))
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let Some(found) = Self::look(system)? else { return Ok(Vec::new()) };
        system.runner.run(&Call::new("ifdown").arg(BRIDGE))?;
        Err(Class::Refused
            .error(format!("{found}; {BRIDGE} was taken down, `ifup {BRIDGE}` brings it up again")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_address_or_is_about_to_take_it_is_found() {
        let (me, other): (Mac, Mac) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let address = Ipv4Addr::new(10, 254, 0, 1);
        let packet = |kind: u8, from: Mac, sender: [u8; 4], target: [u8; 4]| {
            [&[0, 1, 8, 0, 6, 4, 0, kind][..], &from, &sender, &me, &target].concat()
        };
        let (ours, theirs) = (address.octets(), [10, 254, 0, 2]);
        for (what, bytes, wanted) in [
            ("an answer", packet(2, other, ours, [0; 4]), Some(other)),
            ("an announcement", packet(1, other, ours, ours), Some(other)),
            ("somebody who asks for another", packet(1, other, ours, theirs), Some(other)),
            ("another probe", packet(1, other, [0; 4], ours), Some(other)),
            ("an answer of another address", packet(2, other, theirs, ours), None),
            ("a question for the address", packet(1, other, theirs, ours), None),
            ("cut off", packet(2, other, ours, [0; 4])[..27].to_vec(), None),
            ("another protocol", [&[0, 1, 8, 1][..], &packet(2, other, ours, ours)[4..]].concat(), None),
            ("our own probe", question(me, address), Some(me)),
        ] {
            assert_eq!(claims(&bytes, address), wanted, "{what}");
        }
        let padded = [packet(2, other, ours, [0; 4]), vec![0; 18]].concat();
        assert_eq!(claims(&padded, address), Some(other));
    }
}
