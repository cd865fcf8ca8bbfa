//! Every program and option that the node side uses, with the version that wheezy has.
//!
//! The target is Debian 7 with Proxmox VE 3.2 (docs/facts.md 1.1 and 3.5), and the installer's live root is made of
//! the same packages; versions are those of the last Debian 7 release. What is not in here cannot be called: the tests
//! run on a much newer userland, which would otherwise accept options that the target does not know.

mod check;
mod scripted;

pub use check::check;
pub use scripted::SCRIPTED;

/// One program of the target.
#[derive(Debug)]
pub struct Row {
    /// Its name, without a folder.
    pub program: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// The package's upstream version in wheezy.
    pub version: &'static str,
    /// The options that may be used: `-x`, `--long`; for programs with sub-commands also those words, one of which each
    /// call must have.
    pub options: &'static [&'static str],
    /// The values that an option may have: names in a list with commas, without what follows `=`. An option that is not
    /// here takes a value that no version decides about, such as a path or a number.
    pub values: &'static [(&'static str, &'static [&'static str])],
    /// Where it was read that this version has these options, and what it was read in; docs/target.md says how sources
    /// are written.
    pub source: &'static str,
}

/// What goes through the runner, sorted by program.
pub const TABLE: &[Row] = &[
    Row {
        program: "blockdev",
        package: "util-linux",
        version: "2.20.1",
        options: &["--rereadpt"],
        values: &[],
        source: "UL disk-utils/blockdev.c, read",
    },
    Row { program: "cat", package: "coreutils", version: "8.13", options: &[], values: &[], source: "POSIX" },
    Row {
        program: "chattr",
        package: "e2fsprogs",
        version: "1.42.5",
        options: &["+i"],
        values: &[],
        source: "e2fsprogs' manual since 1.02, inferred",
    },
    Row {
        program: "chroot",
        package: "coreutils",
        version: "8.13",
        options: &[],
        values: &[],
        source: "CU src/chroot.c, inferred: NEWROOT and a command since 1992",
    },
    Row {
        program: "cias-firstboot",
        package: "cias-firstboot",
        version: env!("CARGO_PKG_VERSION"),
        options: &["run", "--stage", "--root", "check-master", "--look"],
        values: &[],
        source: "this repository",
    },
    Row {
        program: "create_pmxcfs_db",
        package: "pve-cluster",
        version: "3.0-12",
        options: &[],
        values: &[],
        source: "PC data/src/create_pmxcfs_db.c, read",
    },
    Row {
        program: "ethtool",
        package: "ethtool",
        version: "3.4.2",
        options: &["-P"],
        values: &[],
        source: "ET ethtool.c, read",
    },
    Row {
        program: "hostname",
        package: "hostname",
        version: "3.11",
        options: &["-F"],
        values: &[],
        source: "the option is in netbase 2.13 of Debian 1.3 and in hostname 3.23 of Debian 12; inferred",
    },
    Row {
        program: "hwclock",
        package: "util-linux",
        version: "2.20.1",
        options: &["--systohc", "--utc"],
        values: &[],
        source: "hwclock's manual since 2.4, inferred",
    },
    Row {
        program: "ifdown",
        package: "ifupdown",
        version: "0.7",
        options: &[],
        values: &[],
        source: "ifupdown's manual since 0.6, inferred",
    },
    Row {
        program: "ifup",
        package: "ifupdown",
        version: "0.7",
        options: &[],
        values: &[],
        source: "ifupdown's manual since 0.6, inferred",
    },
    Row {
        program: "invoke-rc.d",
        package: "sysv-rc",
        version: "2.88dsf",
        options: &["start", "stop", "restart"],
        values: &[],
        source: "Debian Policy 9.3.3, inferred",
    },
    Row {
        program: "ip",
        package: "iproute",
        version: "20120521",
        options: &["addr", "route", "rule"],
        values: &[],
        source: "IP ip/ip.c, ip/iproute.c and ip/iprule.c, read",
    },
    Row {
        program: "lsattr",
        package: "e2fsprogs",
        version: "1.42.5",
        options: &["-d"],
        values: &[],
        source: "e2fsprogs' manual since 1.02, inferred",
    },
    Row {
        program: "mfscgiserv",
        package: "mfs-cgiserv",
        version: "1.6.27",
        options: &["stop"],
        values: &[],
        source: "MF mfscgi/mfscgiserv.py.in, read: it ends with 0 also where none runs",
    },
    Row {
        program: "mfschunkserver",
        package: "mfs-chunkserver",
        version: "1.6.27",
        options: &["start", "stop", "reload", "test"],
        values: &[],
        source: "MF mfscommon/main.c, read (facts.md 18)",
    },
    Row {
        program: "mfsgetgoal",
        package: "mfs-client",
        version: "1.6.27",
        options: &[],
        values: &[],
        source: "MF mfsmount/mfstools.c, read (facts.md 18)",
    },
    Row {
        program: "mfsgettrashtime",
        package: "mfs-client",
        version: "1.6.27",
        options: &[],
        values: &[],
        source: "MF mfsmount/mfstools.c, read (facts.md 18)",
    },
    Row {
        program: "mfsmaster",
        package: "mfs-master",
        version: "1.6.27",
        options: &["start", "stop", "reload", "test", "-c", "-a", "-x", "restore"],
        values: &[],
        source: "MF mfscommon/main.c, read; `-a`, `-x` and restore: 3.0 alone (facts.md 18)",
    },
    Row {
        program: "mfsmetalogger",
        package: "mfs-metalogger",
        version: "1.6.27",
        options: &["start", "stop", "restart", "reload", "test"],
        values: &[],
        source: "MF mfscommon/main.c, read (facts.md 18)",
    },
    Row {
        program: "mfsmetarestore",
        package: "mfs-master",
        version: "1.6.27",
        options: &["-f", "-x", "-m", "-o"],
        values: &[],
        source: "MF mfsmetarestore/main.c, read (facts.md 18)",
    },
    Row {
        program: "mfsmount",
        package: "mfs-client",
        version: "1.6.27",
        options: &["-o"],
        values: &[("-o", &["mfsmaster", "mfsport", "mfsbind"])],
        source: "MF mfsmount/main.c, read (facts.md 18)",
    },
    Row {
        program: "mfssetgoal",
        package: "mfs-client",
        version: "1.6.27",
        options: &["-r"],
        values: &[],
        source: "MF mfsmount/mfstools.c, read (facts.md 18)",
    },
    Row {
        program: "mfssettrashtime",
        package: "mfs-client",
        version: "1.6.27",
        options: &["-r"],
        values: &[],
        source: "MF mfsmount/mfstools.c, read (facts.md 18)",
    },
    Row {
        program: "mkfs.ext3",
        package: "e2fsprogs",
        version: "1.42.5",
        options: &["-F", "-q", "-m", "-L", "-U", "-i", "-J", "-E"],
        values: &[("-J", &["size"]), ("-E", &["nodiscard"])],
        source: "E2 misc/mke2fs.c, read",
    },
    Row {
        program: "mount",
        package: "mount",
        version: "2.20.1",
        options: &["-n", "-t", "-o"],
        values: &[
            ("-t", &["ext2", "ext3", "ext4"]),
            ("-o", &["ro", "noload", "noatime", "nodev", "nosuid", "noexec"]),
        ],
        source: "UL mount/mount.c, read; `noload`: KN Documentation/filesystems/ext3.txt, read",
    },
    Row {
        program: "ping",
        package: "iputils-ping",
        version: "20101006",
        options: &["-n", "-c", "-w"],
        values: &[],
        source: "iputils's manual since 20020927, inferred",
    },
    Row {
        program: "pvecm",
        package: "pve-cluster",
        version: "3.0",
        options: &["create", "add", "updatecerts", "delnode", "expected"],
        values: &[],
        source: "PC data/PVE/pvecm, read (facts.md 16)",
    },
    Row {
        program: "sendmail",
        package: "postfix",
        version: "2.9.6",
        options: &["-t", "-oi"],
        values: &[],
        source: "postfix's manual since 1.0, inferred",
    },
    Row {
        program: "service",
        package: "sysvinit-utils",
        version: "2.88dsf",
        options: &["start", "stop", "restart", "reload"],
        values: &[],
        source: "SV debian/service/service, inferred: it hands all further words to the script",
    },
    Row {
        program: "ssh",
        package: "openssh-client",
        version: "6.0p1",
        options: &["-T", "-p", "-i", "-o"],
        values: &[(
            "-o",
            &[
                "BatchMode",
                "IdentitiesOnly",
                "StrictHostKeyChecking",
                "UserKnownHostsFile",
                "GlobalKnownHostsFile",
                "HostKeyAlias",
                "ConnectTimeout",
                "ServerAliveInterval",
                "ServerAliveCountMax",
            ],
        )],
        source: "ssh_config's manual of OpenSSH 5 and 9, inferred",
    },
    Row {
        program: "ssh-keygen",
        package: "openssh-client",
        version: "6.0p1",
        options: &["-q", "-t", "-b", "-N", "-f", "-R", "-y"],
        values: &[("-t", &["rsa"])],
        source: "ssh-keygen's manual of OpenSSH 5 and 9, inferred",
    },
    Row {
        program: "sshd",
        package: "openssh-server",
        version: "6.0p1",
        options: &["-t", "-f"],
        values: &[],
        source: "OpenSSH's manual since 2.9, inferred",
    },
    Row {
        program: "start-stop-daemon",
        package: "dpkg",
        version: "1.16.18",
        options: &["--start", "--stop", "--oknodo", "--retry", "--pidfile", "--exec", "--chuid"],
        values: &[],
        source: "dpkg's manual since 1.10, inferred",
    },
    Row {
        program: "sync",
        package: "coreutils",
        version: "8.13",
        options: &[],
        values: &[],
        source: "CU src/sync.c, read: it ignores all arguments",
    },
    Row {
        program: "udevadm",
        package: "udev",
        version: "175",
        options: &["info", "--query", "--path", "settle", "--timeout"],
        values: &[("--query", &["property"])],
        source: "UD udev/udevadm-info.c and udev/udevadm-settle.c, read",
    },
    Row {
        program: "umount",
        package: "mount",
        version: "2.20.1",
        options: &["-f", "-l", "--no-canonicalize"],
        values: &[],
        source: "UL mount/umount.c, read in 2.17's, whose options 2.20 has",
    },
    Row {
        program: "update-rc.d",
        package: "sysv-rc",
        version: "2.88dsf",
        options: &["disable", "enable"],
        values: &[],
        source: "SV debian/src/sysv-rc/sbin/update-rc.d, read in a public copy",
    },
    Row {
        program: "vgchange",
        package: "lvm2",
        version: "2.02.95",
        options: &["-an"],
        values: &[],
        source: "LV tools/commands.h and tools/args.h, read",
    },
    Row {
        program: "vgs",
        package: "lvm2",
        version: "2.02.95",
        options: &["--noheadings", "--separator", "-o"],
        values: &[("-o", &["vg_name", "pv_name"])],
        source: "LV tools/commands.h, tools/args.h and lib/report/columns.h, read",
    },
];

#[cfg(test)]
mod tests;
