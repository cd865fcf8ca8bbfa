//! The site's region on the ISO: a file of fixed size, so that the site can be changed in place.
//!
//! Layout: 16 bytes magic; length of the payload, u32 little endian; the payload, JSON; zeroes; and in the last
//! 32 bytes an HMAC-SHA256 of all that stands before, under a key that is derived from the site key. Whoever
//! changes a byte without the site key is found out.

use std::fmt;

use anyhow::{Context, Result};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::outcome::Class;
use crate::site::{self, Site};

/// Size of the region in bytes.
pub const SIZE: usize = 256 << 10;

/// Where the region lies on the ISO, and so in the installer's root.
pub const PATH: &str = "/cias/site.bin";

const MAGIC: &[u8; 16] = b"CIAS-SITE-v1\n\0\0\0";
const HEAD: usize = MAGIC.len() + 4;
const SEAL: usize = 32;

/// What the region carries.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// 16 hexadecimal digits that name the build; a disk that it installed carries them in its marker.
    pub build_id: String,
    /// SHA-256 of the manifest, which so is under the seal too.
    pub manifest_sha256: String,
    /// The whole site file with its secrets.
    pub site_toml: String,
}

impl fmt::Debug for Payload {
    /// Without the site file, which holds secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { build_id, manifest_sha256, .. } = self;
        let mut shown = out.debug_struct("Payload");
        shown.field("build_id", build_id).field("manifest_sha256", manifest_sha256).finish_non_exhaustive()
    }
}

impl Payload {
    /// The site itself. It was checked when the ISO was built; findings now mean another version of the schema.
    pub fn site(&self) -> Result<Site> {
        site::from_text(&self.site_toml).map_err(|findings| {
            let first = findings.first().map(ToString::to_string).unwrap_or_default();
            Class::BadInput
                .error(format!("{PATH}: {first}: build the ISO again with this version of cias-builder"))
        })
    }
}

/// The HMAC-SHA256 of `message` under the site key `key` (64 hexadecimal digits) for one `purpose`.
pub fn keyed_hash(key: &str, purpose: &str, message: &[u8]) -> Result<[u8; 32]> {
    let digits: Option<Vec<u32>> = key.chars().map(|digit| digit.to_digit(16)).collect();
    let byte =
        |pair: &[u32]| pair.iter().try_fold(0_u8, |sum, digit| Some(sum << 4 | u8::try_from(*digit).ok()?));
    let bytes: Option<Vec<u8>> = digits.and_then(|digits| digits.chunks(2).map(byte).collect());
    let bytes = bytes.filter(|bytes| key.len() == 64 && bytes.len() == 32).context("reading the site key")?;
    let derived = mac(&bytes, purpose.as_bytes())?;
    mac(&derived, message)
}

fn mac(key: &[u8], message: &[u8]) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).context("keying the HMAC")?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().into())
}

/// The bytes of a region.
pub fn encode(payload: &Payload) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(payload).context("writing the site's region")?;
    let room = SIZE - HEAD - SEAL;
    if json.len() > room {
        return Err(Class::BadInput
            .error(format!("the site file needs {} bytes, found room for {room}: shorten it", json.len())));
    }
    let mut region = MAGIC.to_vec();
    region.extend(u32::try_from(json.len()).context("measuring the site")?.to_le_bytes());
    region.extend(json);
    region.resize(SIZE - SEAL, 0);
    let key = payload.site()?.secrets.key;
    region.extend(keyed_hash(&key, "cias site region", &region)?);
    Ok(region)
}

/// Reads a region; anything but an intact one is bad input.
pub fn decode(region: &[u8]) -> Result<Payload> {
    let bad = |what: &str| {
        Class::BadInput.error(format!("{PATH}: {what}: the medium is damaged or not ours, write it again"))
    };
    if region.len() != SIZE || !region.starts_with(MAGIC) {
        return Err(bad("found no site's region"));
    }
    let (body, seal) = region.split_at(SIZE - SEAL);
    let length =
        body[MAGIC.len()..HEAD].iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let json = body.get(HEAD..HEAD.saturating_add(length)).ok_or_else(|| bad("its length is wrong"))?;
    let payload: Payload = serde_json::from_slice(json).map_err(|_| bad("its content is damaged"))?;
    let key = payload.site()?.secrets.key;
    // A plain comparison is enough: whoever can time this already has the medium.
    if keyed_hash(&key, "cias site region", body)? != seal {
        return Err(bad("its seal does not fit its content"));
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload() -> Payload {
        Payload {
            build_id: "0123456789abcdef".into(),
            manifest_sha256: "0".repeat(64),
            site_toml: crate::site::tests::example(),
        }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let region = encode(&payload()).unwrap();
        assert_eq!(region.len(), SIZE);
        assert_eq!(decode(&region).unwrap(), payload());
    }

    #[test]
    fn every_changed_byte_is_found() {
        let region = encode(&payload()).unwrap();
        for at in (0..64).chain((64..SIZE).step_by(4099)).chain(SIZE - SEAL..SIZE) {
            let mut changed = region.clone();
            changed[at] ^= 1;
            assert!(decode(&changed).is_err(), "byte {at}");
        }
        assert!(decode(&region[..SIZE - 1]).is_err());
        assert!(decode(&[]).is_err());
    }

    #[test]
    fn a_site_that_does_not_fit_is_refused() {
        let large = Payload { site_toml: payload().site_toml + &"# x\n".repeat(SIZE / 4), ..payload() };
        assert_eq!(Class::of(&encode(&large).unwrap_err()), Class::BadInput);
    }
}
