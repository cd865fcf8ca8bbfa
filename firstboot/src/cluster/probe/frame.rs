//! What the probe sends: 64 bytes, signed with a key derived from the site's. Pure.
//!
//! Bytes 0-3 `CIAP`; 4 version; 5 kind: 1 asks, 2 answers; 6-15 zero; 16-31 a number drawn for the question, which the answer repeats;
//! 32-63 HMAC-SHA256 of all before.

use anyhow::Result;

use crate::region;

/// The version that is spoken.
const VERSION: u8 = 1;

/// The size of a frame.
pub const SIZE: usize = 64;

const MAGIC: &[u8; 4] = b"CIAP";
const BODY: usize = 32;

/// What the key is derived for.
const PURPOSE: &str = "cias multicast probe";

/// A number that is drawn once.
pub type Nonce = [u8; 16];

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// "Does this arrive?"
    Ask(Nonce),
    /// "It did."
    Answer(Nonce),
}

/// The bytes of a frame under the site's `key`.
pub fn encode(frame: Frame, key: &str) -> Result<[u8; SIZE]> {
    let (kind, nonce) = match frame {
        Frame::Ask(nonce) => (1, nonce),
        Frame::Answer(nonce) => (2, nonce),
    };
    let mut bytes = [0; SIZE];
    bytes[..4].copy_from_slice(MAGIC);
    (bytes[4], bytes[5]) = (VERSION, kind);
    bytes[16..BODY].copy_from_slice(&nonce);
    let seal = region::keyed_hash(key, PURPOSE, &bytes[..BODY])?;
    bytes[BODY..].copy_from_slice(&seal);
    Ok(bytes)
}

/// The frame that those bytes are; nothing if they are another site's, another version's or no frame.
pub fn decode(bytes: &[u8], key: &str) -> Option<Frame> {
    if bytes.len() != SIZE || !bytes.starts_with(MAGIC) || bytes[4] != VERSION {
        return None;
    }
    // A plain comparison is enough: a wrong guess costs a frame, and nothing but a multicast test depends on it.
    let seal = region::keyed_hash(key, PURPOSE, &bytes[..BODY]).ok()?;
    let nonce = bytes[16..BODY].try_into().ok()?;
    match (bytes[BODY..] == seal, bytes[5]) {
        (true, 1) => Some(Frame::Ask(nonce)),
        (true, 2) => Some(Frame::Answer(nonce)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_again_and_no_changed_or_foreign_one_is() {
        let key = "5a".repeat(32);
        for frame in [Frame::Ask([7; 16]), Frame::Answer([9; 16])] {
            let bytes = encode(frame, &key).unwrap();
            assert_eq!(decode(&bytes, &key), Some(frame));
            assert_eq!(decode(&bytes, &"5b".repeat(32)), None);
            assert_eq!(decode(&bytes[..SIZE - 1], &key), None);
            for at in 0..SIZE {
                let mut changed = bytes;
                changed[at] ^= 1;
                assert_eq!(decode(&changed, &key), None, "byte {at}");
            }
        }
    }
}
