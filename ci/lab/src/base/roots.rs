//! The two root file systems: the installer's and the node's.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Shop, key, make};

/// What the installer's root holds; it is minimal Debian plus these.
pub const INSTALLER: &[&str] = &[
    "sysvinit-core",
    "sysv-rc",
    "initscripts",
    "ifupdown",
    "perl",
    "lvm2",
    "gdisk",
    "parted",
    "e2fsprogs",
    "kmod",
    "udev",
    "iproute2",
    "net-tools",
    "pciutils",
    "mdadm",
    "tzdata",
    "procps",
    "isc-dhcp-client",
];

/// What the node's base system holds; what comes through the image's packages is not in it.
pub const NODE: &[&str] = &[
    "sysvinit-core",
    "sysv-rc",
    "initscripts",
    "ifupdown",
    "bridge-utils",
    "iproute2",
    "iputils-ping",
    "openssh-server",
    "openssl",
    "corosync",
    "cron",
    "rsync",
    "rsyslog",
    "orphan-sysvinit-scripts",
    "lvm2",
    "e2fsprogs",
    "mdadm",
    "initramfs-tools",
    "busybox",
    "grub-pc-bin",
    "grub2-common",
    "acpid",
    "kmod",
    "udev",
    "procps",
    "parted",
    "logrotate",
    "tzdata",
    // hwclock, which is in util-linux itself on the target
    "util-linux-extra",
];

/// A tar of minimal Debian with `packages`; made once for each set of versions.
pub fn ensure(shop: &Shop, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let versions = key::versions(shop, packages)?;
    let tar = shop
        .cache
        .join(format!("{name}-{}.tar", key::of(&[versions.as_bytes(), include_bytes!("roots.rs")])));
    make(&tar, |part| {
        let suite = shop.shell(". /etc/os-release && echo -n \"$VERSION_CODENAME\"")?;
        let excludes = ["doc/*", "man/*", "locale/*", "info/*", "lintian/*", "bash-completion/*"]
            .map(|path| format!(" --dpkgopt='path-exclude=/usr/share/{path}'"))
            .concat();
        // The machine's own package sources, whatever they are.
        let line = format!(
            "sources=$({{ grep -slE '^(deb |URIs:)' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list || true; }} | head -n 1); \
             mmdebstrap --quiet --variant=minbase{excludes} --include={} --format=tar {suite} {} \"$sources\"",
            packages.join(","),
            part.display()
        );
        shop.shell(&line).context("running mmdebstrap")?;
        Ok(())
    })?;
    Ok(tar)
}
