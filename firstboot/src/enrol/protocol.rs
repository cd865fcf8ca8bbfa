//! What a node and the Master say to each other in one session of ssh: a JSON object in each line.
//!
//! The session lasts as long as the join, and with it the Master's lock: a node that dies ends its session, and the Master takes
//! back what it had begun for it. The join key that opened the session proves the site, and no more.

use std::io::{BufRead, Read, Write};
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::hello::MachineId;
use crate::outcome::Class;
use crate::site::Who;

/// The version that is spoken.
pub const VERSION: u32 = 1;

/// The longest line, in bytes: what comes from the other side is not believed to end.
const MOST: u64 = 16 << 10;

/// What the node says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromNode {
    /// "Let me in." The first line.
    Ask(Ask),
    /// `.members` shows this node in the cluster.
    Joined,
    /// The join failed, for this reason, and was rolled back on the node.
    Failed(String),
}

/// Who wants in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Version of this protocol.
    pub version: u32,
    /// The site's tag: a keyed hash, so that a node of another site with this site's join key is told apart.
    pub site: String,
    /// The machine.
    pub machine: MachineId,
    /// NICs and serial number, for the list of enrolment.
    pub who: Who,
    /// Version of Proxmox VE.
    pub release: String,
    /// The address that it was given.
    pub address: Ipv4Addr,
    /// The host name that it was given.
    pub name: String,
    /// The public key of its root, one line.
    pub key: String,
}

/// What the Master says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromMaster {
    /// Not yet: another node is joining. Another line follows.
    Wait(String),
    /// No. The session ends.
    Refused(Refused),
    /// Come in: the node's key is accepted from now on.
    Welcome(Welcome),
    /// The Master sees the node as a member. The session ends.
    Confirmed,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The sentence for the node's screen.
    pub reason: String,
    /// Is it for good: is asking again without use?
    pub is_final: bool,
}

/// What a node needs for `pvecm add`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The Master's host name.
    pub master: String,
    /// The Master's own address, which is not its role's.
    pub address: Ipv4Addr,
    /// Its public host keys for the usual port, one line each (`ssh-rsa AAAA...`).
    pub host_keys: Vec<String>,
    /// Name of the cluster.
    pub cluster: String,
}

/// Writes one line.
pub fn tell(out: &mut impl Write, what: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(what).context("writing a line of the enrolment as JSON")?;
    line.push(b'\n');
    out.write_all(&line).and_then(|()| out.flush()).context("writing to the other side of the enrolment")
}

/// Reads one line; nothing when the other side has ended. A line that is too long or says nothing known is
/// [`Class::BadInput`].
pub fn hear<T: DeserializeOwned>(input: &mut impl BufRead) -> Result<Option<T>> {
    let mut line = Vec::new();
    input
        .take(MOST + 1)
        .read_until(b'\n', &mut line)
        .context("reading from the other side of the enrolment")?;
    if line.is_empty() {
        return Ok(None);
    }
    let whole = line.last() == Some(&b'\n');
    if !whole && line.len() as u64 <= MOST {
        // It ended within a line, as when its power went.
        return Ok(None);
    }
    let refuse = |why: String| {
        Class::BadInput.error(format!(
            "the other side of the enrolment sent {why}, wanted a line of version {VERSION} of its protocol: use the same version of cias-firstboot on both"
        ))
    };
    if !whole {
        return Err(refuse(format!("more than {MOST} bytes without an end of line")));
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| refuse(format!("something else ({error})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_heard() {
        let refused = FromMaster::Refused(Refused { reason: "no \n quorum".into(), is_final: false });
        let mut bytes = Vec::new();
        tell(&mut bytes, &refused).unwrap();
        tell(&mut bytes, &FromMaster::Confirmed).unwrap();
        let mut input = &bytes[..];
        assert_eq!(hear(&mut input).unwrap(), Some(refused));
        assert_eq!(hear(&mut input).unwrap(), Some(FromMaster::Confirmed));
        assert_eq!(hear::<FromMaster>(&mut input).unwrap(), None);
    }

    #[test]
    fn a_line_without_end_or_sense_is_bad_input_and_a_torn_one_the_end() {
        let long = vec![b'x'; usize::try_from(MOST).unwrap() + 1];
        for (bytes, wanted) in [
            (&long[..], Some(Class::BadInput)),
            (b"\"hello\"\n", Some(Class::BadInput)),
            (b"\xff\xfe\n", Some(Class::BadInput)),
            (b"\"joi", None),
            (b"", None),
        ] {
            let found = hear::<FromNode>(&mut &bytes[..]);
            let class = found.as_ref().err().map(Class::of);
            assert_eq!(class, wanted, "{found:?}");
        }
    }
}
