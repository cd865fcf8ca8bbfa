//! The wire: raw Ethernet frames of one type on one port, sent to all.
//!
//! Broadcast, not a multicast group: every switch passes it on, snooping or not, and nobody else reads our type. The head is written here, because a raw
//! socket needs no address to send and so the safe calls of `nix` do for all of it: the kernel's own list of ports has the address to bind to.

use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::bind;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::hello::ETHERTYPE;
use crate::hello::frame::MOST;
use crate::outcome::Class;

/// Two addresses and the type.
const HEAD: usize = 14;

/// What the kernel keeps of frames that were not read yet; the rest of a flood is lost there.
const BUFFER: usize = 256 << 10;

/// A socket on one port.
#[derive(Debug)]
pub struct Link {
    name: String,
    socket: OwnedFd,
    head: [u8; HEAD],
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The port has it, or it is lost as any frame may be.
    Done,
    /// The port is gone or down: open another one.
    Lost,
}

/// What the wire has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A frame, without its Ethernet head.
    Frame(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// The port is gone or down: open another one.
    Lost,
}

impl Link {
    /// Opens the port `name` for our own frames; nothing, if there is none of that name (any more).
    pub fn open(name: &str) -> Result<Option<Self>> {
        Self::of_type(name, ETHERTYPE)
    }

    /// The same for frames of another Ethernet type.
    pub fn of_type(name: &str, ethertype: u16) -> Result<Option<Self>> {
        let opening = || format!("opening a raw socket on {name}");
        let ports = nix::ifaddrs::getifaddrs().context("listing the network ports")?;
        let found = ports
            .filter(|port| port.interface_name == name)
            .find_map(|port| port.address.as_ref().and_then(|address| address.as_link_addr().copied()));
        let Some(address) = found else { return Ok(None) };
        let mac = address.addr().with_context(opening)?;
        let protocol = NonZeroU32::new(u32::from(ethertype.to_be())).map(Protocol::from_raw);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, protocol);
        let socket = match socket {
            Err(rustix::io::Errno::PERM) => {
                return Err(Class::Failed.error(format!(
                    "a raw socket on {name} was refused, and only root may open one: use su or sudo"
                )));
            }
            socket => socket.with_context(opening)?,
        };
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER).with_context(opening)?;
        // The list's entry names no protocol; the kernel then keeps the socket's.
        match bind(socket.as_raw_fd(), &address) {
            Err(Errno::ENODEV | Errno::ENXIO) => return Ok(None),
            bound => bound.with_context(opening)?,
        }
        let mut head = [0xff; HEAD];
        head[6..12].copy_from_slice(&mac);
        head[12..].copy_from_slice(&ethertype.to_be_bytes());
        let link = Self { name: name.to_owned(), socket, head };
        link.forget_others();
        Ok(Some(link))
    }

    /// Until it was bound it heard all ports.
    fn forget_others(&self) {
        let mut buffer = [0; 1];
        for _ in 0..4096 {
            if rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty()).is_err() {
                break;
            }
        }
    }

    /// The port's own address.
    pub fn address(&self) -> [u8; 6] {
        let mut address = [0; 6];
        address.copy_from_slice(&self.head[6..12]);
        address
    }

    /// The port's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends to all.
    pub fn send(&self, bytes: &[u8]) -> Result<Sent> {
        let frame = [&self.head, bytes].concat();
        match rustix::net::send(&self.socket, &frame, SendFlags::empty()).map_err(errno) {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS | Errno::ENOMEM | Errno::EMSGSIZE) => {
                Ok(Sent::Done)
            }
            Err(Errno::ENXIO | Errno::ENODEV | Errno::ENETDOWN) => Ok(Sent::Lost),
            Err(error) => Err(error).with_context(|| format!("sending on {}", self.name)),
        }
    }

    /// Takes one frame, if there is one.
    pub fn receive(&self) -> Result<Received> {
        // One byte more than is valid, so that what is too long stays too long.
        let mut buffer = [0; HEAD + MOST + 1];
        match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty()).map_err(errno) {
            Ok((count, _)) => Ok(Received::Frame(buffer[HEAD.min(count)..count].to_vec())),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS | Errno::ENOMEM) => Ok(Received::Nothing),
            Err(Errno::ENXIO | Errno::ENODEV | Errno::ENETDOWN) => Ok(Received::Lost),
            Err(error) => Err(error).with_context(|| format!("receiving on {}", self.name)),
        }
    }
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
