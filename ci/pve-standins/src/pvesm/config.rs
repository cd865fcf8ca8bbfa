//! The stand-in's storage.cfg (CM data/PVE/SectionConfig.pm and PS PVE/Storage/Plugin.pm of March 2014, read; pve-3.2-tools.md 16):
//! what is wrong is warned about and left out, and what is written is written anew as a whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::schema::{self, BOOLEANS, Kind};

/// A storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Its id.
    pub id: String,
    /// `dir` or `nfs`.
    pub kind: String,
    /// Its properties; those that are on have `1`.
    pub values: BTreeMap<String, String>,
}

/// All storages in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config(pub Vec<Storage>);

impl Storage {
    /// A property.
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Is it on?
    pub fn has(&self, name: &str) -> bool {
        !matches!(self.value(name), "" | "0")
    }

    /// A new one of `values`, which were checked.
    pub fn new(id: &str, kind: &Kind, mut values: BTreeMap<String, String>) -> Result<Self> {
        if kind.name == "nfs" {
            values.entry("path".into()).or_insert_with(|| format!("/mnt/pve/{id}"));
        }
        let mut storage = Self { id: id.to_owned(), kind: kind.name.to_owned(), values: BTreeMap::new() };
        for (name, value) in &values {
            storage.values.insert(name.clone(), kind.decoded(name, value)?);
        }
        if let Some(name) = kind.fixed.iter().find(|name| !values.contains_key(**name)) {
            bail!("missing value for required option '{name}'");
        }
        Ok(storage)
    }
}

impl Config {
    /// The storage `id`.
    pub fn get(&self, id: &str) -> Option<&Storage> {
        self.0.iter().find(|storage| storage.id == id)
    }

    /// Reads the file; with it come the warnings.
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let (mut config, mut warnings) = (Self::default(), Vec::new());
        let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.starts_with('#'));
        while let Some((line, number)) = lines.next() {
            if line.trim().is_empty() {
                continue;
            }
            let at = format!("file storage.cfg line {number}");
            let Some((kind, id)) = header(line) else {
                warnings.push(format!("{at} - ignore config line: {line}"));
                continue;
            };
            let section: Vec<_> = lines.by_ref().take_while(|(line, _)| !line.trim().is_empty()).collect();
            let skipped = |why: &str| format!("{at} (skip section '{id}'): {why}");
            if !schema::is_id(id) {
                warnings.push(skipped(&format!("storage ID '{id}' contains illegal characters")));
                continue;
            }
            let Some(kind) = schema::kind(&kind) else {
                warnings.push(skipped(&format!("unsupported type '{kind}'")));
                continue;
            };
            let mut values = BTreeMap::new();
            for (line, number) in section {
                let at = format!("file storage.cfg line {number} (section '{id}')");
                match property(kind, line, &values) {
                    None => warnings.push(format!("{at} - ignore config line: {line}")),
                    Some((name, Err(why))) => {
                        warnings.push(format!("{at} - unable to parse value of '{name}': {why}"));
                    }
                    Some((name, Ok(value))) => drop(values.insert(name, value)),
                }
            }
            match Storage::new(id, kind, values) {
                Ok(storage) => {
                    config.0.retain(|other| other.id != id);
                    config.0.push(storage);
                }
                Err(error) => warnings.push(skipped(&error.to_string())),
            }
        }
        config.with_local();
        (config, warnings)
    }

    /// There is always a reasonable `local`, which comes first.
    fn with_local(&mut self) {
        let path = "/var/lib/vz";
        let found = self.0.iter().position(|storage| storage.id == "local");
        let found = found.map(|at| self.0.remove(at));
        let mut local =
            found.filter(|local| local.kind == "dir" && local.value("path") == path).unwrap_or_else(|| {
                let values = [("path", path), ("maxfiles", "0"), ("content", "vztmpl,rootdir,iso,images")];
                let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
                Storage { id: "local".into(), kind: "dir".into(), values: values.into() }
            });
        let mut content = schema::words(local.value("content"));
        for needed in ["rootdir", "vztmpl"] {
            if !content.iter().any(|word| word == needed) {
                content.push(needed.to_owned());
            }
        }
        local.values.insert("content".into(), content.join(","));
        local.values.retain(|name, _| name != "disable" && name != "nodes");
        self.0.insert(0, local);
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for storage in &self.0 {
            let Some(kind) = schema::kind(&storage.kind) else { continue };
            let _ = writeln!(out, "{}: {}", storage.kind, storage.id);
            if storage.has("disable") {
                out.push_str("\tdisable\n");
            }
            let optional = kind.optional.iter().rev().filter(|name| **name != "disable");
            for name in kind.fixed.iter().rev().chain(optional) {
                match storage.values.get(*name).map(String::as_str) {
                    None | Some("") => {}
                    Some("0") if BOOLEANS.contains(name) => {}
                    Some(_) if BOOLEANS.contains(name) => _ = writeln!(out, "\t{name}"),
                    Some(value) => _ = writeln!(out, "\t{name} {value}"),
                }
            }
            out.push('\n');
        }
        out
    }
}

/// `TYPE: ID`; the type in small letters.
fn header(line: &str) -> Option<(String, &str)> {
    let (kind, id) = line.split_once(':')?;
    let id = id.trim();
    let is_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    (is_word(kind) && is_word(id)).then(|| (kind.to_lowercase(), id))
}

/// A property's line: its name, and its value or what is wrong with it.
fn property(
    kind: &Kind,
    line: &str,
    before: &BTreeMap<String, String>,
) -> Option<(String, Result<String, String>)> {
    let inside = line.strip_prefix([' ', '\t'])?.trim();
    let (name, value) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
    let value = value.trim();
    let judged = if before.contains_key(name) {
        Err("duplicate attribute".to_owned())
    } else if !kind.fixed.contains(&name) && !kind.optional.contains(&name) {
        Err(format!("unexpected property '{name}'"))
    } else if BOOLEANS.contains(&name) {
        match value {
            "" | "1" => Ok("1".to_owned()),
            "0" => Ok("0".to_owned()),
            _ => Err(format!("type check ('boolean') failed - got '{value}'")),
        }
    } else if value.is_empty() {
        Err("got undefined value".to_owned())
    } else {
        schema::against(name, value).map_or_else(|| Ok(value.to_owned()), Err)
    };
    Some((name.to_owned(), judged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_and_left_out() {
        let text = "# a comment\ndir: a_mfs\n\tpath /mnt/mfs/a\n\tcontent iso,images\n\tshared\n\tshared\n\tserver x\nno property\n\
                    \nlvm: x1\n\tvgname y\n\nrubbish\ndir: y-\n\tpath /y\n\nnfs: z1\n\tserver 10.1.1.1\n\nnfs: n1\n\tserver 10.1.1.1\n\texport /n\n\tmaxfiles -1\n";
        let (config, warnings) = Config::parse(text);
        let ids: Vec<&str> = config.0.iter().map(|storage| storage.id.as_str()).collect();
        assert_eq!(ids, ["local", "a_mfs", "n1"]);
        let a = config.get("a_mfs").unwrap();
        assert!(a.has("shared") && a.value("content") == "iso,images" && !a.has("server"), "{a:?}");
        assert_eq!(config.get("n1").unwrap().value("path"), "/mnt/pve/n1");
        let wanted = [
            "file storage.cfg line 6 (section 'a_mfs') - unable to parse value of 'shared': duplicate attribute",
            "file storage.cfg line 7 (section 'a_mfs') - unable to parse value of 'server': unexpected property 'server'",
            "file storage.cfg line 8 (section 'a_mfs') - ignore config line: no property",
            "file storage.cfg line 10 (skip section 'x1'): unsupported type 'lvm'",
            "file storage.cfg line 13 - ignore config line: rubbish",
            "file storage.cfg line 14 (skip section 'y-'): storage ID 'y-' contains illegal characters",
            "file storage.cfg line 17 (skip section 'z1'): missing value for required option 'export'",
            "file storage.cfg line 23 (section 'n1') - unable to parse value of 'maxfiles': value must have a minimum value of 0",
        ];
        assert_eq!(warnings, wanted);
    }

    #[test]
    fn the_file_is_written_as_the_vendor_writes_it_and_read_back() {
        let text = "nfs: n1\n\tdisable 1\n\tserver 10.1.1.1\n\texport /n\n\tcontent backup,iso\n\ndir: b1\n\tpath /b\n\tshared 0\n";
        let (config, _) = Config::parse(text);
        let wanted = "dir: local\n\tpath /var/lib/vz\n\tcontent vztmpl,rootdir,iso,images\n\tmaxfiles 0\n\n\
                      nfs: n1\n\tdisable\n\texport /n\n\tserver 10.1.1.1\n\tpath /mnt/pve/n1\n\tcontent iso,backup\n\n\
                      dir: b1\n\tpath /b\n\n";
        assert_eq!(config.text(), wanted);
        let (again, warnings) = Config::parse(&config.text());
        assert_eq!((again.text(), warnings), (wanted.to_owned(), Vec::new()));
    }

    #[test]
    fn local_is_always_there_and_in_use() {
        for text in
            ["", "dir: local\n\tpath /elsewhere\n", "dir: local\n\tpath /var/lib/vz\n\tdisable\n\tnodes a\n"]
        {
            let (config, _) = Config::parse(text);
            let local = config.get("local").unwrap();
            assert!(!local.has("disable") && !local.has("nodes") && local.value("path") == "/var/lib/vz");
            assert!(local.value("content").contains("rootdir"), "{local:?}");
        }
    }
}
