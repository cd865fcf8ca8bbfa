//! Walks a TOML table and notes every finding with its place, instead of stopping at the first.

use std::cell::RefCell;
use std::fmt;

use serde::Serialize;
use toml_edit::{Document, Item, Table, TableLike, Value};

/// One thing that is wrong in a site file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
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
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, key, found, wanted } = self;
        write!(out, "{line}:{column}: {key}: found {found}, wanted {wanted}")
    }
}

/// What a walk over one file found wrong so far.
pub struct Findings<'t> {
    text: &'t str,
    list: RefCell<Vec<(usize, Finding)>>,
}

impl<'t> Findings<'t> {
    /// No findings yet in `text`.
    pub fn new(text: &'t str) -> Self {
        Self { text, list: RefCell::default() }
    }

    /// Notes a finding at byte `offset` of the text.
    pub fn note(&self, offset: usize, key: &str, found: impl Into<String>, wanted: impl Into<String>) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let finding = Finding { line, column, key: key.into(), found: found.into(), wanted: wanted.into() };
        self.list.borrow_mut().push((offset, finding));
    }

    /// All findings in the order of the file.
    pub fn into_list(self) -> Vec<Finding> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|(offset, _)| *offset);
        list.into_iter().map(|(_, finding)| finding).collect()
    }
}

/// Parses TOML; a syntax error becomes a finding.
pub fn parse<'t>(text: &'t str, findings: &Findings<'t>) -> Option<Document<String>> {
    match Document::parse(text.to_owned()) {
        Ok(document) => Some(document),
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            findings.note(offset, "(syntax)", error.message().replace('\n', " "), "a TOML file");
            None
        }
    }
}

/// One table of the file, read key by key; what is never asked for is an unknown key.
pub struct Section<'d, 'f> {
    table: Option<&'d dyn TableLike>,
    path: String,
    offset: usize,
    known: RefCell<Vec<&'static str>>,
    findings: &'f Findings<'f>,
}

impl<'d, 'f> Section<'d, 'f> {
    /// The whole document.
    pub fn root(table: &'d Table, findings: &'f Findings<'f>) -> Self {
        Self { table: Some(table), path: String::new(), offset: 0, known: RefCell::default(), findings }
    }

    /// The sub-table `key`; one that is missing is empty, so that its defaults apply.
    #[must_use]
    pub fn section(&self, key: &'static str) -> Section<'d, 'f> {
        let path = self.path_of(key);
        let item = self.item(key);
        let table = item.and_then(|item| item.as_table_like());
        let offset = item.map_or(self.offset, |_| self.offset_of(key));
        if let (Some(item), None) = (item, table) {
            self.findings.note(offset, &path, kind(item), format!("a table: [{path}]"));
        }
        Section { table, path, offset, known: RefCell::default(), findings: self.findings }
    }

    /// The tables of the array `key`, as `[[nodes.machine]]`.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'d, 'f>> {
        let path = self.path_of(key);
        let Some(item) = self.item(key) else {
            return Vec::new();
        };
        let Some(array) = item.as_array_of_tables() else {
            self.findings.note(self.offset_of(key), &path, kind(item), format!("tables: [[{path}]]"));
            return Vec::new();
        };
        let section = |table: &'d Table| Section {
            table: Some(table as &dyn TableLike),
            path: path.clone(),
            offset: table.span().map_or(self.offset, |span| span.start),
            known: RefCell::default(),
            findings: self.findings,
        };
        array.iter().map(section).collect()
    }

    /// Is the key in the file?
    pub fn has(&self, key: &'static str) -> bool {
        self.item(key).is_some()
    }

    /// Where the table stands, for findings about a missing key.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Where the value of `key` stands, or the table if the key is missing.
    pub fn offset_of(&self, key: &str) -> usize {
        let Some(table) = self.table else {
            return self.offset;
        };
        let value = table.get(key).and_then(Item::span).map(|span| span.start);
        let name = table.get_key_value(key).and_then(|(name, _)| name.span()).map(|span| span.start);
        value.or(name).unwrap_or(self.offset)
    }

    /// The key with its path.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes a finding about `key`.
    pub fn note(&self, key: &str, found: impl Into<String>, wanted: impl Into<String>) {
        self.findings.note(self.offset_of(key), &self.path_of(key), found, wanted);
    }

    /// A string that `accept` turns into a value, or says what is wanted instead.
    pub fn text<T>(&self, key: &'static str, accept: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.value(key)?;
        match value.as_str() {
            Some(text) => self.accepted(key, text, accept(text)),
            None => self.wrong(key, value, "a string in quotes"),
        }
    }

    /// As [`Section::text`], for a key that must be there.
    pub fn needed<T>(
        &self,
        key: &'static str,
        wanted: &str,
        accept: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.findings.note(self.offset, &self.path_of(key), "nothing", wanted);
        }
        self.text(key, accept)
    }

    /// As [`Section::text`], but no finding ever shows what stands there.
    pub fn secret<T>(&self, key: &'static str, accept: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let Some(value) = self.value(key) else {
            self.findings.note(
                self.offset,
                &self.path_of(key),
                "nothing",
                "a secret as `cias-builder init` makes it",
            );
            return None;
        };
        let accepted = value.as_str().ok_or_else(|| "a string in quotes".to_owned()).and_then(accept);
        accepted.map_err(|wanted| self.note(key, "something else (not shown: it is a secret)", wanted)).ok()
    }

    /// Strings, each accepted on its own.
    pub fn texts<T>(&self, key: &'static str, accept: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let value = self.value(key)?;
        let Some(array) = value.as_array() else {
            return self.wrong(key, value, "a list of strings in [ ]");
        };
        let mut all = Vec::new();
        for item in array {
            let offset = item.span().map_or(self.offset, |span| span.start);
            let accepted = item.as_str().ok_or_else(|| "a string in quotes".to_owned()).and_then(&accept);
            match accepted {
                Ok(found) => all.push(found),
                Err(wanted) => {
                    self.findings.note(offset, &self.path_of(key), item.to_string().trim(), wanted);
                }
            }
        }
        Some(all)
    }

    /// A whole number inside `range`.
    pub fn number(&self, key: &'static str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(key)?;
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        match value.as_integer() {
            Some(number) if range.contains(&number) => Some(number),
            _ => self.wrong(key, value, &wanted),
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        value.as_bool().or_else(|| self.wrong(key, value, "true or false"))
    }

    /// A string or a whole number inside `range`.
    pub fn text_or_number(
        &self,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
        wanted: &str,
    ) -> Option<Result<i64, String>> {
        let value = self.value(key)?;
        match (value.as_str(), value.as_integer()) {
            (Some(text), _) => Some(Err(text.to_owned())),
            (_, Some(number)) if range.contains(&number) => Some(Ok(number)),
            _ => self.wrong(key, value, wanted),
        }
    }

    /// Notes each key that nothing asked for, with the nearest known one.
    pub fn finish(&self) {
        let Some(table) = self.table else { return };
        let known = self.known.borrow();
        for (key, _) in table.iter() {
            if known.contains(&key) {
                continue;
            }
            let nearest = known.iter().max_by(|a, b| likeness(key, a).total_cmp(&likeness(key, b)));
            let hint = nearest.filter(|name| likeness(key, name) > 0.6).map_or_else(
                || format!("one of: {}", known.join(", ")),
                |name| format!("a known key; did you mean {}?", self.path_of(name)),
            );
            let offset = table.get_key_value(key).and_then(|(name, _)| name.span());
            let offset = offset.map_or_else(|| self.offset_of(key), |span| span.start);
            self.findings.note(offset, &self.path_of(key), "an unknown key", hint);
        }
    }

    fn item(&self, key: &'static str) -> Option<&'d Item> {
        self.known.borrow_mut().push(key);
        self.table?.get(key)
    }

    fn value(&self, key: &'static str) -> Option<&'d Value> {
        let item = self.item(key)?;
        item.as_value().or_else(|| {
            self.note(key, kind(item), "a value");
            None
        })
    }

    fn accepted<T>(&self, key: &str, text: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|wanted| self.note(key, format!("{text:?}"), wanted)).ok()
    }

    fn wrong<T>(&self, key: &str, value: &Value, wanted: &str) -> Option<T> {
        self.note(key, value.to_string().trim(), wanted);
        None
    }
}

fn kind(item: &Item) -> String {
    format!("a {}", item.type_name())
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}
