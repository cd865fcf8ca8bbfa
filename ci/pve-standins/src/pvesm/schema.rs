//! The stand-in's types of storages, and what their properties may be (PS PVE/Storage/*.pm of March 2014, read; pve-3.2-tools.md 11).

use anyhow::{Result, bail};

/// A type of storage.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Properties that it must have; they cannot be changed.
    pub fixed: &'static [&'static str],
    /// Properties that it may have.
    pub optional: &'static [&'static str],
    /// What it may hold.
    contents: &'static [&'static str],
    /// What it holds where nothing is said.
    pub content: &'static [&'static str],
}

/// The types that the stand-in has.
const KINDS: [Kind; 2] = [
    Kind {
        name: "dir",
        fixed: &["path"],
        optional: &["nodes", "shared", "disable", "maxfiles", "content", "format"],
        contents: &["images", "rootdir", "vztmpl", "iso", "backup", "none"],
        content: &["images", "rootdir"],
    },
    Kind {
        name: "nfs",
        fixed: &["path", "server", "export"],
        optional: &["nodes", "disable", "maxfiles", "options", "content", "format"],
        contents: &["images", "rootdir", "vztmpl", "iso", "backup"],
        content: &["images"],
    },
];

/// Those of the vendor that the stand-in lacks.
const OTHERS: [&str; 7] = ["lvm", "iscsi", "iscsidirect", "rbd", "sheepdog", "glusterfs", "zfs"];

/// What `add` takes.
pub const ADD: [&str; 10] =
    ["type", "path", "server", "export", "options", "nodes", "content", "disable", "maxfiles", "format"];

/// What `set` takes: what a type of the vendor's lets be changed. `server` is there because of glusterfs.
pub const SET: [&str; 7] = ["server", "options", "nodes", "content", "disable", "maxfiles", "format"];

/// What both take.
pub const BOTH: [&str; 1] = ["shared"];

/// Properties that are on or off.
pub const BOOLEANS: [&str; 2] = ["disable", "shared"];

/// Properties that are lists, of which several may be given.
pub const LISTS: [&str; 2] = ["content", "nodes"];

/// The type `name`.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Is `name` the id of a storage?
pub fn is_id(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
}

/// What is against a value, in the words of the vendor's schema.
pub fn against(name: &str, value: &str) -> Option<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    match name {
        "type" if kind(value).is_none() && !OTHERS.contains(&value) => {
            let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).chain(OTHERS).collect();
            Some(format!("value '{value}' does not have a value in the enumeration '{}'", known.join(", ")))
        }
        "storage" if !is_id(value) => {
            Some(format!("invalid format - storage ID '{value}' contains illegal characters"))
        }
        "path" | "export" if !value.starts_with('/') || value.len() < 2 || ";()".contains(&value[1..2]) => {
            Some("invalid format - value does not look like a valid absolute path".into())
        }
        "server" if value.is_empty() || !value.chars().all(word) => {
            Some("invalid format - value does not look like a valid server name or IP address".into())
        }
        "options" if value.is_empty() || value.contains(char::is_whitespace) => {
            Some(format!("invalid format - invalid options '{value}'"))
        }
        "format" if !["raw", "qcow2", "vmdk"].iter().any(|format| value.contains(format)) => {
            Some(format!("invalid format - invalid format '{value}'"))
        }
        "maxfiles" => match value.parse::<i64>() {
            Err(_) => Some(format!("type check ('integer') failed - got '{value}'")),
            Ok(..0) => Some("value must have a minimum value of 0".into()),
            Ok(_) => None,
        },
        "content" => {
            let dir = &KINDS[0];
            let wrong = words(value).into_iter().find(|word| !dir.contents.contains(&word.as_str()))?;
            Some(format!("invalid format - invalid content type '{wrong}'"))
        }
        _ => None,
    }
}

/// A list's words.
pub fn words(text: &str) -> Vec<String> {
    text.split([',', ';', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

impl Kind {
    /// The value as a storage of this type has it.
    pub fn decoded(&self, name: &str, value: &str) -> Result<String> {
        if !self.fixed.contains(&name) && !self.optional.contains(&name) {
            bail!("unexpected property '{name}'");
        }
        if name != "content" {
            return Ok(value.to_owned());
        }
        let mut words = words(value);
        if let Some(wrong) = words.iter().find(|word| !self.contents.contains(&word.as_str())) {
            bail!("storage does not support content type '{wrong}'");
        }
        if words.len() > 1 && words.iter().any(|word| word == "none") {
            bail!("unable to combine 'none' with other content types");
        }
        // The vendor's order is that of a Perl hash; this one is nobody's either.
        words.sort();
        words.dedup();
        words.reverse();
        Ok(words.join(","))
    }
}
