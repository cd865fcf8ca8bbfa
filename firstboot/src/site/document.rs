//! Reads another TOML file of ours as a site is read: key by key, with every finding in one run.

use std::path::Path;

use super::findings::{Finding, Findings};
use super::load::{is_text, plain_file};
use super::reader::Section;
use super::shown::visible;
use super::source;
use crate::outcome::Class;

/// What `read` makes of the file at `path`, or all that is wrong with it; unknown keys are found here. `way_out` says how to
/// get such a file.
pub fn examine<T>(
    path: &Path,
    way_out: &str,
    read: impl FnOnce(&Section<'_, '_>) -> T,
) -> anyhow::Result<Result<T, Vec<Finding>>> {
    let file = path.display().to_string();
    let source = source::read(path).map_err(|found| {
        Class::BadInput.error(format!(
            "{}: found {found}, wanted {}: {way_out}",
            visible(&file),
            plain_file()
        ))
    })?;
    let findings = Findings::new(&file, &source.text);
    let document = if is_text(&source, &findings, way_out) { findings.parse() } else { None };
    let value = document.map(|document| {
        let root = Section::root(document.as_table(), &findings);
        let value = read(&root);
        root.finish();
        value
    });
    let list = findings.finish().0;
    Ok(match value {
        Some(value) if list.is_empty() => Ok(value),
        _ => Err(list),
    })
}

/// The error that carries `findings` of the file at `path`; `again` is the command to run once they are mended.
pub fn refusal(path: &Path, again: &str, findings: &[Finding]) -> anyhow::Error {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    Class::BadInput.error(format!(
        "{}: {} finding(s), mend them and run `{again}` again:\n{}",
        visible(&path.display().to_string()),
        findings.len(),
        lines.join("\n")
    ))
}
