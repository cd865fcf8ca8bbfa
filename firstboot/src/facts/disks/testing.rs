//! Disks for the tests of decisions.

use super::{Contents, Disk, Partition};
use crate::signatures::{Group, Kind, Signature};

/// A blank disk of so many GiB that nothing uses.
pub(crate) fn disk(name: &str, gib: u64) -> Disk {
    Disk {
        name: name.into(),
        path: format!("/dev/{name}").into(),
        number: "8:0".into(),
        size: gib << 30,
        serial: None,
        wwn: None,
        model: None,
        rotational: true,
        removable: false,
        networked: false,
        read_only: false,
        system: false,
        boot_medium: false,
        mounts: Vec::new(),
        swap: false,
        holders: Vec::new(),
        together: Vec::new(),
        partitions: Vec::new(),
        contents: Contents::Read(Vec::new()),
    }
}

/// A signature without anything but its kind.
pub(crate) fn signature(kind: Kind) -> Signature {
    Signature { kind, offset: 0, label: None, uuid: None, group: None }
}

/// A member of a group.
pub(crate) fn member(kind: Kind, name: &str, id: &str) -> Signature {
    Signature { group: Some(Group { name: name.into(), id: id.into(), of: None }), ..signature(kind) }
}

/// A partition with that on it.
pub(crate) fn partition(name: &str, found: Vec<Signature>) -> Partition {
    Partition {
        name: name.into(),
        path: format!("/dev/{name}").into(),
        number: "8:1".into(),
        size: 1 << 30,
        contents: Contents::Read(found),
    }
}
