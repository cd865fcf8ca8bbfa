//! Loads a site: from text, or from a file and the second one that may hold its secrets.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item};

use super::document;
use super::findings::{Finding, Findings, Places};
use super::read::{self, Second};
use super::reader::Section;
use super::shown::{Show, visible};
use super::source::{self, LIMIT, Source, TEXT};
use super::{Site, judge, keys, values};
use crate::outcome::Class;

/// A site with the text that it came from.
#[derive(Clone)]
pub struct Loaded {
    /// The site.
    pub site: Site,
    /// The whole file, with the secrets of a second one merged in.
    pub text: String,
    /// The file as it was named.
    pub file: String,
    /// Where each key stands in that file.
    pub places: Places,
}

impl fmt::Debug for Loaded {
    /// Without the text, which holds the secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, file, .. } = self;
        out.debug_struct("Loaded").field("file", file).field("site", site).finish_non_exhaustive()
    }
}

/// Reads a site from text; on failure all findings, in the order of the text.
pub fn from_text(text: &str) -> Result<Site, Vec<Finding>> {
    let findings = Findings::new("", text);
    let site = findings.parse().map(|document| {
        let site = read::site(&Section::root(document.as_table(), &findings), None);
        judge::judge(&site, &findings);
        want_join_key(&site, &findings);
        site
    });
    let (list, _) = findings.finish();
    match site {
        Some(site) if list.is_empty() => Ok(site),
        _ => Err(list),
    }
}

/// Reads the site file at `path`; any finding is bad input, and all of them are in the error.
pub fn load(path: &Path) -> Result<Loaded> {
    examine(path)?.map_err(|findings| refusal(path, &findings))
}

/// As [`load()`] for the file of a node, which has no join key any more once it has joined.
pub fn load_of_node(path: &Path) -> Result<Loaded> {
    examine_file(path, false, str::to_owned)?.map_err(|findings| refusal(path, &findings))
}

/// An image without the join key would make servers that cannot join.
fn want_join_key(site: &Site, findings: &Findings) {
    if site.secrets.join_key == keys::FORGOTTEN {
        findings.note(
            "site.secrets.join_key",
            "what a node has in its place once it has joined",
            "the key: take the site file that the image was built from",
        );
    }
}

/// The error that carries `findings`.
pub fn refusal(path: &Path, findings: &[Finding]) -> anyhow::Error {
    let again = format!("cias-builder check {}", visible(&path.display().to_string()));
    document::refusal(path, &again, findings)
}

/// Reads the site file at `path`, and the second one if it names one; on failure all findings of both.
pub fn examine(path: &Path) -> Result<Result<Loaded, Vec<Finding>>> {
    examine_file(path, true, str::to_owned)
}

/// As [`examine`], after `complete` has added to the file's text what it lacks.
pub fn examine_with(path: &Path, complete: impl Fn(&str) -> String) -> Result<Result<Loaded, Vec<Finding>>> {
    examine_file(path, true, complete)
}

fn examine_file(
    path: &Path,
    wants_join_key: bool,
    complete: impl Fn(&str) -> String,
) -> Result<Result<Loaded, Vec<Finding>>> {
    let file = path.display().to_string();
    let mut source = source::read(path).map_err(|found| {
        let way_out = "name a site file, or make one with `cias-builder init`";
        let shown = visible(&file);
        Class::BadInput.error(format!("{shown}: found {found}, wanted {}: {way_out}", plain_file()))
    })?;
    source.text = complete(&source.text);
    let findings = Findings::new(&file, &source.text);
    let document = if is_text(&source, &findings, "a site: make one with `cias-builder init`") {
        findings.parse()
    } else {
        None
    };
    let Some(document) = document else {
        judge_mode(path, &source, &findings);
        return Ok(Err(findings.finish().0));
    };
    let root = Section::root(document.as_table(), &findings);
    let general = root.section("site");
    let named = general.has("secrets_file").then(|| general.text("secrets_file", |name| beside(path, name)));
    if named.is_none() || general.has("secrets") || general.has("root_password_hash") {
        judge_mode(path, &source, &findings);
    }
    let (second, second_text, mut list) = match named {
        Some(Some(name)) => second(path, &name, &findings),
        // Nothing of what should stand in a file that has no name counts as missing.
        Some(None) => (Some(Second::unread()), None, Vec::new()),
        None => (None, None, Vec::new()),
    };
    let site = read::site(&root, second.as_ref());
    judge::judge(&site, &findings);
    if wants_join_key {
        want_join_key(&site, &findings);
    }
    let (first, places) = findings.finish();
    list.splice(0..0, first);
    if !list.is_empty() {
        return Ok(Err(list));
    }
    let text = match second_text {
        Some(secrets) => merge(&source.text, &secrets)?,
        None => source.text,
    };
    Ok(Ok(Loaded { site, text, file, places }))
}

/// Judges the name of a second file: it lies beside the first one, at `path`, so that no site file makes its reader open
/// something elsewhere, and both move together.
pub fn beside(path: &Path, name: &str) -> Result<String, String> {
    let good = values::file_name(name).is_ok() && path.file_name() != Some(name.as_ref());
    good.then(|| name.to_owned()).ok_or_else(|| {
        "the name of another file in this folder, without a folder before it (a link of that name may lead elsewhere)".into()
    })
}

/// Reads the second file `name`: what it says, its text, and its findings. One that can't be read is a finding of the first.
fn second(first: &Path, name: &str, of: &Findings) -> (Option<Second>, Option<String>, Vec<Finding>) {
    let path = first.with_file_name(name);
    let source = match source::read(&path) {
        Ok(source) => source,
        Err(found) => {
            let found = format!("{}, which is {found}", Show::Value.text(name));
            let wanted = format!("the file with the secrets, beside this one: {}", plain_file());
            of.note("site.secrets_file", found, wanted);
            return (Some(Second::unread()), None, Vec::new());
        }
    };
    let findings = Findings::new(&path.display().to_string(), &source.text);
    judge_mode(&path, &source, &findings);
    let document = if is_text(&source, &findings, "site.root_password_hash and [site.secrets]") {
        findings.parse()
    } else {
        None
    };
    let second = match document {
        Some(document) => read::second(&Section::root(document.as_table(), &findings)),
        None => Second::unread(),
    };
    (Some(second), Some(source.text), findings.finish().0)
}

pub(super) fn plain_file() -> String {
    format!("a plain file of at most {LIMIT} bytes")
}

/// Is the file text at all, and not empty?
pub(super) fn is_text(source: &Source, findings: &Findings, content: &str) -> bool {
    if let Some(found) = source.broken {
        findings.note_at(source.text.len(), "(file)", found, TEXT.to_owned());
    } else if source.is_empty() {
        findings.note_at(0, "(file)", "an empty file", content.to_owned());
    } else {
        return true;
    }
    false
}

fn judge_mode(path: &Path, source: &Source, findings: &Findings) {
    let mode = source.mode;
    if mode & 0o077 != 0 {
        let wanted = format!("0600, as it holds secrets: run `chmod 600 {}`", path.display());
        findings.note_at(0, "(file)", &format!("mode {mode:04o}"), wanted);
    }
}

/// The site file with the secrets of the second one in it: one file again, as a node gets it.
fn merge(text: &str, secrets: &str) -> Result<String> {
    // An error of TOML would show the line in which it is.
    let parse =
        |text: &str| text.parse::<DocumentMut>().map_err(|error| anyhow::anyhow!("{}", error.message()));
    let mut merged = parse(text).context("merging the secrets")?;
    let mut second = parse(secrets).context("merging the secrets")?;
    let site = merged.get_mut("site").and_then(Item::as_table_like_mut).context("merging the secrets")?;
    let given = second.get_mut("site").and_then(Item::as_table_like_mut).context("merging the secrets")?;
    site.remove("secrets_file");
    for key in ["root_password_hash", "secrets"] {
        if let Some(item) = given.remove(key) {
            site.insert(key, item);
        }
    }
    let merged = merged.to_string();
    if let Err(findings) = from_text(&merged) {
        let first = findings.first().map(ToString::to_string).unwrap_or_default();
        anyhow::bail!("merging the secrets: {first}");
    }
    Ok(merged)
}
