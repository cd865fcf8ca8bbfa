//! What makes minimal Debian a base system like the vendor's.

use std::path::Path;

use anyhow::{Context, Result};

use super::put;
use super::variant::Variant;

const POSTFIX: &str = include_str!("../../standins/postfix");

/// Kernel words of installed nodes and of the installer: quick under emulation, and all on both consoles. Without `no_timer_check` the kernel
/// counts ticks to see whether the timer works, which an emulator on a loaded machine fails: "IO-APIC + timer doesn't work", and a panic.
pub const WORDS: &str = "console=tty0 console=ttyS0,115200 no_timer_check net.ifnames=0 mitigations=off nokaslr tsc=reliable audit=0 transparent_hugepage=never quiet";

/// Turns the unpacked minimal system at `root` into the base of a node.
pub fn prepare(root: &Path, variant: Variant) -> Result<()> {
    let grub = format!(
        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=1\nGRUB_DISTRIBUTOR=Debian\nGRUB_CMDLINE_LINUX=\"{WORDS}\"\nGRUB_TERMINAL=\"console serial\"\nGRUB_SERIAL_COMMAND=\"serial --unit=0 --speed=115200\"\nGRUB_DISABLE_OS_PROBER=true\n"
    );
    put(root, "/etc/default/grub", 0o644, grub)?;
    put(
        root,
        "/etc/initramfs-tools/initramfs.conf",
        0o644,
        "MODULES=list\nBUSYBOX=y\nCOMPRESS=gzip\nDEVICE=\nNFSROOT=auto\nRUNSIZE=10%\nFSTYPE=ext3\n",
    )?;
    put(
        root,
        "/etc/initramfs-tools/modules",
        0o644,
        "virtio_pci\nvirtio_blk\nvirtio_scsi\nata_piix\nsd_mod\ndm_mod\next4\n",
    )?;
    put(root, "/etc/initramfs-tools/conf.d/resume", 0o644, "RESUME=none\n")?;
    put(root, "/etc/acpi/events/powerbtn", 0o644, "event=button/power.*\naction=/sbin/poweroff\n")?;
    if !variant.has_postfix() {
        put(root, "/usr/sbin/postfix", 0o755, POSTFIX)?;
        put(root, "/usr/sbin/postsuper", 0o755, POSTFIX)?;
        put(root, "/etc/postfix/dynamicmaps.cf", 0o644, "")?;
    }
    put(root, "/etc/hostname", 0o644, "base\n")?;
    put(root, "/etc/resolv.conf", 0o644, "")?;
    let inittab = root.join("etc/inittab");
    let text = std::fs::read_to_string(&inittab).context("reading inittab")?;
    // One getty on the screen and one on the serial console are enough, and each costs memory.
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !["2:23", "3:23", "4:23", "5:23", "6:23"].iter().any(|tty| line.starts_with(tty)))
        .collect();
    put(
        root,
        "/etc/inittab",
        0o644,
        kept.join("\n") + "\nT0:23:respawn:/sbin/getty -L ttyS0 115200 vt100\n",
    )?;
    // The vendor's cman starts corosync itself.
    for level in 0..=6 {
        let folder = root.join(format!("etc/rc{level}.d"));
        for entry in std::fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
            let path = entry.context("listing run levels")?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("corosync")) {
                super::remove(&path)?;
            }
        }
    }
    // Host keys must not be those of everybody; the real packages make them while they are installed.
    for entry in std::fs::read_dir(root.join("etc/ssh")).context("listing /etc/ssh")? {
        let path = entry.context("listing /etc/ssh")?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ssh_host_")) {
            super::remove(&path)?;
        }
    }
    put(root, "/etc/init.d/lab-ssh-keys", 0o755, SSH_KEYS)?;
    std::os::unix::fs::symlink("../init.d/lab-ssh-keys", root.join("etc/rcS.d/S19lab-ssh-keys"))
        .context("linking lab-ssh-keys")?;
    Ok(())
}

const SSH_KEYS: &str = "#!/bin/sh
# A stand-in for what openssh-server does when it is installed: makes the host keys of this machine. PVE shares RSA alone.
### BEGIN INIT INFO
# Provides:          lab-ssh-keys
# Required-Start:    $local_fs
# Required-Stop:
# Default-Start:     S
# Default-Stop:
# Short-Description: host keys of the lab's node
### END INIT INFO
for kind in 'ecdsa -b 256' 'rsa -b 2048'; do
    key=/etc/ssh/ssh_host_${kind%% *}_key
    # shellcheck disable=SC2086
    [ -e \"$key\" ] || ssh-keygen -q -t $kind -N '' -f \"$key\"
done
";
