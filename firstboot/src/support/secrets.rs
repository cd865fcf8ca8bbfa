//! The secrets of this node, read to be recognised wherever they turn up.

use std::io::Read;

use super::filter::{Filter, LEAST};
use crate::node;
use crate::site::Site;
use crate::system::Sysroot;

/// Folders whose `.toml` files hold the site's secrets, also if nobody can load them as a site.
const SITES: &str = "/etc/cias";

/// Keys of a site file whose values are secrets.
const KEYS: [&str; 7] =
    ["key", "join_key", "enrol_host_key", "vrrp_password", "relay_password", "root_password_hash", "webhook"];

/// Files that are secrets as a whole.
const FILES: [&str; 9] = [
    "/var/lib/pve-cluster/corosync.authkey",
    "/etc/cluster/corosync.authkey",
    "/etc/corosync/authkey",
    "/etc/pve/priv/authkey.key",
    "/etc/pve/priv/pve-root-ca.key",
    "/etc/pve/pve-www.key",
    "/etc/pve/local/pve-ssl.key",
    "/root/.ssh/id_rsa",
    "/root/.ssh/id_ecdsa",
];

/// No such file is longer.
const LIMIT: u64 = 256 << 10;

/// A filter that knows the secrets of the node below `root`.
pub fn filter(root: &Sysroot, site: Option<&Site>) -> Filter {
    let mut secrets = site.map_or_else(Vec::new, of_site);
    for name in root.names(SITES).iter().filter(|name| name.contains(".toml")) {
        let text = head(root, &format!("{SITES}/{name}"));
        secrets.extend(of_text(&String::from_utf8_lossy(&text)));
    }
    secrets.extend(FILES.iter().map(|file| head(root, file)));
    Filter::new(secrets.iter().map(Vec::as_slice))
}

/// The site without its secrets, if it can be loaded.
pub fn load(root: &Sysroot) -> anyhow::Result<Site> {
    node::load_site(root)
}

fn head(root: &Sysroot, path: &str) -> Vec<u8> {
    let path = root.path(path);
    let mut bytes = Vec::new();
    // One that is not there or not to be read has nothing to be recognised by.
    if path.is_file() {
        let _ = std::fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
    }
    bytes
}

fn of_site(site: &Site) -> Vec<Vec<u8>> {
    let secrets = &site.secrets;
    let mut all: Vec<String> = vec![
        secrets.key.clone(),
        secrets.join_key.clone(),
        secrets.enrol_host_key.clone(),
        secrets.vrrp_password.clone(),
        site.site.root_password_hash.clone(),
    ];
    all.extend(secrets.relay_password.clone());
    all.extend(site.notify.webhook.iter().filter_map(|url| of_url(url)));
    all.into_iter().map(String::into_bytes).collect()
}

/// What of a URL may be a secret: all behind its host; with the host, where it is too short to be told from other text.
fn of_url(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let path = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
    let secret = if path.len() < LEAST { rest } else { path };
    (!path.trim_matches('/').is_empty()).then(|| secret.to_owned())
}

/// The secrets of a site file that may not even be TOML: what stands behind their keys, and every line that could be of
/// a private key.
fn of_text(text: &str) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for line in text.lines() {
        let is_material = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        if let Some((key, value)) = line.split_once('=') {
            let key = key.rsplit('.').next().unwrap_or(key).trim_matches(|c: char| " \t\"'{".contains(c));
            let value = value.trim().trim_matches(['"', '\'']);
            let value = value.split(['"', '\'']).next().unwrap_or(value);
            match key {
                "webhook" => all.extend(of_url(value)),
                _ if KEYS.contains(&key) => all.push(value.to_owned()),
                _ => {}
            }
        }
        all.extend(line.split(|c| !is_material(c)).filter(|word| is_of_a_key(word)).map(ToOwned::to_owned));
    }
    all.into_iter().map(String::into_bytes).collect()
}

/// Public keys are no secrets, and begin with the length of their kind's name.
fn is_of_a_key(word: &str) -> bool {
    word.len() >= 32 && !word.starts_with("AAAA")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_everything_behind_the_host_is_secret() {
        assert_eq!(of_url("https://h.example/a/b?c=d"), Some("/a/b?c=d".to_owned()));
        assert_eq!(of_url("https://h.example/a"), Some("h.example/a".to_owned()));
        assert!(of_url("https://h.example/").is_none());
    }

    #[test]
    fn a_site_file_that_is_broken_still_gives_its_secrets_away_to_the_filter() {
        let text = "[site\nroot_password_hash = \"$6$s$h0123456\"\nsecrets = {\nkey = '5a5a'\nvrrp_password = \"abcd1234\" # x\n\
                    relay_password = 'p4ss w'\n\
                    join_key = \"\"\"-----BEGIN X-----\nMHcCAQEEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\
                    join_key_public = \"ecdsa AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAy\"\nwebhook = \"https://h/tok\"\n";
        let found = of_text(text);
        let found: Vec<&str> = found.iter().map(|bytes| std::str::from_utf8(bytes).unwrap()).collect();
        for wanted in [
            "$6$s$h0123456",
            "5a5a",
            "p4ss w",
            "abcd1234",
            "MHcCAQEEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "h/tok",
        ] {
            assert!(found.contains(&wanted), "{wanted}: {found:?}");
        }
        assert!(!found.iter().any(|word| word.starts_with("AAAAE2")), "{found:?}");
    }
}
