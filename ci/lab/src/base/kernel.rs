//! The kernel: Debian's cloud kernel with the modules that the lab's machines need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Shop, key, make, put};

/// Modules that the initrd loads to find the medium, in this order; what they need is loaded first.
pub const INITRD: &[&str] = &[
    "virtio_pci",
    "virtio_scsi",
    "virtio_blk",
    "ata_piix",
    "sr_mod",
    "sd_mod",
    "isofs",
    "nls_utf8",
    "loop",
    "dm_mod",
];

/// Modules that an installed node and the installer may load.
const NODE: &[&str] = &[
    "ext4",
    "bonding",
    "bridge",
    "8021q",
    "fuse",
    "md_mod",
    "raid1",
    "dm_mirror",
    "dm_snapshot",
    "virtio_net",
    "virtio_rng",
    "virtio_balloon",
    "button",
    "evdev",
    "ipv6",
    "af_packet",
    "dm_thin_pool",
    "nls_cp437",
    "nls_ascii",
    "vfat",
    "xfs",
    "i6300esb",
    "psmouse",
];

/// The kernel's release as `uname -r` says it, and its files.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// As `6.1.0-1-cloud-amd64`.
    pub release: String,
    /// Folder with `vmlinuz`, `config` and `lib/modules/RELEASE`.
    pub folder: PathBuf,
}

/// Unpacks the kernel that apt would install and trims it to what every machine may load, and `more`.
pub fn ensure(shop: &Shop, more: &[&str]) -> Result<Kernel> {
    let release = shop.shell(
        "apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: linux-image-\\([0-9].*-cloud-amd64\\).*/\\1/p' | head -n 1",
    )?;
    let release = release.trim().to_owned();
    anyhow::ensure!(!release.is_empty(), "apt knows no linux-image-cloud-amd64: run `apt-get update`");
    let versions = key::versions(shop, &[&format!("linux-image-{release}")])?;
    let (recipe, more_key) = (include_bytes!("kernel.rs"), more.join(" "));
    let folder =
        shop.cache.join(format!("kernel-{}", key::of(&[versions.as_bytes(), recipe, more_key.as_bytes()])));
    make(&folder, |part| {
        let (raw, shown) = (part.join("raw"), part.display());
        std::fs::create_dir_all(&raw).context("making a folder")?;
        shop.shell(&format!("cd {shown} && apt-get -q download linux-image-{release} >&2 && dpkg-deb -x *.deb raw && rm -f *.deb"))?;
        std::fs::copy(raw.join(format!("boot/vmlinuz-{release}")), part.join("vmlinuz"))
            .context("copying vmlinuz")?;
        std::fs::copy(raw.join(format!("boot/config-{release}")), part.join("config"))
            .context("copying the configuration")?;
        let modules = format!("lib/modules/{release}");
        shop.shell(&format!("depmod -b {shown}/raw {release}"))?;
        for path in with_needs(&raw.join(&modules), &[INITRD, NODE, more].concat())? {
            put(part, &format!("{modules}/{path}"), 0o644, std::fs::read(raw.join(&modules).join(&path))?)?;
        }
        for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
            put(part, &format!("{modules}/{name}"), 0o644, std::fs::read(raw.join(&modules).join(name))?)?;
        }
        shop.shell(&format!("depmod -b {shown} {release}"))?;
        super::remove(&raw)
    })?;
    Ok(Kernel { release, folder })
}

/// The files of `names` below `modules`, each behind what it needs. A name without a file is built in.
pub fn with_needs(modules: &Path, names: &[&str]) -> Result<Vec<String>> {
    let table = modules.join("modules.dep");
    let table = std::fs::read_to_string(&table).with_context(|| format!("reading {}", table.display()))?;
    let (mut seen, mut ordered) = (BTreeSet::new(), Vec::new());
    for name in names {
        let file = |path: &str| {
            path.rsplit('/').next().is_some_and(|file| file.replace('-', "_") == format!("{name}.ko"))
        };
        let line = table.lines().find_map(|line| line.split_once(':').filter(|(path, _)| file(path)));
        let Some((path, needs)) = line else { continue };
        // depmod lists what is needed from near to far; loading goes the other way.
        for each in needs.split_whitespace().rev().chain([path]) {
            if seen.insert(each.to_owned()) {
                ordered.push(each.to_owned());
            }
        }
    }
    Ok(ordered)
}
