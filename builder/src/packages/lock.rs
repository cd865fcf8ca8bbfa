//! `packages.lock`: which packages exactly, so that every fetch gets the same bytes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use cias_firstboot::files;
use cias_firstboot::outcome::Class;
use cias_firstboot::site::document;
use cias_firstboot::site::reader::Section;
use cias_firstboot::site::visible;
use serde::Serialize;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::folders;
use super::request::uri;

/// The command that writes the file.
pub const RESOLVE: &str = "cias-builder packages resolve";

const HEAD: &str =
    "# Written by `cias-builder packages resolve`: do not edit, but keep it beside packages.toml.\n";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Names what `packages.toml` asked for.
    pub request: String,
    /// By name.
    pub packages: Vec<Locked>,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// Its version, with the epoch.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Bytes.
    pub size: u64,
    /// In lower-case hexadecimal digits.
    pub sha256: String,
    /// The source in `packages.toml`.
    pub source: String,
    /// Where it lies.
    pub uri: String,
    /// The name that it gets: one that the installer's shell takes, without an epoch.
    pub file: String,
}

/// The lock beside `packages`.
pub fn path(packages: &Path) -> PathBuf {
    packages.with_extension("lock")
}

/// The file that a package gets.
pub fn file_name(name: &str, version: &str, architecture: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    format!("{name}_{version}_{architecture}.deb")
}

impl Lock {
    /// Writes it; the same packages give the same bytes.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut document = DocumentMut::new();
        document["schema"] = value(1);
        document["request"] = value(&self.request);
        let mut array = ArrayOfTables::new();
        for package in &self.packages {
            let mut table = Table::new();
            table["name"] = value(&package.name);
            table["version"] = value(&package.version);
            table["architecture"] = value(&package.architecture);
            table["size"] = value(i64::try_from(package.size)?);
            table["sha256"] = value(&package.sha256);
            table["source"] = value(&package.source);
            table["uri"] = value(&package.uri);
            table["file"] = value(&package.file);
            array.push(table);
        }
        if !array.is_empty() {
            document["package"] = Item::ArrayOfTables(array);
        }
        files::write(path, format!("{HEAD}{document}"), 0o644)
    }

    /// Reads it.
    pub fn load(path: &Path) -> Result<Self> {
        let way_out = format!("make it with `{RESOLVE}`");
        document::examine(path, &way_out, read)?.map_err(|findings| {
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            let shown = visible(&path.display().to_string());
            Class::BadInput
                .error(format!("{shown} was changed, make it again with `{RESOLVE}`:\n{}", lines.join("\n")))
        })
    }
}

fn read(root: &Section<'_, '_>) -> Lock {
    if root.number("schema", 1..=1).is_none() && !root.has("schema") {
        root.note_missing("schema", "schema = 1");
    }
    let request = root.needed("request", "64 hexadecimal digits", sha256).unwrap_or_default();
    let sections = root.sections("package");
    let packages: Vec<_> = sections.iter().map(package).collect();
    let mut seen = BTreeSet::new();
    for (package, section) in packages.iter().zip(&sections) {
        if !seen.insert(&package.file) {
            section.note("file", "a name that an earlier package has", "another one for each");
        }
    }
    Lock { request, packages }
}

fn package(section: &Section<'_, '_>) -> Locked {
    let text = |key, judge: fn(&str) -> Result<String, String>| {
        section.needed(key, "what `resolve` writes", judge).unwrap_or_default()
    };
    if !section.has("size") {
        section.note_missing("size", "a number of bytes");
    }
    let size = section.number("size", 0..=i64::MAX).and_then(|size| u64::try_from(size).ok());
    let line = cias_firstboot::site::values::line;
    let locked = Locked {
        name: text("name", line),
        version: text("version", line),
        architecture: text("architecture", line),
        size: size.unwrap_or_default(),
        sha256: text("sha256", sha256),
        source: text("source", line),
        uri: text("uri", uri),
        file: text("file", file),
    };
    section.finish();
    locked
}

fn sha256(text: &str) -> Result<String, String> {
    let good = text.len() == 64 && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    good.then(|| text.to_owned()).ok_or_else(|| "64 hexadecimal digits".into())
}

fn file(text: &str) -> Result<String, String> {
    let good =
        folders::is_usable(text) && Path::new(text).extension().is_some_and(|extension| extension == "deb");
    let good = good && !text.starts_with('.');
    good.then(|| text.to_owned())
        .ok_or_else(|| "a file name that ends in .deb, of letters, digits and . _ + ~ -".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(name: &str, file: &str) -> Locked {
        Locked {
            name: name.into(),
            version: "1:2.0-1+b1".into(),
            architecture: "amd64".into(),
            size: 12,
            sha256: "0a".repeat(32),
            source: "debian".into(),
            uri: "http://mirror.example.com/pool/a_2.0-1%2bb1_amd64.deb".into(),
            file: file.into(),
        }
    }

    #[test]
    fn what_was_written_is_read_and_a_bad_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packages.lock");
        let mut lock =
            Lock { request: "1".repeat(64), packages: vec![locked("a", "a.deb"), locked("b", "b.deb")] };
        lock.write(&path).unwrap();
        assert_eq!(Lock::load(&path).unwrap(), lock);
        for (file, wanted) in
            [("../b.deb", "a file name"), ("a.deb", "another one"), (".b.deb", "a file name")]
        {
            lock.packages[1].file = file.into();
            lock.write(&path).unwrap();
            let error = Lock::load(&path).unwrap_err();
            assert_eq!(Class::of(&error), Class::BadInput);
            assert!(error.to_string().contains(wanted), "{error}");
        }
        lock.packages.clear();
        lock.write(&path).unwrap();
        assert_eq!(Lock::load(&path).unwrap(), lock);
    }

    #[test]
    fn an_epoch_is_no_part_of_a_files_name() {
        assert_eq!(file_name("keepalived", "1:1.2.2-3", "amd64"), "keepalived_1.2.2-3_amd64.deb");
    }
}
