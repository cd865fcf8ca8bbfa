//! Enrolment: how a node with a place is let into the cluster, over ssh and one node at a time (design D6).

pub mod keys;
pub mod manage;
pub mod policy;
pub mod protocol;
pub mod serve;
pub mod service;
pub mod store;

use std::fmt::Write;

use anyhow::Result;

use crate::files;
use crate::region;
use crate::system::Sysroot;

/// The site's tag, by which a node of another site is told apart: a keyed hash in hexadecimal digits. `key` is the site's.
pub fn tag(key: &str) -> Result<String> {
    let mut text = String::new();
    for byte in region::keyed_hash(key, "cias enrol", b"")? {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Takes the join key's files from this node, once it is in the cluster.
pub fn forget_join_key(root: &Sysroot) -> Result<()> {
    files::remove(&root.path("/run/cias/join/key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_site_has_a_tag_of_its_own() {
        let tag = |digits: &str| tag(&digits.repeat(32)).unwrap();
        assert_eq!(tag("5a").len(), 64);
        assert_ne!(tag("5a"), tag("5b"));
        assert!(super::tag("5a").is_err());
    }
}
