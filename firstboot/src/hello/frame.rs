//! What goes over the wire, as bytes (docs/cluster.md has the layout).
//!
//! The head is the same in all versions of the protocol, so that a machine can tell a neighbour of a later version what it
//! speaks itself. All numbers are big-endian.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::rank::{Phase, Progress, Rank};
use super::wire::{Reader, Writer};
use super::{MachineId, Nonce};
use crate::region::keyed_hash;
use crate::site::Who;

/// The highest version that is spoken.
pub const VERSION: u8 = 1;

/// The longest frame, in bytes without the Ethernet head.
pub const MOST: usize = 1500;

/// The most nonces that one frame repeats.
pub const MOST_ECHOES: usize = 128;

/// The most machines that one frame asks for a proof.
pub const MOST_ASKED: usize = 4;

const MAGIC: &[u8; 4] = b"CIAS";
const HEAD: usize = 40;
const SEAL: usize = 32;
const MOST_MACS: usize = 32;
const MOST_NAME: usize = 64;
/// The longest host key, in bytes.
pub const MOST_KEY: usize = 600;
const MOST_TEXT: usize = 300;

/// A frame whose signature was verified, or one to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who sends it.
    pub from: MachineId,
    /// Drawn for this frame.
    pub nonce: Nonce,
    /// The rest.
    pub body: Body,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// "I am here, and this is what I am."
    Hello(Hello),
    /// "Give me a place."
    Request(Request),
    /// "This is your place."
    Offer(Offer),
    /// "You get no place."
    Refusal(Refusal),
    /// "I speak versions up to this one."
    Versions(u8),
}

/// A machine introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it is; `rank.id` is the sender.
    pub rank: Rank,
    /// Nonces of others that it heard.
    pub echoes: Vec<Nonce>,
    /// Who must prove that it is there, because the sender steps back for it otherwise.
    pub asks: Vec<MachineId>,
}

/// A machine without a place asks a Master for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The Master's nonce that it heard last.
    pub echo: Nonce,
    /// What `[[nodes.machine]]` and the list of enrolment match.
    pub who: Who,
    /// Version of Proxmox VE.
    pub release: String,
    /// The address that it has already: it asks whether that still stands.
    pub holds: Option<Ipv4Addr>,
}

/// A Master gives a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whom it is for.
    pub to: MachineId,
    /// The request's nonce.
    pub echo: Nonce,
    /// The node's own address, for good.
    pub address: Ipv4Addr,
    /// Host name without the domain.
    pub name: String,
    /// Where the Master is reached.
    pub master: Ipv4Addr,
    /// The Master's public host key of ssh, one line.
    pub host_key: String,
    /// The Master's time, in seconds since 1970.
    pub time: u64,
}

/// A Master gives no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whom it is for.
    pub to: MachineId,
    /// The request's nonce.
    pub echo: Nonce,
    /// The address that the machine has was taken from it for good, or is another's: it is a node no more.
    pub is_final: bool,
    /// The sentence for the screen.
    pub reason: String,
}

/// Why a frame was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is no frame of ours, or cut off, or its fields are no values.
    Malformed,
    /// It is another site's.
    Foreign,
    /// It says to be this site's and its signature is wrong.
    Forged,
    /// It is this site's, of a version that is not spoken here; its sender is told which are.
    Version(u8),
}

/// A sentence cut to what a frame holds.
pub fn longest_text(text: &str) -> String {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Signs and verifies frames of one site.
#[derive(Clone)]
pub struct Codec {
    /// The site key, 64 hexadecimal digits.
    key: String,
    /// Tells a foreign frame without reading it.
    tag: [u8; 8],
}

impl Codec {
    /// Of the site with this key.
    pub fn new(key: &str) -> Result<Self> {
        let hash = keyed_hash(key, "cias hello tag", b"")?;
        let mut tag = [0; 8];
        tag.copy_from_slice(&hash[..8]);
        Ok(Self { key: key.to_owned(), tag })
    }

    fn seal(&self, bytes: &[u8]) -> Result<[u8; SEAL]> {
        keyed_hash(&self.key, "cias hello frame", bytes)
    }

    /// The bytes of a frame.
    pub fn encode(&self, frame: &Frame) -> Result<Vec<u8>> {
        let mut body = Writer::default();
        let kind = frame.body.write(&mut body);
        let total = u16::try_from(HEAD + body.0.len() + SEAL).unwrap_or(u16::MAX);
        let mut out = Writer::default();
        out.bytes(MAGIC).byte(VERSION).byte(kind).bytes(&total.to_be_bytes()).bytes(&self.tag);
        out.bytes(&frame.from.0).bytes(&frame.nonce.0.to_be_bytes()).bytes(&body.0);
        let seal = self.seal(&out.0)?;
        Ok(out.bytes(&seal).0.clone())
    }

    /// Reads what came in. Bytes after the frame are Ethernet's padding.
    pub fn decode(&self, bytes: &[u8]) -> Result<Frame, Dropped> {
        let (head, signed, seal) = split(bytes).ok_or(Dropped::Malformed)?;
        if head.tag != self.tag {
            return Err(Dropped::Foreign);
        }
        let wanted = self.seal(signed).map_err(|_| Dropped::Forged)?;
        // No early end: the time of the comparison must not tell how much of a forged seal was right.
        let difference = wanted.iter().zip(seal).fold(0, |sum, (a, b)| sum | (a ^ b));
        if difference != 0 {
            return Err(Dropped::Forged);
        }
        if head.version != VERSION {
            return Err(Dropped::Version(head.version));
        }
        let body = Body::read(head.kind, head.from, &signed[HEAD..]).ok_or(Dropped::Malformed)?;
        Ok(Frame { from: head.from, nonce: head.nonce, body })
    }
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Codec")
    }
}

struct Head {
    version: u8,
    kind: u8,
    tag: [u8; 8],
    from: MachineId,
    nonce: Nonce,
}

/// The head, all that is signed, and the seal.
fn split(bytes: &[u8]) -> Option<(Head, &[u8], &[u8])> {
    let mut reader = Reader(bytes);
    if reader.take(MAGIC.len())? != MAGIC {
        return None;
    }
    let (version, kind, total) = (reader.byte()?, reader.byte()?, usize::from(reader.short()?));
    let (tag, from, nonce) = (reader.array()?, MachineId(reader.array()?), Nonce(reader.long()?));
    if !(HEAD + SEAL..=MOST).contains(&total) {
        return None;
    }
    let (signed, seal) = bytes.get(..total)?.split_at(total - SEAL);
    Some((Head { version, kind, tag, from, nonce }, signed, seal))
}

impl Body {
    /// Writes it and returns the number of its kind.
    fn write(&self, out: &mut Writer) -> u8 {
        match self {
            Self::Hello(hello) => {
                let rank = &hello.rank;
                out.byte(rank.phase as u8).byte(rank.progress as u8);
                out.byte(u8::from(rank.may_found)).byte(rank.priority);
                out.list(MOST_ASKED, &hello.asks, |out, id| {
                    out.bytes(&id.0);
                });
                out.list(MOST_ECHOES, &hello.echoes, |out, nonce| {
                    out.bytes(&nonce.0.to_be_bytes());
                });
                1
            }
            Self::Request(request) => {
                out.bytes(&request.echo.0.to_be_bytes());
                out.list(MOST_MACS, &request.who.macs, |out, mac| {
                    out.text(MOST_NAME, mac);
                });
                out.text(MOST_NAME, request.who.serial.as_deref().unwrap_or_default());
                out.text(MOST_NAME, &request.release);
                // No node has 0.0.0.0.
                out.bytes(&request.holds.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
                2
            }
            Self::Offer(offer) => {
                out.bytes(&offer.to.0).bytes(&offer.echo.0.to_be_bytes());
                out.bytes(&offer.address.octets()).bytes(&offer.master.octets());
                out.bytes(&offer.time.to_be_bytes());
                out.text(MOST_NAME, &offer.name).text(MOST_KEY, &offer.host_key);
                3
            }
            Self::Refusal(refusal) => {
                out.bytes(&refusal.to.0).bytes(&refusal.echo.0.to_be_bytes());
                out.byte(u8::from(refusal.is_final)).text(MOST_TEXT, &refusal.reason);
                4
            }
            Self::Versions(highest) => {
                out.byte(*highest);
                5
            }
        }
    }

    fn read(kind: u8, from: MachineId, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let body = match kind {
            1 => Self::Hello(Hello {
                rank: rank(&mut reader, from)?,
                asks: reader.list(MOST_ASKED, |reader| reader.array().map(MachineId))?,
                echoes: reader.list(MOST_ECHOES, |reader| reader.long().map(Nonce))?,
            }),
            2 => Self::Request(Request {
                echo: Nonce(reader.long()?),
                who: Who {
                    macs: reader.list(MOST_MACS, |reader| reader.text(MOST_NAME))?,
                    serial: Some(reader.text(MOST_NAME)?).filter(|text| !text.is_empty()),
                },
                release: reader.text(MOST_NAME)?,
                holds: Some(Ipv4Addr::from(reader.array::<4>()?)).filter(|held| !held.is_unspecified()),
            }),
            3 => Self::Offer(Offer {
                to: MachineId(reader.array()?),
                echo: Nonce(reader.long()?),
                address: Ipv4Addr::from(reader.array::<4>()?),
                master: Ipv4Addr::from(reader.array::<4>()?),
                time: reader.long()?,
                name: reader.text(MOST_NAME)?,
                host_key: reader.text(MOST_KEY)?,
            }),
            4 => Self::Refusal(Refusal {
                to: MachineId(reader.array()?),
                echo: Nonce(reader.long()?),
                is_final: flag(&mut reader)?,
                reason: reader.text(MOST_TEXT)?,
            }),
            5 => Self::Versions(reader.byte()?),
            _ => return None,
        };
        reader.end()?;
        Some(body)
    }
}

fn flag(reader: &mut Reader) -> Option<bool> {
    match reader.byte()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn rank(reader: &mut Reader, id: MachineId) -> Option<Rank> {
    let phase = *Phase::ALL.get(usize::from(reader.byte()?))?;
    let progress = *Progress::ALL.get(usize::from(reader.byte()?))?;
    let may_found = flag(reader)?;
    Some(Rank { phase, progress, may_found, priority: reader.byte()?, id })
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
