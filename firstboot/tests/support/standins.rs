//! Stand-ins of the commands that would change this machine: they do to the folder `$ROOT` what the real ones do to a node.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const COMMANDS: [(&str, &str); 11] = [
    ("hostname", "read name < $ROOT/etc/hostname; echo $name > $ROOT/proc/sys/kernel/hostname"),
    (
        "update-rc.d",
        "for link in $ROOT/etc/rc2.d/K??$1; do test ! -L $link || /bin/mv $link $ROOT/etc/rc2.d/S20$1; done",
    ),
    ("udevadm", "true"),
    ("ifdown", "true"),
    ("ifup", "true"),
    ("invoke-rc.d", "true"),
    (
        "service",
        // The cluster's file system: mounted once it is started. Cut off, it is not there.
        "test \"$1\" = pve-cluster || exit 0\n\
         /bin/mkdir -p $ROOT/etc/pve/nodes\n\
         test -e $ROOT/etc/pve/.members || echo '{\"nodename\": \"alone\"}' > $ROOT/etc/pve/.members\n\
         echo '{\"version\": 1, \"ids\": {}}' > $ROOT/etc/pve/.vmlist\n\
         test -L $ROOT/etc/pve/local || /bin/ln -s nodes/alone $ROOT/etc/pve/local",
    ),
    (
        "pvecm",
        "test \"$1\" = create || exit 0\n\
         read name < $ROOT/etc/hostname\n\
         echo \"<cluster name=\\\"$2\\\">\" > $ROOT/etc/pve/cluster.conf\n\
         echo \"{\\\"nodename\\\": \\\"$name\\\", \\\"cluster\\\": {\\\"name\\\": \\\"$2\\\", \\\"quorate\\\": 1}, \\\"nodelist\\\": {\\\"$name\\\": {\\\"online\\\": 1}}}\" > $ROOT/etc/pve/.new\n\
         /bin/mv $ROOT/etc/pve/.new $ROOT/etc/pve/.members",
    ),
    ("ssh", "echo 'ssh: connect to host: Connection refused' >&2; exit 255"),
    (
        "ssh-keygen",
        "for last; do :; done; echo private > \"$last\"; echo 'ssh-rsa AAAA root' > \"$last.pub\"",
    ),
    ("ethtool", "echo 'Cannot read permanent address: Operation not supported' >&2; exit 71"),
];

/// Writes them into `folder`. Each call is a line of `$ROOT/calls`.
pub fn write(folder: &Path) {
    for (name, script) in COMMANDS {
        write_one(folder, name, script);
    }
}

/// Writes one.
pub fn write_one(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >> $ROOT/calls\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}
