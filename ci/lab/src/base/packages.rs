//! Packages on the image: the vendor's as stand-ins, and real ones that a site adds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_builder::deb::{Content, Package};
use cias_builder::packages::{fetch, profile, resolve};
use cias_builder::progress::Progress;
use cias_firstboot::interrupt::Interrupt;

use super::kernel::Kernel;
use super::variant::Variant;
use super::{EPOCH, Shop, key, make, put, sources};

/// Stand-ins inside the packages, for the image's key.
pub const STANDINS: &[&str] = &[CLUSTER_INIT, MANAGER_INIT, CMAN_INIT];

const CLUSTER_INIT: &str = include_str!("../../standins/pve-cluster.init");
const MANAGER_INIT: &str = include_str!("../../standins/pve-manager.init");
const CMAN_INIT: &str = include_str!("../../standins/cman.init");

/// Real packages that the lab's site adds beside those of its profile: what bond0 needs is not in the base system, and comes through the image.
const ADDED: &[&str] = &["ifenslave", "ethtool"];

/// Prints the machine's own package sources, whatever they are.
const SOURCES: &str = "cat \"$({ grep -slE '^(deb |URIs:)' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list || true; } | head -n 1)\"";

fn package(name: &str, version: &str, depends: &str) -> Package {
    let fields = [
        ("Package", name),
        ("Version", version),
        ("Architecture", "amd64"),
        ("Maintainer", "CIAS lab <lab@example.com>"),
        ("Depends", depends),
        ("Description", "stand-in of the vendor's package for the lab"),
    ];
    let fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    Package::new(EPOCH, &fields)
}

/// The vendor's packages, as stand-ins, with the program `standins` in them: file name and bytes.
pub fn vendor(kernel: &Kernel, standins: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let name = format!("pve-kernel-{}", kernel.release);
    let mut image = package(&name, "2.6.32-121", "initramfs-tools");
    image.level = 1;
    image.add(
        &format!("/boot/vmlinuz-{}", kernel.release),
        0o644,
        Content::File(kernel.folder.join("vmlinuz")),
    );
    image.add(
        &format!("/boot/config-{}", kernel.release),
        0o644,
        Content::File(kernel.folder.join("config")),
    );
    for file in walkdir::WalkDir::new(kernel.folder.join("lib")).sort_by_file_name() {
        let file = file.context("listing modules")?;
        let inside = file.path().strip_prefix(&kernel.folder).context("listing modules")?;
        if file.file_type().is_file() {
            image.add(&format!("/{}", inside.display()), 0o644, Content::File(file.path().to_owned()));
        }
    }
    image.script(
        "postinst",
        "#!/bin/sh\nset -e\n[ ! -e /proxmox_install_mode ] || exit 0\nupdate-initramfs -u\nupdate-grub\n",
    );

    let start = |service: &str| {
        format!(
            "#!/bin/sh\nset -e\nupdate-rc.d {service} defaults >/dev/null\n[ ! -e /proxmox_install_mode ] || exit 0\ninvoke-rc.d {service} start\n"
        )
    };
    let mut cluster = package("pve-cluster", "3.0-12", "cron");
    cluster.add("/etc/init.d/pve-cluster", 0o755, Content::Bytes(CLUSTER_INIT.into()));
    cluster.add("/usr/bin/pve-standins", 0o755, Content::File(standins.to_owned()));
    for name in ["pmxcfs", "pvecm", "create_pmxcfs_db"] {
        cluster.add(&format!("/usr/bin/{name}"), 0o777, Content::Link("pve-standins".to_owned()));
    }
    cluster.add("/var/lib/pve-cluster", 0o700, Content::Folder);
    cluster.add("/etc/pve", 0o755, Content::Folder);
    cluster.script("postinst", start("pve-cluster"));

    let mut cman = package("redhat-cluster-pve", "3.2.0-2", "pve-cluster, corosync");
    cman.add("/etc/init.d/cman", 0o755, Content::Bytes(CMAN_INIT.into()));
    cman.add("/usr/sbin/cman_tool", 0o777, Content::Link("../bin/pve-standins".to_owned()));
    cman.script("postinst", start("cman"));

    let mut manager = package("pve-manager", "3.2-1", "pve-cluster (>= 3.0-8), bridge-utils, lvm2");
    manager.add("/etc/init.d/pve-manager", 0o755, Content::Bytes(MANAGER_INIT.into()));
    let version = "#!/bin/sh\n# A stand-in of the vendor's program.\necho 'pve-manager/3.2-1/lab (running kernel: '\"$(uname -r)\"')'\n";
    manager.add("/usr/bin/pveversion", 0o755, Content::Bytes(version.into()));
    // The vendor has them in libpve-storage-perl and pve-qemu-kvm, on which its pve-manager depends.
    manager.add("/usr/sbin/pvesm", 0o777, Content::Link("../bin/pve-standins".to_owned()));
    manager.add("/usr/bin/vma", 0o777, Content::Link("pve-standins".to_owned()));
    manager.script("postinst", start("pve-manager"));

    let meta = package("proxmox-ve-2.6.32", "3.2-121", &format!("pve-manager, {name}"));
    [image, cluster, cman, manager, meta]
        .iter()
        .map(|package| Ok((package.file_name(), package.write()?)))
        .collect()
}

/// The folder of real packages that the lab's site adds, with what they need on the image `iso`: found and fetched as a user
/// does it, once for each version. Downloads are kept for the next time.
pub fn added(shop: &Shop, iso: &Path, variant: Variant) -> Result<PathBuf> {
    let list = shop.shell(SOURCES).context("looking for this machine's package sources")?;
    let keys = shop.shell("ls /usr/share/keyrings/debian-archive-keyring.gpg /etc/apt/trusted.gpg.d/*.{asc,gpg} 2>/dev/null || true")?;
    let keys: Vec<String> = keys.lines().map(str::to_owned).collect();
    let dates = shop.shell("apt-config dump Acquire::Check-Valid-Until")?;
    let wanted = (variant.profile(), ADDED);
    let request = sources::request(&sources::parse(&list), &keys, wanted, dates.contains("\"false\""))?;
    let profile = variant.profile().map_or(&[][..], profile::packages);
    let names: Vec<&str> = profile.iter().map(|wanted| wanted.name).chain(ADDED.to_vec()).collect();
    let versions = key::versions(shop, &names)?;
    let image = iso.file_name().unwrap_or_default().as_encoded_bytes();
    let folder =
        shop.cache.join(format!("added-{}", key::of(&[request.as_bytes(), versions.as_bytes(), image])));
    make(&folder, |part| {
        put(part, "packages.toml", 0o644, &request)?;
        let (file, interrupt) = (part.join("packages.toml"), Interrupt::default());
        let present = resolve::resolve(&file, iso, &interrupt)?.present;
        // They come through the vendor's own loop, or a scenario with them shows nothing.
        anyhow::ensure!(
            present.is_empty(),
            "found {present:?} on the image already, wanted the site to bring them"
        );
        let cache = Some(shop.cache.join("debs"));
        let order = fetch::Order { packages: file, out: Some(part.to_owned()), cache, force: false };
        fetch::fetch(&order, Progress::new(), &interrupt).map(drop)
    })?;
    Ok(folder)
}
