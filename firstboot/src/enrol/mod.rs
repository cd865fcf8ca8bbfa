//! Enrolment: how a node with a place is let into the cluster, over ssh and one node at a time (design D6).

pub mod given;
pub mod keys;
pub mod manage;
pub mod policy;
pub mod protocol;
pub mod serve;
pub mod service;
pub mod store;

use std::fmt::Write;

use anyhow::Result;

use crate::system::System;
use crate::{files, node, region};

/// The site's tag, by which a node of another site is told apart: a keyed hash in hexadecimal digits. `key` is the site's.
pub fn tag(key: &str) -> Result<String> {
    let mut text = String::new();
    for byte in region::keyed_hash(key, "cias enrol", b"")? {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Takes the join key from this node, once it is in the cluster: whoever steals its disk joins nothing. All else in the site file stays as it
/// is, comments too.
pub fn forget_join_key(system: &System) -> Result<()> {
    files::remove(&system.root.path("/run/cias/join/key"))?;
    let path = system.root.path(node::SITE);
    if path.exists() {
        given::forget_in(&path)?;
    }
    given::forget(system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, keys as keys_of_site, tests::example};
    use crate::tree::Tree;

    #[test]
    fn a_node_forgets_the_join_key_and_nothing_else_and_an_image_needs_it() {
        use std::os::unix::fs::PermissionsExt;
        let tree = Tree::from_text("/etc/cias/\n/run/cias/join/key = secret\n");
        let root = tree.root();
        let path = root.path(node::SITE);
        let before = format!("# of the administrator\n{}", example());
        std::fs::write(&path, &before).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let key = from_text(&before).unwrap().secrets.join_key;
        for _ in 0..2 {
            let (fake, log) = (Fake::default(), Log::silent());
            forget_join_key(&System { root: root.clone(), runner: &fake, log: &log }).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let body = key.lines().nth(1).unwrap();
            assert_eq!(before.matches(body).count(), text.matches(body).count() + 1, "{text}");
            assert!(text.starts_with("# of the administrator\nschema = 1\n"), "{text}");
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let site = node::load_site(&root).unwrap();
            assert_eq!(site.secrets.join_key, keys_of_site::FORGOTTEN);
            let findings = from_text(&text).unwrap_err();
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].to_string().contains("take the site file that the image was built from"));
        }
        assert!(!root.has("/run/cias/join/key"));
    }

    #[test]
    fn each_site_has_a_tag_of_its_own() {
        let tag = |digits: &str| tag(&digits.repeat(32)).unwrap();
        assert_eq!(tag("5a").len(), 64);
        assert_ne!(tag("5a"), tag("5b"));
        assert!(super::tag("5a").is_err());
    }
}
