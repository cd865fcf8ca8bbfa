//! What is started past the runner.

use super::Row;

/// What is started past the runner: by our scripts on the target, and the shell for a person. A test of the lab holds the
/// scripts against it.
pub const SCRIPTED: &[Row] = &[
    Row {
        program: "bash",
        package: "bash",
        version: "4.2",
        options: &["-l"],
        values: &[],
        source: "bash's manual since 2.02, inferred",
    },
    Row { program: "cat", package: "coreutils", version: "8.13", options: &[], values: &[], source: "POSIX" },
    Row { program: "grep", package: "grep", version: "2.12", options: &["-q"], values: &[], source: "POSIX" },
    Row {
        program: "ifup",
        package: "ifupdown",
        version: "0.7",
        options: &["-i"],
        values: &[],
        source: "ifupdown's manual since 0.6, inferred",
    },
    Row {
        program: "rm",
        package: "coreutils",
        version: "8.13",
        options: &["-f", "-rf"],
        values: &[],
        source: "POSIX",
    },
    Row {
        program: "sed",
        package: "sed",
        version: "4.2.1",
        options: &["-i"],
        values: &[],
        source: "sed's own NEWS: 4.0 brought the option; inferred",
    },
    Row {
        program: "tac",
        package: "coreutils",
        version: "8.13",
        options: &[],
        values: &[],
        source: "CU src/tac.c, read",
    },
    Row {
        program: "telinit",
        package: "sysvinit",
        version: "2.88dsf",
        options: &["q"],
        values: &[],
        source: "sysvinit's manual since 2.4, inferred",
    },
    Row {
        program: "update-rc.d",
        package: "sysv-rc",
        version: "2.88dsf",
        options: &["defaults", "disable", "enable", "remove"],
        values: &[],
        source: "SV debian/src/sysv-rc/sbin/update-rc.d, read in a public copy",
    },
];
