//! Discovery, election and offer: how servers without an address find each other, on layer 2 (design D5).
//!
//! [`frame`] is what goes over the wire, [`machine`] decides, [`ledger`] remembers who got which place. None of them
//! touches a socket, a clock or a file: the caller brings frames and the time, and carries out what comes back. So
//! `cias simulate` runs the very code that a node runs.
//!
//! Every frame is signed with a key derived from the site's. A signature proves that a machine of the site said it once, not
//! that it says so now. So a frame that changes anything must echo a number that the listener drew a moment ago
//! ([`freshness`]). One that does not is only a reason to ask.

pub mod frame;
pub mod freshness;
pub mod ledger;
pub mod machine;
pub mod output;
mod peers;
pub mod rank;
pub mod timing;
mod wire;

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Local experimental Ethernet type (IEEE 802, 0x88B5).
pub const ETHERTYPE: u16 = 0x88B5;

/// What a machine is known by on the wire, whatever else changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineId(pub [u8; 16]);

impl MachineId {
    /// Of the lowest of the permanent MAC addresses, which no two machines on a segment share; serial numbers are less
    /// trustworthy. Nothing for a machine without a port.
    pub fn of(macs: &[String]) -> Option<Self> {
        let lowest = macs.iter().map(|mac| mac.to_ascii_lowercase()).min()?;
        let digest = Sha256::new().chain_update("cias machine ").chain_update(lowest).finalize();
        digest[..16].try_into().ok().map(Self)
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl From<MachineId> for String {
    fn from(id: MachineId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for MachineId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("found {text:?}, wanted 32 hexadecimal digits");
        let digits: Vec<u8> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit)).collect();
        let exact = (digits.len() == 32).then(|| bytes.try_into().ok()).flatten();
        exact.map(Self).ok_or_else(wrong)
    }
}

/// A number drawn once; whoever repeats it has heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(pub u64);

/// Draws nonces. They must not repeat, or a recorded frame counts as one of now.
pub type Draw = Box<dyn FnMut() -> Nonce + Send>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_by_its_lowest_address_in_any_spelling() {
        let of = |macs: &[&str]| MachineId::of(&macs.iter().map(|mac| (*mac).to_owned()).collect::<Vec<_>>());
        let id = of(&["52:54:00:00:00:0a"]).unwrap();
        assert_eq!(of(&["52:54:00:00:00:FF", "52:54:00:00:00:0A"]), Some(id));
        assert_ne!(of(&["52:54:00:00:00:0b"]), Some(id));
        assert_eq!(of(&[]), None);
        assert_eq!(MachineId::try_from(id.to_string()), Ok(id));
        for wrong in ["", "00", "zz000000000000000000000000000000", &"0".repeat(34)] {
            assert!(MachineId::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
