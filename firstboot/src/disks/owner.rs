//! Whose file system it is: the UUID of ours says so, without mounting anything.
//!
//! A label can be copied or be another site's. So the second half of the UUID is a keyed hash of the first, which is
//! random, under the site's key.

use anyhow::Result;

use crate::region::keyed_hash;
use crate::signatures::uuid;

/// Half a UUID, in bytes.
const HALF: usize = 8;

/// The UUID of a new file system of the site with `key`, from random bytes.
pub fn new_uuid(key: &str, random: [u8; HALF]) -> Result<String> {
    let mut bytes = random.to_vec();
    bytes.extend(&keyed_hash(key, "cias data disk", &random)?[..HALF]);
    Ok(uuid(&bytes))
}

/// Was `found` made by [`new_uuid`] with this key?
pub fn is_ours(key: &str, found: &str) -> bool {
    let digits: Vec<char> = found.chars().filter(|c| *c != '-').collect();
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok()).collect();
    let random = bytes.and_then(|bytes| <[u8; HALF]>::try_from(bytes.get(..HALF)?).ok());
    random.is_some_and(|random| new_uuid(key, random).is_ok_and(|wanted| wanted == found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sites_own_key_makes_a_uuid_ours() {
        let (key, other) = ("5a".repeat(32), "5b".repeat(32));
        let made = new_uuid(&key, [1, 2, 3, 4, 5, 6, 7, 255]).unwrap();
        assert!(made.starts_with("01020304-0506-07ff-") && made.len() == 36, "{made}");
        assert!(is_ours(&key, &made));
        assert!(!is_ours(&other, &made));
        for not_ours in ["", "u", "01020304-0506-07ff-0000-000000000000", "ä"] {
            assert!(!is_ours(&key, not_ours), "{not_ours}");
        }
    }
}
