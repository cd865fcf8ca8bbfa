//! Loads a site: from text, or from a file and the second one that may hold its secrets.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item};

use super::findings::{Finding, Findings, Places};
use super::read::{self, Second};
use super::reader::Section;
use super::{Site, judge};
use crate::outcome::Class;

/// A site with the text that it came from.
#[derive(Clone, Debug)]
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

/// Reads a site from text; on failure all findings, in the order of the text.
pub fn from_text(text: &str) -> Result<Site, Vec<Finding>> {
    let findings = Findings::new("", text);
    let site = findings.parse().map(|document| {
        let site = read::site(&Section::root(document.as_table(), &findings), None);
        judge::judge(&site, &findings);
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

/// The error that carries `findings`.
pub fn refusal(path: &Path, findings: &[Finding]) -> anyhow::Error {
    let shown = path.display();
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    Class::BadInput.error(format!(
        "{shown}: {} finding(s), mend them and run `cias-builder check {shown}` again:\n{}",
        findings.len(),
        lines.join("\n")
    ))
}

/// Reads the site file at `path`, and the second one if it names one; on failure all findings of both.
pub fn examine(path: &Path) -> Result<Result<Loaded, Vec<Finding>>> {
    let file = path.display().to_string();
    let text = text_of(path).map_err(|error| {
        let way_out = "name a site file, or make one with `cias-builder init`";
        Class::BadInput.error(format!("{file} can't be read ({error}): {way_out}"))
    })?;
    let findings = Findings::new(&file, &text);
    let Some(document) = findings.parse() else {
        judge_mode(path, &findings)?;
        return Ok(Err(findings.finish().0));
    };
    let root = Section::root(document.as_table(), &findings);
    let general = root.section("site");
    let named = general.has("secrets_file").then(|| general.text("secrets_file", |name| Ok(name.to_owned())));
    if named.is_none() || general.has("secrets") || general.has("root_password_hash") {
        judge_mode(path, &findings)?;
    }
    let beside = named.flatten().map(|name| path.with_file_name(name));
    let (second, second_text, mut list) = match &beside {
        Some(beside) => second(beside, &findings)?,
        None => (None, None, Vec::new()),
    };
    let site = read::site(&root, second.as_ref());
    judge::judge(&site, &findings);
    let (first, places) = findings.finish();
    list.splice(0..0, first);
    if !list.is_empty() {
        return Ok(Err(list));
    }
    let text = match second_text {
        Some(secrets) => merge(&text, &secrets)?,
        None => text,
    };
    Ok(Ok(Loaded { site, text, file, places }))
}

/// Reads a second file: what it says, its text, and its findings. One that can't be read is a finding of the first.
fn second(path: &Path, of: &Findings) -> Result<(Option<Second>, Option<String>, Vec<Finding>)> {
    let text = match text_of(path) {
        Ok(text) => text,
        Err(error) => {
            let found = format!("{}, which can't be read ({error})", path.display());
            of.note("site.secrets_file", found, "the file with the secrets, beside this one");
            // Nothing of what should stand there counts as missing.
            return Ok((Some(Second { hash: Some(String::new()), ..Second::default() }), None, Vec::new()));
        }
    };
    let findings = Findings::new(&path.display().to_string(), &text);
    judge_mode(path, &findings)?;
    let second = match findings.parse() {
        Some(document) => read::second(&Section::root(document.as_table(), &findings)),
        None => Second::default(),
    };
    Ok((Some(second), Some(text), findings.finish().0))
}

/// Text of a file; bytes that are none count as a TOML error would.
fn text_of(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => std::io::Error::new(ErrorKind::InvalidData, "it is no UTF-8 text"),
        _ => error,
    })
}

fn judge_mode(path: &Path, findings: &Findings) -> Result<()> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).with_context(|| format!("reading {shown}"))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let wanted = format!("0600, as it holds secrets: run `chmod 600 {shown}`");
        findings.note("(file)", format!("mode {mode:04o}"), wanted);
    }
    Ok(())
}

/// The site file with the secrets of the second one in it: one file again, as a node gets it.
fn merge(text: &str, secrets: &str) -> Result<String> {
    let mut merged: DocumentMut = text.parse().context("merging the secrets")?;
    let mut second: DocumentMut = secrets.parse().context("merging the secrets")?;
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
