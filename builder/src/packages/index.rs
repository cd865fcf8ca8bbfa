//! The lists of packages that sources have, as apt fetched and checked them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use debversion::Version;

use crate::deb::control::{Paragraph, parse};

/// A package of a source.
#[derive(Debug)]
pub struct Listed {
    /// The source's number.
    pub source: usize,
    /// What its list says.
    pub paragraph: Paragraph,
}

/// The lists of all sources.
#[derive(Debug, Default)]
pub struct Index {
    lists: Vec<(usize, String)>,
}

impl Index {
    /// Adds the lists in `files` of the `source`th source.
    pub fn add(&mut self, source: usize, files: &[PathBuf]) -> Result<()> {
        for file in files {
            let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            self.lists.push((source, String::from_utf8_lossy(&bytes).into_owned()));
        }
        Ok(())
    }

    /// All names that there are.
    pub fn names(&self) -> BTreeSet<&str> {
        let lines = self.lists.iter().flat_map(|(_, text)| text.lines());
        lines.filter_map(|line| line.strip_prefix("Package:")).map(str::trim).collect()
    }

    /// The versions that there are of the package `name`, the newest first.
    pub fn versions(&self, name: &str) -> Vec<String> {
        let listed = self.listed(|found| found == name);
        let mut versions: Vec<Version> =
            listed.filter_map(|listed| listed.paragraph.field("Version").parse().ok()).collect();
        versions.sort();
        versions.dedup();
        versions.iter().rev().map(ToString::to_string).collect()
    }

    /// The packages of these names and versions; of one that several sources have, the earliest source's.
    pub fn find(&self, wanted: &[(String, String)]) -> BTreeMap<(String, String), Listed> {
        let names: BTreeSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let mut found = BTreeMap::new();
        for listed in self.listed(|name| names.contains(name)) {
            let field = |name: &str| listed.paragraph.field(name).to_owned();
            let key = (field("Package"), field("Version"));
            if wanted.contains(&key) {
                found.entry(key).or_insert(listed);
            }
        }
        found
    }

    /// The packages whose names are wanted. Lists are long, and nearly all of each is never parsed.
    fn listed(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Listed> {
        let texts =
            self.lists.iter().flat_map(|(source, text)| text.split("\n\n").map(|text| (*source, text)));
        let texts = texts.filter(move |(_, text)| {
            let name = text.trim_start().strip_prefix("Package:").and_then(|rest| rest.lines().next());
            name.is_some_and(|name| wanted(name.trim()))
        });
        texts.flat_map(|(source, text)| {
            parse(text).into_iter().map(move |paragraph| Listed { source, paragraph })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_is_wanted_is_found_in_the_first_source_that_has_it() {
        let list =
            "Package: a\nVersion: 1\nSize: 1\n\nPackage: ab\nVersion: 1\n\nPackage: a\nVersion: 2\nSize: 2\n";
        let index = Index { lists: vec![(0, list.into()), (1, list.replace("Size: 2", "Size: 3"))] };
        assert_eq!(index.names().len(), 2);
        assert_eq!(index.versions("a"), ["2", "1"]);
        let key = ("a".to_owned(), "2".to_owned());
        let found = index.find(std::slice::from_ref(&key));
        assert_eq!((found.len(), found[&key].source, found[&key].paragraph.field("Size")), (1, 0, "2"));
    }
}
