//! A stand-in for the list of guests: which names are those of guests' files, and who owns which number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What sort of guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A KVM guest.
    Qemu,
    /// A container.
    OpenVz,
}

/// The owner of a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    /// The node in whose folder the file is.
    pub node: String,
    /// The sort.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The list's version when it was noted.
    pub version: u64,
}

/// The list, with a counter of its changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmList {
    /// The counter.
    pub version: u64,
    /// Owners by number.
    pub ids: BTreeMap<u32, Vm>,
}

impl VmList {
    /// Whether the number belongs to another guest than this.
    pub fn taken_by_another(&self, id: u32, node: &str, kind: Kind) -> bool {
        self.ids.get(&id).is_some_and(|vm| vm.node != node || vm.kind != kind)
    }

    /// Notes a guest.
    pub fn note(&mut self, id: u32, node: &str, kind: Kind) {
        if self.ids.get(&id).is_some_and(|vm| vm.node == node && vm.kind == kind) {
            return;
        }
        self.version += 1;
        self.ids.insert(id, Vm { node: node.to_owned(), kind, version: self.version });
    }

    /// Drops a number.
    pub fn drop(&mut self, id: u32) {
        if self.ids.remove(&id).is_some() {
            self.version += 1;
        }
    }
}

/// The number in `100.conf`; other names have none.
pub fn number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".conf")?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if plain { digits.parse().ok() } else { None }
}

/// Number, node and sort of the guest whose file `path` is.
pub fn of_path(path: &str) -> Option<(u32, &str, Kind)> {
    let parts: Vec<&str> = path.split('/').collect();
    let ["nodes", node, folder, name] = parts[..] else { return None };
    let kind = match folder {
        "qemu-server" => Kind::Qemu,
        "openvz" => Kind::OpenVz,
        _ => return None,
    };
    Some((number(name)?, node, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_guests() {
        for (name, wanted) in [
            ("100.conf", Some(100)),
            ("7.conf", Some(7)),
            ("0100.conf", None),
            ("100.conf.dead", None),
            ("100.conf.tmp.77", None),
            (".conf", None),
            ("1a.conf", None),
            ("99999999999.conf", None),
        ] {
            assert_eq!(number(name), wanted, "{name}");
        }
        assert_eq!(of_path("nodes/a/openvz/101.conf"), Some((101, "a", Kind::OpenVz)));
        for path in ["nodes/a/101.conf", "101.conf", "nodes/a/priv/101.conf", "nodes/a/openvz/x/101.conf"] {
            assert_eq!(of_path(path), None, "{path}");
        }
    }
}
