//! The settings that may be written, with the dialects that know them (docs/facts.md 18). What a daemon does not know it ignores without a
//! word, so that a test holds every rendered file against this.

use super::conf::File;

/// A setting.
#[derive(Debug)]
pub struct Row {
    /// Where it stands.
    pub file: File,
    /// Its name.
    pub key: &'static str,
    /// 1.6.27 knows it.
    pub old: bool,
    /// 3.0 knows it.
    pub new: bool,
    /// What it is here for.
    pub why: &'static str,
}

const fn both(file: File, key: &'static str, why: &'static str) -> Row {
    Row { file, key, old: true, new: true, why }
}

const fn new(file: File, key: &'static str, why: &'static str) -> Row {
    Row { file, key, old: false, new: true, why }
}

/// All of them, by file.
pub const TABLE: &[Row] = &[
    both(File::Master, "WORKING_USER", "not what the package was built with"),
    both(File::Master, "WORKING_GROUP", "as above"),
    both(File::Master, "DATA_PATH", "as above"),
    both(File::Master, "EXPORTS_FILENAME", "as above"),
    both(File::Master, "MATOML_LISTEN_HOST", "all addresses, as the role address comes and goes"),
    both(File::Master, "MATOCS_LISTEN_HOST", "as above"),
    both(File::Master, "MATOCL_LISTEN_HOST", "as above"),
    new(
        File::Master,
        "ATIME_MODE",
        "4: reading a file is no change, which every metalogger would have to take",
    ),
    both(File::Metalogger, "WORKING_USER", "not what the package was built with"),
    both(File::Metalogger, "WORKING_GROUP", "as above"),
    both(File::Metalogger, "DATA_PATH", "as above"),
    both(File::Metalogger, "META_DOWNLOAD_FREQ", "every hour, as a restore is the longer the older its base"),
    both(
        File::Metalogger,
        "BIND_HOST",
        "the node's own address, on the Master too: the role address goes with its next Master",
    ),
    both(File::Metalogger, "MASTER_HOST", "the one name"),
    both(File::Metalogger, "MASTER_PORT", "not what the package was built with"),
    both(
        File::Metalogger,
        "MASTER_RECONNECTION_DELAY",
        "1 s: what the Master does meanwhile is known to nobody else",
    ),
    both(File::Metalogger, "MASTER_TIMEOUT", "1.6.27 waits for a minute"),
    both(File::Chunkserver, "WORKING_USER", "not what the package was built with"),
    both(File::Chunkserver, "WORKING_GROUP", "as above"),
    both(File::Chunkserver, "DATA_PATH", "as above"),
    both(File::Chunkserver, "HDD_CONF_FILENAME", "as above"),
    both(File::Chunkserver, "BIND_HOST", "what it is known by, so the node's own address"),
    both(File::Chunkserver, "MASTER_HOST", "the one name"),
    both(File::Chunkserver, "MASTER_PORT", "not what the package was built with"),
    both(
        File::Chunkserver,
        "MASTER_RECONNECTION_DELAY",
        "1 s: after a switch nothing is written before the chunkservers are back",
    ),
    both(File::Chunkserver, "MASTER_TIMEOUT", "1.6.27 waits for a minute"),
    both(File::Chunkserver, "HDD_LEAVE_SPACE_DEFAULT", "1.6.27 has no limit for each disk"),
    new(File::Chunkserver, "HDD_FSYNC_BEFORE_CLOSE", "what was written outlives a power cut of all nodes"),
    new(
        File::Chunkserver,
        "ALLOW_STARTING_WITH_INVALID_DISKS",
        "a dead disk does not keep the others from serving",
    ),
];
