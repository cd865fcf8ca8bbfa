//! The rows of `MooseFS`'s programs.

use super::Row;

pub(super) const MFSCGISERV: Row = Row {
    program: "mfscgiserv",
    package: "mfs-cgiserv",
    version: "1.6.27",
    options: &["stop"],
    values: &[],
    source: "MF mfscgi/mfscgiserv.py.in, read: it ends with 0 also where none runs",
};

pub(super) const MFSCHUNKSERVER: Row = Row {
    program: "mfschunkserver",
    package: "mfs-chunkserver",
    version: "1.6.27",
    options: &["start", "stop", "reload", "test"],
    values: &[],
    source: "MF mfscommon/main.c, read (facts.md 18)",
};

pub(super) const MFSGETGOAL: Row = Row {
    program: "mfsgetgoal",
    package: "mfs-client",
    version: "1.6.27",
    options: &[],
    values: &[],
    source: "MF mfsmount/mfstools.c, read (facts.md 18)",
};

pub(super) const MFSGETTRASHTIME: Row = Row {
    program: "mfsgettrashtime",
    package: "mfs-client",
    version: "1.6.27",
    options: &[],
    values: &[],
    source: "MF mfsmount/mfstools.c, read (facts.md 18)",
};

pub(super) const MFSMASTER: Row = Row {
    program: "mfsmaster",
    package: "mfs-master",
    version: "1.6.27",
    options: &["start", "stop", "reload", "test", "-c", "-a", "-x", "restore"],
    values: &[],
    source: "MF mfscommon/main.c, read; `-a`, `-x` and restore: 3.0 alone (facts.md 18)",
};

pub(super) const MFSMETALOGGER: Row = Row {
    program: "mfsmetalogger",
    package: "mfs-metalogger",
    version: "1.6.27",
    options: &["start", "stop", "restart", "reload", "test"],
    values: &[],
    source: "MF mfscommon/main.c, read (facts.md 18)",
};

pub(super) const MFSMETARESTORE: Row = Row {
    program: "mfsmetarestore",
    package: "mfs-master",
    version: "1.6.27",
    options: &["-f", "-x", "-m", "-o"],
    values: &[],
    source: "MF mfsmetarestore/main.c, read (facts.md 18)",
};

pub(super) const MFSMOUNT: Row = Row {
    program: "mfsmount",
    package: "mfs-client",
    version: "1.6.27",
    options: &["-o"],
    values: &[("-o", &["mfsmaster", "mfsport", "mfsbind", "mfsfsyncmintime"])],
    source: "MF mfsmount/main.c, read; `mfsfsyncmintime`: 3.0 alone (facts.md 18)",
};

pub(super) const MFSSETGOAL: Row = Row {
    program: "mfssetgoal",
    package: "mfs-client",
    version: "1.6.27",
    options: &["-r"],
    values: &[],
    source: "MF mfsmount/mfstools.c, read (facts.md 18)",
};

pub(super) const MFSSETTRASHTIME: Row = Row {
    program: "mfssettrashtime",
    package: "mfs-client",
    version: "1.6.27",
    options: &["-r"],
    values: &[],
    source: "MF mfsmount/mfstools.c, read (facts.md 18)",
};
