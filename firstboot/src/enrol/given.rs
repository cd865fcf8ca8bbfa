//! The site file that `cias setup` was given: the operator's own, and on this node it must not keep the join key once the node has joined.
//!
//! It may be the only copy, with changes of today in it. So it is not removed, and nothing but the key goes. One on another file system, as a
//! stick, is not this node's, and stays as it is.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item};

use crate::files;
use crate::node::SITE;
use crate::site::keys::FORGOTTEN;
use crate::system::{Sysroot, System};

/// The files that are to forget the key: a list in JSON.
const NOTE: &str = "/var/lib/cias/given-site.json";

/// Files with the join key that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// They lie on the node's own file system.
    pub here: Vec<PathBuf>,
    /// They lie on another one.
    pub elsewhere: Vec<PathBuf>,
}

impl Given {
    /// The site file at `path` and the second one that it may name, as far as they hold the join key. The installed one is ours.
    pub fn look(root: &Sysroot, path: &Path) -> Self {
        let installed = root.path(SITE).canonicalize().ok();
        let own = std::fs::metadata(root.path("/")).map(|root| root.dev()).ok();
        let second = read(path).ok().and_then(|site| {
            let name = site.get("site")?.get("secrets_file")?.as_str()?;
            Some(path.with_file_name(name))
        });
        let all = std::iter::once(path.to_owned()).chain(second);
        let holders = all.filter(|path| holds_key(path)).filter_map(|path| path.canonicalize().ok());
        let (here, elsewhere) = holders
            .filter(|path| Some(path) != installed.as_ref())
            .partition(|path| std::fs::metadata(path).ok().map(|file| file.dev()) == own);
        Self { here, elsewhere }
    }

    /// Has the key removed from these files once this node has joined, or, with none, from no file.
    pub fn note(&self, root: &Sysroot) -> Result<()> {
        if self.here.is_empty() {
            return files::remove(&root.path(NOTE));
        }
        let text = serde_json::to_string(&self.here).context("writing the given site files as JSON")?;
        files::write(&root.path(NOTE), text, 0o600)
    }

    /// What [`Given::note`] noted.
    pub fn noted(root: &Sysroot) -> Self {
        let list = root.attribute(NOTE).and_then(|text| serde_json::from_str(&text).ok());
        Self { here: list.unwrap_or_default(), elsewhere: Vec::new() }
    }
}

/// Takes the key from the files that were noted. It stops no join: what cannot be done is said.
pub(super) fn forget(system: &System) -> Result<()> {
    for path in Given::noted(&system.root).here.into_iter().filter(|path| path.exists()) {
        let is_plain = std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_file());
        let done = if is_plain { forget_in(&path) } else { Err(anyhow::anyhow!("found no plain file")) };
        if let Err(error) = done {
            system.log.say(&format!(
                "warning: the join key was not removed from {}, which `cias setup` was given: {error:#}: remove the file from this node",
                path.display()
            ));
        }
    }
    files::remove(&system.root.path(NOTE))
}

/// Does the file hold the join key?
pub fn holds_key(path: &Path) -> bool {
    read(path).is_ok_and(|mut site| key(&mut site).is_some())
}

/// Takes the join key from a site file; all else stays as it is, comments too.
pub(super) fn forget_in(path: &Path) -> Result<()> {
    let mut document = read(path)?;
    let Some(item) = key(&mut document) else { return Ok(()) };
    *item = toml_edit::value(FORGOTTEN);
    files::rewrite(path, document.to_string())
}

fn read(path: &Path) -> Result<DocumentMut> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    // An error of TOML would show the line in which it is.
    text.parse::<DocumentMut>()
        .map_err(|error| anyhow::anyhow!("{}", error.message()))
        .with_context(|| format!("reading {shown}"))
}

fn key(document: &mut DocumentMut) -> Option<&mut Item> {
    let key = document.get_mut("site")?.get_mut("secrets")?.get_mut("join_key")?;
    // A key that is not there is an item of no kind.
    key.as_str().is_some_and(|text| text != FORGOTTEN).then_some(key)
}
