//! Walks a TOML table key by key and notes every finding with its place, instead of stopping at the first.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use toml_edit::{Item, Table, TableLike, Value};

use super::findings::{Findings, shown};
use super::shown::{self, HIDDEN, Show};

/// How alike an unknown key and a known one must be for the known one to be meant (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.75;

/// One table of the file, read key by key; what is never asked for is an unknown key.
pub struct Section<'d, 'f> {
    table: Option<&'d dyn TableLike>,
    path: String,
    offset: usize,
    known: RefCell<Vec<&'static str>>,
    findings: &'f Findings,
}

impl<'d, 'f> Section<'d, 'f> {
    /// The whole document.
    pub fn root(table: &'d Table, findings: &'f Findings) -> Self {
        Self { table: Some(table), path: String::new(), offset: 0, known: RefCell::default(), findings }
    }

    /// The sub-table `key`; one that is missing is empty, so that its defaults apply.
    #[must_use]
    pub fn section(&self, key: &'static str) -> Section<'d, 'f> {
        let path = self.path_of(key);
        let item = self.item(key);
        let table = item.and_then(Item::as_table_like);
        if let (Some(item), None) = (item, table) {
            self.note(key, kind(item), format!("a table: [{}]", shown(&path)));
        }
        let offset = item.map_or(self.offset, |_| self.offset_of(key));
        Section { table, path, offset, known: RefCell::default(), findings: self.findings }
    }

    /// The tables of the array `key`, as `[[nodes.machine]]`.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'d, 'f>> {
        let path = self.path_of(key);
        let Some(item) = self.item(key) else {
            return Vec::new();
        };
        let Some(array) = item.as_array_of_tables() else {
            self.note(key, kind(item), format!("tables: [[{}]]", shown(&path)));
            return Vec::new();
        };
        let section = |(index, table): (usize, &'d Table)| {
            let path = format!("{path}[{index}]");
            let offset = table.span().map_or(self.offset, |span| span.start);
            self.findings.place(&path, offset);
            let table = Some(table as &dyn TableLike);
            Section { table, path, offset, known: RefCell::default(), findings: self.findings }
        };
        array.iter().enumerate().map(section).collect()
    }

    /// Where findings of this file go.
    pub fn findings(&self) -> &'f Findings {
        self.findings
    }

    /// Is the key in the file?
    pub fn has(&self, key: &'static str) -> bool {
        self.item(key).is_some()
    }

    /// The key with its path.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes a finding about `key`.
    pub fn note(&self, key: &str, found: impl Into<String>, wanted: impl Into<String>) {
        self.findings.note(&self.path_of(key), found, wanted);
    }

    /// Notes that `key` is missing.
    pub fn note_missing(&self, key: &str, wanted: &str) {
        self.findings.note_missing(&self.path_of(key), wanted);
    }

    /// A string that `accept` turns into a value, or says what is wanted instead.
    pub fn text<T>(&self, key: &'static str, accept: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.shown_text(key, Show::Value, accept)
    }

    /// As [`Section::text`]; `show` says how much of a wrong one a finding may tell.
    pub fn shown_text<T>(
        &self,
        key: &'static str,
        show: Show,
        accept: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(key)?;
        match value.as_str() {
            Some(text) => accept(text).map_err(|wanted| self.note(key, show.text(text), wanted)).ok(),
            None => self.wrong(key, show, value, "a string in quotes"),
        }
    }

    /// As [`Section::text`], for a key that must be there.
    pub fn needed<T>(
        &self,
        key: &'static str,
        wanted: &str,
        accept: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.shown_needed(key, Show::Value, wanted, accept)
    }

    /// As [`Section::needed`]; `show` says how much of a wrong one a finding may tell.
    pub fn shown_needed<T>(
        &self,
        key: &'static str,
        show: Show,
        wanted: &str,
        accept: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.note_missing(key, wanted);
        }
        self.shown_text(key, show, accept)
    }

    /// As [`Section::needed`], but no finding ever shows what stands there.
    pub fn secret<T>(
        &self,
        key: &'static str,
        wanted: &str,
        accept: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(item) = self.item(key) else {
            self.note_missing(key, wanted);
            return None;
        };
        let (found, judged) = match item.as_str() {
            Some("") => ("nothing", Err(wanted.to_owned())),
            Some(text) => (HIDDEN, accept(text)),
            None => (HIDDEN, Err("a string in quotes".to_owned())),
        };
        judged.map_err(|wanted| self.note(key, found, wanted)).ok()
    }

    /// Strings, each accepted on its own; `show` says how much of a wrong one a finding may tell.
    pub fn texts<T>(
        &self,
        key: &'static str,
        show: Show,
        accept: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.value(key)?;
        let Some(array) = value.as_array() else {
            return self.wrong(key, show, value, "a list of strings in [ ]");
        };
        let mut all = Vec::new();
        for item in array {
            let offset = item.span().map_or(self.offset, |span| span.start);
            let accepted = item.as_str().ok_or_else(|| "a string in quotes".to_owned()).and_then(&accept);
            match accepted {
                Ok(found) => all.push(found),
                Err(wanted) => {
                    self.findings.note_at(offset, &self.path_of(key), &show.value(item), wanted);
                }
            }
        }
        Some(all)
    }

    /// The number of entries, good or bad, if the key is there as a list.
    pub fn length(&self, key: &'static str) -> Option<usize> {
        self.item(key).and_then(Item::as_array).map(toml_edit::Array::len)
    }

    /// A whole number inside `range`.
    pub fn number(&self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(key)?;
        match value.as_integer() {
            Some(number) if range.contains(&number) => Some(number),
            _ => self.wrong(key, Show::Value, value, &whole_number(&range)),
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        value.as_bool().or_else(|| self.wrong(key, Show::Value, value, "true or false"))
    }

    /// A whole number inside `range`; nothing for the string `word`, which is the default too.
    pub fn word_or_number(&self, key: &'static str, word: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(key)?;
        match (value.as_str(), value.as_integer()) {
            (Some(text), _) if text == word => None,
            (_, Some(number)) if range.contains(&number) => Some(number),
            _ => self.wrong(key, Show::Value, value, &format!("{word:?} or {}", whole_number(&range))),
        }
    }

    /// Notes each key that nothing asked for, with the nearest known one.
    pub fn finish(&self) {
        let Some(table) = self.table else { return };
        let mut known = self.known.borrow().clone();
        known.dedup();
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(key)) {
            let nearest = known.iter().max_by(|a, b| likeness(key, a).total_cmp(&likeness(key, b)));
            let nearest = nearest.filter(|name| likeness(key, name) >= ALIKE);
            let nearest = nearest.map(|name| shown(&self.path_of(name)));
            let wanted = match nearest {
                Some(_) => "a known key".to_owned(),
                None => format!("one of: {}", known.join(", ")),
            };
            let name = table.get_key_value(key).and_then(|(name, _)| name.span());
            let offset = name.map_or_else(|| self.offset_of(key), |span| span.start);
            self.findings.note_unknown(offset, &self.path_of(&shown::name(key)), wanted, nearest);
        }
    }

    fn item(&self, key: &'static str) -> Option<&'d Item> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        let item = self.table?.get(key)?;
        self.findings.place(&self.path_of(key), self.offset_of(key));
        Some(item)
    }

    /// Where the value of `key` stands; for a table, its header.
    fn offset_of(&self, key: &str) -> usize {
        let value = self.table.and_then(|table| table.get(key)).and_then(Item::span);
        let name = self.table.and_then(|table| table.get_key_value(key)).and_then(|(name, _)| name.span());
        value.or(name).map_or(self.offset, |span| span.start)
    }

    fn value(&self, key: &'static str) -> Option<&'d Value> {
        let item = self.item(key)?;
        item.as_value().or_else(|| {
            self.note(key, kind(item), "a value");
            None
        })
    }

    fn wrong<T>(&self, key: &str, show: Show, value: &Value, wanted: &str) -> Option<T> {
        self.note(key, show.value(value), wanted);
        None
    }
}

fn whole_number(range: &RangeInclusive<i64>) -> String {
    format!("a whole number from {} to {}", range.start(), range.end())
}

fn kind(item: &Item) -> String {
    let name = item.type_name();
    if name.starts_with(['a', 'i']) { format!("an {name}") } else { format!("a {name}") }
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}
