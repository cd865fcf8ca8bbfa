//! `packages.toml`: what is wanted, and from where.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use cias_firstboot::site::document;
use cias_firstboot::site::reader::Section;
use cias_firstboot::site::values::word;
use cias_firstboot::site::{Show, visible};
use serde::Serialize;

use super::profile::{self, Wanted};
use crate::copy::hash_bytes;

/// A whole file.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// The profile whose packages are wanted.
    pub profile: Option<String>,
    /// More packages: `name` or `name=version`.
    pub packages: Vec<String>,
    /// Where they come from.
    pub sources: Vec<Source>,
}

/// One repository.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// What messages and the lock call it.
    pub name: String,
    /// Its root, without a slash at the end.
    pub uri: String,
    /// The folder below `dists`, or one that ends in a slash.
    pub suite: String,
    /// Nothing where the suite ends in a slash.
    pub components: Vec<String>,
    /// Files with the keys that may sign it; their content is no part of what was asked for.
    #[serde(skip)]
    pub keys: Vec<PathBuf>,
    /// Take a Release file past its Valid-Until, and signatures of keys that have expired since.
    pub allow_expired: bool,
    /// Take signatures over SHA-1.
    pub allow_sha1: bool,
}

type Judged = Result<String, String>;

/// Reads the file at `path`; any finding is bad input, and all of them are in the error. `again` is the command to repeat.
pub fn load(path: &Path, again: &str) -> Result<Request> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let way_out = "make one with `cias-builder packages init`";
    document::examine(path, way_out, |root| read(root, folder))?.map_err(|findings| {
        document::refusal(path, &format!("{again} {}", visible(&path.display().to_string())), &findings)
    })
}

fn read(root: &Section<'_, '_>, folder: &Path) -> Request {
    match root.number("schema", 0..=i64::MAX) {
        Some(1) => {}
        Some(other) => root.note("schema", other.to_string(), "1, the only one that this version knows"),
        None if root.has("schema") => {}
        None => root.note_missing("schema", "schema = 1 in the first line"),
    }
    // The installer of Proxmox VE 3.2 knows one architecture; the key says so where somebody looks for it.
    root.texts("architectures", Show::Value, word(&["amd64"]));
    if root.length("architectures").is_some_and(|length| length != 1) {
        root.note("architectures", "another list", r#"["amd64"], the only one that Proxmox VE 3.2 has"#);
    }
    let profile = root.text("profile", word(&profile::NAMES));
    let packages = root.texts("packages", Show::Value, package).unwrap_or_default();
    if profile.is_none() && packages.is_empty() && !root.has("profile") {
        root.note_missing("packages", "a profile, or the names of packages");
    }
    let sections = root.sections("source");
    if sections.is_empty() {
        root.note_missing("source", "at least one [[source]] with name, uri, suite, components and keys");
    }
    let sources = sections.iter().map(|section| source(section, folder)).collect::<Vec<_>>();
    let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
    for (source, section) in sources.iter().zip(&sections) {
        if !source.name.is_empty() && !names.insert(&source.name) {
            section.note("name", format!("{:?} again", source.name), "a name that no other source has");
        }
        // apt keeps one set of lists for both, and would not know whose keys are meant.
        if !source.uri.is_empty() && !places.insert((&source.uri, &source.suite)) {
            section.note(
                "suite",
                "a suite that an earlier source has",
                "one source for both, with all components",
            );
        }
    }
    Request { profile, packages, sources }
}

fn source(section: &Section<'_, '_>, folder: &Path) -> Source {
    let name = section.needed("name", "a short name for messages", cias_firstboot::site::values::label);
    let wanted = "the mirror's address, such as http://mirror.example.com/debian or file:///srv/debian";
    let uri = section.needed("uri", wanted, uri).unwrap_or_default();
    let suite = section.needed("suite", "a suite such as wheezy", suite).unwrap_or_default();
    let components = section.texts("components", Show::Value, component).unwrap_or_default();
    match (suite.ends_with('/'), components.is_empty()) {
        (false, true) if !suite.is_empty() && !section.has("components") => {
            section.note_missing("components", r#"a list such as ["main"]"#);
        }
        (false, true) if !suite.is_empty() && section.length("components") == Some(0) => {
            section.note("components", "an empty list", r#"a list such as ["main"]"#);
        }
        (true, false) => section.note("components", "a list", "none, as the suite ends in a slash"),
        _ => {}
    }
    let keys = section.texts("keys", Show::Value, |name| key(&folder.join(name))).unwrap_or_default();
    if !section.has("keys") || section.length("keys") == Some(0) {
        let wanted =
            "files with the public keys that sign the source: packages that nobody signed are never taken";
        section.note("keys", "no key", wanted);
    }
    let allow = |key| section.flag(key).unwrap_or(false);
    let (allow_expired, allow_sha1) = (allow("allow_expired"), allow("allow_sha1"));
    section.finish();
    Source { name: name.unwrap_or_default(), uri, suite, components, keys, allow_expired, allow_sha1 }
}

/// The address of a source or of a package, without who calls it: the lock tells it to everybody.
pub fn uri(text: &str) -> Judged {
    let wanted = "an address such as http://mirror.example.com/debian, https://... or file:///srv/debian";
    let (scheme, rest) = text.split_once("://").ok_or(wanted)?;
    let host = rest.split('/').next().unwrap_or_default();
    let good = match scheme {
        "http" | "https" => !host.is_empty(),
        "file" => host.is_empty() && rest.len() > 1,
        _ => false,
    };
    if host.contains('@') {
        return Err("an address without user and password: the lock would tell them".into());
    }
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"\"'\\?#[]{}<>|^`".contains(c));
    if good && plain { Ok(text.trim_end_matches('/').to_owned()) } else { Err(wanted.into()) }
}

fn word_of(text: &str, more: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        && !text.contains("..")
}

fn suite(text: &str) -> Judged {
    let good = text == "/" || text == "./" || word_of(text, "-._/");
    good.then(|| text.to_owned()).ok_or_else(|| "a suite such as wheezy or wheezy/updates".into())
}

fn component(text: &str) -> Judged {
    word_of(text, "-._/").then(|| text.to_owned()).ok_or_else(|| "a component such as main".into())
}

/// `name` or `name=version`; the characters are those of Debian's policy.
fn package(text: &str) -> Judged {
    let (name, version) = text.split_once('=').map_or((text, None), |(name, version)| (name, Some(version)));
    let good = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
        && version.is_none_or(|version| word_of(version, "+-.~:"));
    good.then(|| text.to_owned())
        .ok_or_else(|| "the name of a package, such as keepalived or keepalived=1:1.2.2-3".into())
}

/// A file with public keys. gpgv tells the two forms apart by the name that we give.
fn key(path: &Path) -> Result<PathBuf, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("a file with a public key ({error})"))?;
    key_form(&bytes)
        .map(|_| path.to_owned())
        .ok_or_else(|| "a public key as `gpg --export` or `gpg --export --armor` writes it".into())
}

/// The ending of a key file's name by which apt knows its form: armoured text, or the packet of a public key
/// (RFC 4880, 4.2: bit 7 is set, and the tag is 6).
pub fn key_form(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        _ if bytes.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----") => Some("asc"),
        [0x98..=0x9b | 0xc6, ..] => Some("gpg"),
        _ => None,
    }
}

impl Request {
    /// A name of what was asked for: the lock carries it, so that it fits no other file.
    pub fn id(&self) -> Result<String> {
        Ok(hash_bytes(serde_json::to_string(self)?.as_bytes()))
    }

    /// The profile's packages.
    fn of_profile(&self) -> &'static [Wanted] {
        self.profile.as_deref().map_or(&[], profile::packages)
    }

    /// The profile's word on the version of `package`, which has none itself.
    pub fn pinned(&self, package: &str) -> Option<(&'static Wanted, &'static str)> {
        let wanted = self.of_profile().iter().find(|wanted| wanted.name == package)?;
        Some((wanted, wanted.version?))
    }

    /// All packages that are wanted, as apt takes them.
    pub fn wanted(&self) -> BTreeSet<String> {
        let listed: BTreeSet<&str> = self.packages.iter().map(|package| name_of(package)).collect();
        // A version that is asked for has the last word over the profile.
        let of_profile = self.of_profile().iter().map(|wanted| wanted.name);
        let rest = of_profile.filter(|name| !listed.contains(name)).map(str::to_owned);
        self.packages.iter().cloned().chain(rest).collect()
    }
}

/// The name in `name` or `name=version`.
pub fn name_of(package: &str) -> &str {
    package.split('=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_values_are_judged() {
        for (judge, good, bad) in [
            (
                uri as fn(&str) -> Judged,
                &["http://mirror.example.com/debian", "https://a/", "file:///srv/debian"][..],
                &[
                    "",
                    "ftp://a/b",
                    "http://",
                    "file://host/x",
                    "file:///",
                    "http://me:pw@a/b",
                    "http://a/\"b",
                ][..],
            ),
            (
                suite,
                &["wheezy", "wheezy/updates", "./", "/", "stable/"],
                &["", "../x", "a b", "-x", "a/../b"],
            ),
            (
                package,
                &["keepalived", "libc6", "g++", "keepalived=1:1.2.2-3", "0ad"],
                &["", "-y", "a_b", "Name", "a=", "a=-1", "a b", "a:i386"],
            ),
        ] {
            for text in good {
                assert!(judge(text).is_ok(), "{text}");
            }
            for text in bad {
                assert!(judge(text).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn keys_are_known_by_their_first_bytes() {
        assert_eq!(key_form(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"), Some("asc"));
        assert_eq!(key_form(&[0x99, 1, 2]), Some("gpg"));
        for bytes in [&b"-----BEGIN PGP PRIVATE KEY BLOCK-----"[..], &[0x95, 1], b"", b"KBXf"] {
            assert_eq!(key_form(bytes), None);
        }
    }

    #[test]
    fn a_listed_version_has_the_last_word_over_the_profile() {
        let packages = vec!["keepalived=1:1.2.13-1".to_owned(), "htop".to_owned()];
        let request = Request { profile: Some("pve-3.2".into()), packages, sources: Vec::new() };
        let wanted = request.wanted();
        assert_eq!(wanted.len(), 9);
        assert!(wanted.contains("keepalived=1:1.2.13-1") && !wanted.contains("keepalived"));
    }
}
