//! The five files below `/etc/mfs`, from the site file and the node's place and disks. Pure.

use anyhow::Result;
use serde_json::{Value, json};

use super::dialect::Dialect;
use super::{DATA, MASTER, USER};
use crate::render::render;
use crate::site::{Place, Site};

/// Where they are.
pub const FOLDER: &str = "/etc/mfs";

/// How every file of ours begins.
pub const MARK: &str = "# Written by cias ";

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The metadata server.
    Master,
    /// Who may mount.
    Exports,
    /// The metalogger.
    Metalogger,
    /// The chunkserver.
    Chunkserver,
    /// The chunkserver's disks.
    Disks,
}

impl File {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Master, Self::Exports, Self::Metalogger, Self::Chunkserver, Self::Disks];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "mfsmaster.cfg",
            Self::Exports => "mfsexports.cfg",
            Self::Metalogger => "mfsmetalogger.cfg",
            Self::Chunkserver => "mfschunkserver.cfg",
            Self::Disks => "mfshdd.cfg",
        }
    }

    /// Where it is.
    pub fn path(self) -> String {
        format!("{FOLDER}/{}", self.name())
    }

    fn template(self) -> &'static str {
        match self {
            Self::Master => include_str!("../../../overlay/templates/mfsmaster.cfg.j2"),
            Self::Exports => include_str!("../../../overlay/templates/mfsexports.cfg.j2"),
            Self::Metalogger => include_str!("../../../overlay/templates/mfsmetalogger.cfg.j2"),
            Self::Chunkserver => include_str!("../../../overlay/templates/mfschunkserver.cfg.j2"),
            Self::Disks => include_str!("../../../overlay/templates/mfshdd.cfg.j2"),
        }
    }
}

/// A data disk of the chunkserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDisk {
    /// Where it is mounted.
    pub point: String,
    /// Its size in bytes.
    pub size: u64,
}

/// One MiB in bytes.
const MIB: u64 = 1 << 20;

/// The size of a chunk: with less room than that on a disk there is not even one more. In MiB.
const CHUNK: u64 = 64;

/// The most that is kept free of a large disk, in MiB.
const MOST: u64 = 16 * 1024;

/// What the chunkserver leaves free on a disk of `size` bytes, in MiB: a twentieth, at least a chunk, at most 16 GiB.
pub fn room(size: u64) -> u64 {
    (size / MIB / 20).clamp(CHUNK, MOST)
}

/// The text of `file` on the node at `place` with these data disks.
pub fn conf(
    dialect: &dyn Dialect,
    file: File,
    site: &Site,
    place: &Place,
    disks: &[DataDisk],
) -> Result<String> {
    let each = dialect.limits_each_disk();
    // One room for all has to fit the smallest.
    let room_of_all = disks.iter().map(|disk| room(disk.size)).min().filter(|_| !each);
    let line = |disk: &DataDisk| {
        if each { format!("{} -{}MiB", disk.point, room(disk.size)) } else { disk.point.clone() }
    };
    let disks: Vec<String> = disks.iter().map(line).collect();
    let own: Vec<Value> =
        dialect.own(file).iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let values = json!({
        "user": USER, "data": DATA, "folder": FOLDER, "master": MASTER, "address": place.address, "own": own,
        "networks": site.moosefs.networks, "export": dialect.export(), "disks": disks, "room": room_of_all,
    });
    render(file.name(), file.template(), values)
}

#[cfg(test)]
mod tests {
    use super::super::dialect::ALL;
    use super::super::keys::TABLE;
    use super::super::parse::{parse, setting};
    use super::*;
    use crate::site::{from_text, tests::example};

    fn rendered(dialect: &dyn Dialect, file: File) -> String {
        let site = from_text(&example()).unwrap();
        let disk = |name: &str, size| DataDisk { point: format!("/data/{name}"), size };
        let disks = [disk("disk1", 1 << 29), disk("disk2", 1 << 37), disk("disk3", 1 << 42)];
        conf(dialect, file, &site, &site.founder_place(None), &disks).unwrap()
    }

    /// With `CIAS_WRITE_FIXTURES=1` they are written anew: read the difference.
    #[test]
    fn files_are_rendered_as_they_were() {
        for dialect in ALL {
            for file in File::ALL {
                let text = rendered(dialect, file);
                let folder = format!("moosefs-{}", dialect.version().trim_end_matches('.'));
                let path = format!(
                    "{}/tests/fixtures/rendered/{folder}/{}",
                    env!("CARGO_MANIFEST_DIR"),
                    file.name()
                );
                if std::env::var_os("CIAS_WRITE_FIXTURES").is_some() {
                    std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
                    std::fs::write(&path, &text).unwrap();
                }
                assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
                assert!(text.starts_with(MARK), "{text}");
            }
        }
    }

    #[test]
    fn every_setting_is_one_of_its_dialects_and_each_is_used() {
        let mut used = Vec::new();
        for dialect in ALL {
            for file in [File::Master, File::Metalogger, File::Chunkserver] {
                for line in parse(&rendered(dialect, file)) {
                    // Without blanks around the sign 1.6.27 drops the whole file.
                    let (key, _) = setting(&line).unwrap_or_else(|| panic!("{line}"));
                    let row = TABLE.iter().find(|row| row.file == file && row.key == key);
                    let row = row.unwrap_or_else(|| panic!("{key} of {file:?} is not listed"));
                    assert!(if dialect.version() == "1.6.27" { row.old } else { row.new }, "{row:?}");
                    used.push((file, key.to_owned()));
                }
            }
        }
        for row in TABLE {
            assert!(used.contains(&(row.file, row.key.to_owned())), "{row:?} is in the table and not used");
        }
    }

    #[test]
    fn each_network_of_the_site_may_mount_and_see_the_trash() {
        let networks = "[moosefs]\nnetworks = [\"10.254.0.0/16\", \"192.0.2.0/24\"]\n";
        let site = from_text(&format!("{}{networks}", example())).unwrap();
        for dialect in ALL {
            let text = conf(dialect, File::Exports, &site, &site.founder_place(None), &[]).unwrap();
            let (one, other) = ("10.254.0.0/16", "192.0.2.0/24");
            let line = |network: &str| format!("{network} / {}", dialect.export());
            let trash = |network: &str| format!("{network} . rw");
            assert_eq!(parse(&text), [line(one), trash(one), line(other), trash(other)]);
        }
    }

    #[test]
    fn room_is_left_for_a_chunk_at_least_and_not_for_a_thousand() {
        let gib = 1 << 30;
        for (size, wanted) in [(0, 64), (gib, 64), (40 * gib, 2048), (4096 * gib, 16384)] {
            assert_eq!(room(size), wanted, "{size}");
        }
    }
}
