//! Stand-ins of the commands that would change this machine: they do to the folder `$ROOT` what the real ones do to a node.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const COMMANDS: [(&str, &str); 7] = [
    ("hostname", "read name < $ROOT/etc/hostname; echo $name > $ROOT/proc/sys/kernel/hostname"),
    (
        "update-rc.d",
        "for link in $ROOT/etc/rc2.d/K??$1; do test ! -L $link || /bin/mv $link $ROOT/etc/rc2.d/S20$1; done",
    ),
    ("udevadm", "true"),
    ("ifdown", "true"),
    ("ifup", "true"),
    ("invoke-rc.d", "true"),
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
