//! Puts the image together.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::{INITRD, Kernel, with_needs};
use super::variant::Variant;
use super::{EPOCH, Shop, make, node, packages, put, remove};

/// Stand-ins by the path that they get in the installer's root.
pub const STANDINS: &[(&str, &str)] = &[
    ("/sbin/unconfigured.sh", include_str!("../../standins/unconfigured.sh")),
    ("/usr/bin/proxinstall", include_str!("../../standins/proxinstall")),
    ("/var/lib/pve-installer/install-steps.pl", include_str!("../../standins/install-steps.pl")),
    ("/var/lib/pve-installer/policy-disable-rc.d", include_str!("../../standins/policy-disable-rc.d")),
    ("/var/lib/pve-installer/fake-start-stop-daemon", include_str!("../../standins/fake-start-stop-daemon")),
    ("/.xinitrc", include_str!("../../standins/xinitrc")),
    ("/etc/network/interfaces", include_str!("../../standins/interfaces")),
    ("/usr/bin/xinit", include_str!("../../standins/xinit")),
    ("/proxmox/country.dat", include_str!("../../standins/country.dat")),
    ("/sbin/parted", include_str!("../../standins/parted")),
    ("/init", include_str!("../../standins/init")),
];

/// Where a tree of the vendor's installer has what the stand-ins replace.
const VENDOR: &[(&str, &str, u32)] = &[
    ("unconfigured.sh", "/sbin/unconfigured.sh", 0o755),
    ("proxinstall", "/usr/bin/proxinstall", 0o755),
    ("policy-disable-rc.d", "/var/lib/pve-installer/policy-disable-rc.d", 0o755),
    ("fake-start-stop-daemon", "/var/lib/pve-installer/fake-start-stop-daemon", 0o755),
    ("xinitrc", "/.xinitrc", 0o644),
    ("interfaces", "/etc/network/interfaces", 0o644),
    ("proxlogo.xpm", "/var/lib/pve-installer/proxlogo.xpm", 0o644),
];

const PAGES: &[&str] = &[
    "license",
    "page1",
    "country",
    "passwd",
    "ipconf",
    "extract1-license",
    "extract2-rulesystem",
    "extract3-spam",
    "extract4-virus",
    "success",
    "fail",
    "nohds",
];

const MEDIUM_ID: &str = "5a885216-0000-0000-0000-1ab000000032\n";

/// What an image is made of.
pub struct Parts<'a> {
    /// The kernel.
    pub kernel: Kernel,
    /// Tar of the installer's root.
    pub installer: PathBuf,
    /// Tar of the node's root.
    pub node: PathBuf,
    /// The program of the stand-ins.
    pub standins: &'a Path,
    /// A tree of the vendor's installer.
    pub replace: Option<&'a Path>,
    /// What it has.
    pub variant: Variant,
}

/// Builds the image at `iso`.
pub fn build(shop: &Shop, parts: &Parts, iso: &Path) -> Result<()> {
    make(iso, |part| {
        let tree = part.with_extension("tree");
        let result = fill(shop, parts, &tree).and_then(|()| write(shop, &tree, part));
        remove(&tree)?;
        result
    })
}

fn fill(shop: &Shop, parts: &Parts, tree: &Path) -> Result<()> {
    remove(tree)?;
    std::fs::create_dir_all(tree).context("making the tree")?;
    let shown = tree.display();
    shop.shell(&format!("tar --numeric-owner -xpf {} -C {shown}", parts.installer.display()))?;
    let release = &parts.kernel.release;
    shop.shell(&format!("cp -a {}/lib/modules {shown}/usr/lib/", parts.kernel.folder.display()))?;
    // The vendor's entry script mounts a tmpfs on /var/run, and today's Debian writes to /run: here they are one.
    shop.shell(&format!("cd {shown} && rm -rf var/run run dev/* var/cache/apt/*.bin var/lib/apt/lists/* && mkdir -p var/run var/lib/xkb var/log target && ln -s var/run run"))?;
    // Wheezy's lvcreate zeroes the first 4 KiB and asks nothing; today's would ask about an older system's swap
    // (docs/facts.md 14).
    let lvm =
        "backup { backup = 0\n archive = 0 }\nallocation { wipe_signatures_when_zeroing_new_lvs = 0 }\n";
    put(tree, "/etc/lvm/lvmlocal.conf", 0o644, lvm)?;
    shop.shell(&format!(
        "cd {shown} && ln -sf /proc/mounts etc/mtab && ln -sf /tmp/resolv.conf etc/resolv.conf"
    ))?;
    shop.shell(&format!("mv {shown}/sbin/parted {shown}/sbin/parted.real"))?;
    for (path, text) in STANDINS.iter().filter(|(path, _)| *path != "/init") {
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        put(tree, path, mode, text)?;
    }
    for page in PAGES {
        put(
            tree,
            &format!("/var/lib/pve-installer/html/{page}.htm"),
            0o644,
            format!("<html><!-- a stand-in page -->{page}</html>\n"),
        )?;
    }
    if let Some(folder) = parts.replace {
        replace(folder, tree)?;
    }
    put(tree, "/EULA", 0o644, "A stand-in: the lab has no licence of the vendor's to accept.\n")?;
    put(tree, "/.pve-cd-id.txt", 0o644, MEDIUM_ID)?;
    put(tree, "/.cd-info", 0o644, "PRODUCT='pve'\nRELEASE='3.2'\nISORELEASE='lab'\n")?;
    for (name, bytes) in packages::vendor(&parts.kernel, parts.standins)? {
        put(tree, &format!("/proxmox/packages/{name}"), 0o644, bytes)?;
    }
    base(shop, parts, tree)?;
    boot(shop, &parts.kernel, tree).with_context(|| format!("making the boot files for {release}"))
}

fn replace(folder: &Path, tree: &Path) -> Result<()> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
    for (name, path, mode) in VENDOR {
        put(tree, path, *mode, read(&folder.join(name))?)?;
    }
    for page in std::fs::read_dir(folder.join("html")).context("listing the vendor's pages")? {
        let page = page.context("listing the vendor's pages")?;
        let name = page.file_name().to_string_lossy().into_owned();
        put(tree, &format!("/var/lib/pve-installer/html/{name}"), 0o644, read(&page.path())?)?;
    }
    Ok(())
}

fn base(shop: &Shop, parts: &Parts, tree: &Path) -> Result<()> {
    let root = tree.with_file_name(".node");
    remove(&root)?;
    std::fs::create_dir_all(&root).context("making the node's root")?;
    let shown = root.display();
    shop.shell(&format!("tar --numeric-owner -xpf {} -C {shown} && rm -rf {shown}/dev/* {shown}/var/lib/apt/lists/* {shown}/var/cache/apt/*.bin", parts.node.display()))?;
    node::prepare(&root, parts.variant)?;
    let base = tree.join("proxmox/pve-base.tar");
    shop.shell(&format!(
        "tar --sort=name --numeric-owner --mtime=@{EPOCH} --clamp-mtime -C {shown} -cf {} .",
        base.display()
    ))?;
    let count = shop.shell(&format!("tar -tf {} | wc -l", base.display()))?;
    remove(&root)?;
    put(tree, "/proxmox/pve-base.cnt", 0o644, count)
}

fn boot(shop: &Shop, kernel: &Kernel, tree: &Path) -> Result<()> {
    let folder = "/boot/isolinux";
    put(tree, &format!("{folder}/linux26"), 0o644, std::fs::read(kernel.folder.join("vmlinuz"))?)?;
    put(tree, &format!("{folder}/isolinux.bin"), 0o644, std::fs::read("/usr/lib/ISOLINUX/isolinux.bin")?)?;
    put(
        tree,
        &format!("{folder}/ldlinux.c32"),
        0o644,
        std::fs::read("/usr/lib/syslinux/modules/bios/ldlinux.c32")?,
    )?;
    let entry = |label: &str, more: &str| {
        format!(
            "\nlabel {label}\n  kernel linux26\n  append initrd=initrd.img ramdisk_size=16777216 rw splash=silent {}{more}\n",
            node::WORDS
        )
    };
    let menu = format!(
        "serial 0 115200\ndefault linux\nprompt 1\ntimeout 300\n{}{}",
        entry("linux", ""),
        entry("debug", " proxdebug")
    );
    put(tree, &format!("{folder}/isolinux.cfg"), 0o644, menu)?;

    let root = tree.with_file_name(".initrd");
    remove(&root)?;
    let modules = kernel.folder.join("lib/modules").join(&kernel.release);
    let mut list = Vec::new();
    for path in with_needs(&modules, INITRD)? {
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        put(&root, &format!("/modules/{name}"), 0o644, std::fs::read(modules.join(&path))?)?;
        list.push(name);
    }
    put(&root, "/modules.list", 0o644, list.join("\n") + "\n")?;
    put(&root, "/bin/busybox", 0o755, std::fs::read("/bin/busybox")?)?;
    let init = STANDINS.iter().find(|(path, _)| *path == "/init").map_or("", |(_, text)| text);
    put(&root, "/init", 0o755, init)?;
    put(&root, "/.pve-cd-id.txt", 0o644, MEDIUM_ID)?;
    shop.shell(&format!(
        "cd {} && mkdir -p proc sys dev mnt && find . -exec touch -h -d @{EPOCH} {{}} + && find . | sort | cpio --quiet --reproducible -o -H newc -R 0:0 | gzip -9n >{}{folder}/initrd.img",
        root.display(),
        tree.display()
    ))?;
    remove(&root)
}

fn write(shop: &Shop, tree: &Path, iso: &Path) -> Result<()> {
    let shown = tree.display();
    shop.shell(&format!("find {shown} -newermt @{EPOCH} -exec touch -h -d @{EPOCH} {{}} +"))?;
    shop.shell(&format!(
        "xorriso -as mkisofs -quiet -R -J -joliet-long -V PVE -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin \
         -b boot/isolinux/isolinux.bin -c boot/isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table -o {} {shown}",
        iso.display()
    ))?;
    Ok(())
}
