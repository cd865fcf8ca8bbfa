//! What is wrong in a site file: findings with their places, all of one run, in the order of the file.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use toml_edit::Document;

use super::shown::visible;

/// So many syntax errors are looked for before a file counts as something else than TOML.
const SYNTAX_LIMIT: usize = 20;

/// One thing that is wrong in a site file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file as it was named; empty for text that came from no file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key with its path, as `network.vip`.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What would be right, with the way out.
    pub wanted: String,
    /// The known key that an unknown one resembles most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}

impl Finding {
    /// With every character escaped that a terminal would obey, wherever it came from.
    #[must_use]
    pub(super) fn escaped(self) -> Self {
        let Self { file, line, column, key, found, wanted, nearest } = self;
        let [file, key, found, wanted] = [file, key, found, wanted].map(|text| visible(&text));
        Self { file, line, column, key, found, wanted, nearest }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, found, wanted, nearest } = self;
        if !file.is_empty() {
            write!(out, "{file}:")?;
        }
        write!(out, "{line}:{column}: {key}: found {found}, wanted {wanted}")?;
        nearest.iter().try_for_each(|name| write!(out, "; did you mean {name}?"))
    }
}

/// Where a key stands: line and column, from 1.
pub type Place = (usize, usize);

/// Where each key of a file stands. Tables of an array carry their index: `nodes.machine[0].mac`.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// The place of `path`; of the nearest table around it, if the file does not set it.
    pub fn of(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return *place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return (1, 1),
            }
        }
    }
}

/// `path` without the indexes of arrays, as a user writes it.
pub fn shown(path: &str) -> String {
    let part = |part: &str| match part.split_once(']') {
        Some((index, rest)) if index.bytes().all(|byte| byte.is_ascii_digit()) => rest.to_owned(),
        _ => format!("[{part}"),
    };
    let (first, rest) = path.split_at(path.find('[').unwrap_or(path.len()));
    std::iter::once(first.to_owned()).chain(rest.split('[').skip(1).map(part)).collect()
}

/// What a walk over one file found wrong so far.
pub struct Findings {
    file: String,
    line_starts: Vec<usize>,
    text: String,
    places: RefCell<Places>,
    bad: RefCell<BTreeSet<String>>,
    list: RefCell<Vec<Finding>>,
    broken: RefCell<bool>,
}

impl Findings {
    /// No findings yet in `text`, which came from `file` (empty: from no file).
    pub fn new(file: &str, text: &str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self {
            file: file.to_owned(),
            line_starts,
            text: text.to_owned(),
            places: RefCell::default(),
            bad: RefCell::default(),
            list: RefCell::default(),
            broken: RefCell::default(),
        }
    }

    /// Remembers that `path` stands at byte `offset`.
    pub(super) fn place(&self, path: &str, offset: usize) {
        let place = self.place_at(offset);
        self.places.borrow_mut().0.entry(path.to_owned()).or_insert(place);
    }

    /// Notes a finding about `path`, at its place.
    pub fn note(&self, path: &str, found: impl Into<String>, wanted: impl Into<String>) {
        let place = self.places.borrow().of(path);
        self.push(place, path, found.into(), wanted.into(), None);
    }

    /// Notes that `path` is missing. Beside a syntax error nothing is: it may stand in the broken line.
    pub(super) fn note_missing(&self, path: &str, wanted: &str) {
        if *self.broken.borrow() {
            self.bad.borrow_mut().insert(path.to_owned());
        } else {
            self.note(path, "nothing", wanted);
        }
    }

    /// Notes an unknown key at byte `offset`.
    pub(super) fn note_unknown(&self, offset: usize, path: &str, wanted: String, nearest: Option<String>) {
        self.push(self.place_at(offset), path, "an unknown key".into(), wanted, nearest);
    }

    /// Notes a finding about a part of `path`, at byte `offset`.
    pub(super) fn note_at(&self, offset: usize, path: &str, found: &str, wanted: String) {
        self.push(self.place_at(offset), path, found.to_owned(), wanted, None);
    }

    /// Was anything noted about `path`, or about a table around it or a key below it?
    pub fn is_bad(&self, path: &str) -> bool {
        let below = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.bad.borrow().iter().any(|bad| below(bad, path) || below(path, bad))
    }

    /// The line in which `path` stands.
    pub fn line_of(&self, path: &str) -> usize {
        self.places.borrow().of(path).0
    }

    /// All findings in the order of the file, and the place of each key.
    pub fn finish(self) -> (Vec<Finding>, Places) {
        let mut list = self.list.into_inner();
        list.sort_by_key(|finding| (finding.line, finding.column));
        (list, self.places.into_inner())
    }

    /// Parses the text as TOML. Each line with a syntax error becomes a finding, is left out, and the rest is
    /// parsed again, so that one run shows all that can be judged.
    pub(super) fn parse(&self) -> Option<Document<String>> {
        let mut text = self.text.clone();
        for _ in 0..SYNTAX_LIMIT {
            let error = match Document::parse(text.clone()) {
                Ok(document) => return Some(document),
                Err(error) => error,
            };
            let offset = error.span().map_or(0, |span| span.start).min(text.len());
            let said = error.message().trim().replace('\n', ", ");
            self.push(self.place_at(offset), "(syntax)", said, "a line of TOML: key = value".into(), None);
            self.broken.replace(true);
            let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
            let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
            let line = &text[start..end];
            if line.trim().is_empty() {
                return None;
            }
            // Without its header a table's keys would be another table's, so they are left out with it.
            let next_header = || text[end..].find("\n[").map_or(text.len(), |at| end + at);
            let end = if line.trim_start().starts_with('[') { next_header() } else { end };
            // Lines and places of all that follows stay as they are.
            let blank: String =
                text[start..end].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect();
            text.replace_range(start..end, &blank);
        }
        None
    }

    fn place_at(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        // A byte order mark is no character of its line.
        let before = self.text.get(start..offset).unwrap_or_default();
        let column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        (line, column)
    }

    fn push(
        &self,
        (line, column): Place,
        path: &str,
        found: String,
        wanted: String,
        nearest: Option<String>,
    ) {
        self.bad.borrow_mut().insert(path.to_owned());
        let finding =
            Finding { file: self.file.clone(), line, column, key: shown(path), found, wanted, nearest };
        self.list.borrow_mut().push(finding.escaped());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_file_does_not_set_stands_where_its_table_stands() {
        let findings = Findings::new("", "a = 1\n[b]\nc = 2\n[[d]]\n");
        for (path, offset) in [("b", 6), ("b.c", 14), ("d[0]", 16)] {
            findings.place(path, offset);
        }
        let places = findings.finish().1;
        for (path, place) in
            [("b.c", (3, 5)), ("b.x", (2, 1)), ("d[0].mac", (4, 1)), ("x.y", (1, 1)), ("", (1, 1))]
        {
            assert_eq!(places.of(path), place, "{path}");
        }
    }

    #[test]
    fn indexes_are_not_shown() {
        assert_eq!(shown("nodes.machine[12].install.disk"), "nodes.machine.install.disk");
        assert_eq!(shown("schema"), "schema");
        assert_eq!(shown("site.\"a[b]c[\""), "site.\"a[b]c[\"");
    }

    #[test]
    fn two_broken_lines_give_two_findings() {
        let findings = Findings::new("", "a = \nb = 1\nc = x\n");
        assert_eq!(findings.parse().unwrap().as_table().len(), 1);
        let lines: Vec<usize> = findings.finish().0.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 3]);
    }

    #[test]
    fn what_is_no_toml_at_all_is_given_up_on() {
        let findings = Findings::new("", &"<p>\n".repeat(100));
        assert!(findings.parse().is_none());
        assert_eq!(findings.finish().0.len(), SYNTAX_LIMIT);
    }
}
