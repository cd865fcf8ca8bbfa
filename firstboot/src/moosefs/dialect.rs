//! The two dialects of `MooseFS`: 1.6.27, the target's, and 3.0, Debian 12's (docs/facts.md 18).

use std::fmt::Debug;

use super::conf::File;

/// What differs from one to the other.
pub trait Dialect: Debug + Sync {
    /// Its versions begin with this.
    fn version(&self) -> &'static str;

    /// The packages of a node; all of them are needed.
    fn packages(&self) -> &'static [&'static str];

    /// Boot scripts of these packages. None of them may start anything: the daemons need an order, and the metadata server one node.
    fn scripts(&self) -> &'static [&'static str];

    /// Settings of `file` that the other dialect does not know, or for which it has another value.
    fn own(&self, file: File) -> &'static [(&'static str, &'static str)];

    /// Does it read a limit behind a disk's path? 1.6.27 does not, as the end of the line is in its way: it takes the limit for a part of the path.
    fn limits_each_disk(&self) -> bool;

    /// The options by which an export of the file system lets root be root.
    fn export(&self) -> &'static str;

    /// Options of a mount that the other dialect does not know.
    fn mount_options(&self) -> &'static [&'static str];

    /// The size of one chunkserver's record in the metadata server's list.
    fn record(&self) -> usize;

    /// The pages of the web view.
    fn pages(&self) -> &'static str;

    /// Does its metadata server also restore? Else `mfsmetarestore` does.
    fn restores_itself(&self) -> bool;

    /// The unit in which a trash time is kept, in seconds.
    fn trash_unit(&self) -> u32;
}

/// 1.6.27.
#[derive(Debug)]
pub struct Old;

/// 3.0.
#[derive(Debug)]
pub struct New;

/// Both.
pub const ALL: [&dyn Dialect; 2] = [&Old, &New];

impl Dialect for Old {
    fn version(&self) -> &'static str {
        "1.6.27"
    }

    fn packages(&self) -> &'static [&'static str] {
        &["mfs-master", "mfs-metalogger", "mfs-chunkserver", "mfs-client", "mfs-cgi", "mfs-cgiserv"]
    }

    fn scripts(&self) -> &'static [&'static str] {
        &["mfs-master", "mfs-metalogger", "mfs-chunkserver", "mfs-cgiserv"]
    }

    fn own(&self, file: File) -> &'static [(&'static str, &'static str)] {
        match file {
            // 60 s else, in which nobody knows that the Master is gone; 10 is its least.
            File::Metalogger | File::Chunkserver => &[("MASTER_TIMEOUT", "10")],
            File::Master | File::Disks | File::Exports => &[],
        }
    }

    fn limits_each_disk(&self) -> bool {
        false
    }

    fn export(&self) -> &'static str {
        "rw,alldirs,maproot=0:0"
    }

    fn mount_options(&self) -> &'static [&'static str] {
        &[]
    }

    fn record(&self) -> usize {
        54
    }

    fn pages(&self) -> &'static str {
        "/usr/share/mfscgi"
    }

    fn restores_itself(&self) -> bool {
        false
    }

    fn trash_unit(&self) -> u32 {
        1
    }
}

impl Dialect for New {
    fn version(&self) -> &'static str {
        "3.0."
    }

    fn packages(&self) -> &'static [&'static str] {
        &[
            "moosefs-master",
            "moosefs-metalogger",
            "moosefs-chunkserver",
            "moosefs-client",
            "moosefs-cgi",
            "moosefs-cgiserv",
        ]
    }

    fn scripts(&self) -> &'static [&'static str] {
        &["moosefs-master", "moosefs-metalogger", "moosefs-chunkserver", "moosefs-cgiserv"]
    }

    fn own(&self, file: File) -> &'static [(&'static str, &'static str)] {
        match file {
            File::Master => &[("ATIME_MODE", "4")],
            File::Chunkserver => {
                &[("HDD_FSYNC_BEFORE_CLOSE", "1"), ("ALLOW_STARTING_WITH_INVALID_DISKS", "1")]
            }
            File::Metalogger | File::Disks | File::Exports => &[],
        }
    }

    fn limits_each_disk(&self) -> bool {
        true
    }

    fn export(&self) -> &'static str {
        "rw,alldirs,admin,maproot=0:0"
    }

    fn mount_options(&self) -> &'static [&'static str] {
        // Whoever closes a file finds it on the chunkservers, however short it was open. It is the default, which another version may change.
        &["mfsfsyncmintime=0"]
    }

    fn record(&self) -> usize {
        69
    }

    fn pages(&self) -> &'static str {
        "/usr/share/moosefs-cgi"
    }

    fn restores_itself(&self) -> bool {
        true
    }

    fn trash_unit(&self) -> u32 {
        3600
    }
}
