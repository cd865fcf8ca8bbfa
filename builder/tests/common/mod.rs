//! Small images in the shapes that the vendor's had, made with xorriso.
//!
//! A stand-in: kernel, initrd and installer hold only what the builder looks at; nothing here boots.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Version string that the fake kernel and the fake kernel package agree on.
pub const KERNEL: &str = "2.6.32-27-pve";

/// The isolinux configuration of the look-alike.
pub const ISOLINUX_CFG: &str = "\
serial 0 115200
prompt 1
timeout 100
display pve.txt
default linux

label linux
kernel linux26
append initrd=initrd.img ramdisk_size=16777216 rw quiet splash=silent console=ttyS0

label debug
kernel linux26
append initrd=initrd.img ramdisk_size=16777216 rw quiet splash=verbose proxdebug
";

/// An installer with the shape of the vendor's calls.
pub const PROXINSTALL: &str = r#"#!/usr/bin/perl -w
use strict;
use Gtk3 '-init';
use Gtk3::WebKit;
my $window = Gtk3::Window->new();
my $box = Gtk3::VBox->new(0, 0);
my $view = Gtk3::WebKit::WebView->new();
$window->add($box);
$window->show_all();
$view->load_html_string("x", "file:///var/lib/pve-installer/html/license.htm");
Gtk3->main();
"#;

/// Writes `bytes` to `root`/`path` with `mode`, making directories.
pub fn put(root: &Path, path: &str, mode: u32, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The tree of a live-root image.
pub fn live_root_tree(root: &Path) {
    put(root, "boot/isolinux/isolinux.cfg", 0o644, ISOLINUX_CFG.as_bytes());
    put(root, "boot/isolinux/pve.txt", 0o644, b"Proxmox VE look-alike\n");
    put(root, "boot/isolinux/linux26", 0o644, &kernel(KERNEL));
    put(root, "boot/isolinux/initrd.img", 0o644, &initrd());
    let isolinux = fs::read("/usr/lib/ISOLINUX/isolinux.bin").unwrap();
    put(root, "boot/isolinux/isolinux.bin", 0o644, &isolinux);
    put(root, "sbin/unconfigured.sh", 0o755, b"#!/bin/bash\nxinit -- -dpi 96\n");
    put(root, "usr/bin/proxinstall", 0o755, PROXINSTALL.as_bytes());
    put(root, "usr/bin/xinit", 0o755, &b"the vendor's X starter\n".repeat(4000));
    put(root, "usr/bin/perl", 0o755, b"\x7fELF perl");
    put(root, "usr/share/perl/5.14.2/strict.pm", 0o644, b"1;\n");
    put(
        root,
        "etc/network/interfaces",
        0o644,
        b"auto lo eth0\niface lo inet loopback\niface eth0 inet dhcp\n",
    );
    put(root, "etc/lvm/lvm.conf", 0o644, b"devices { }\n");
    put(root, "proxmox/pve-base.tar", 0o644, &base_tar());
    put(root, "proxmox/pve-base.cnt", 0o644, b"3\n");
    let country = "map:de:German:de:de.kmap.gz:de:nodeadkeys:\nmap:en-us:U.S. English:en-us:us.kmap.gz:us::\n\
                   de:Germany:de:mirror.example.com:\n";
    put(root, "proxmox/country.dat", 0o644, country.as_bytes());
    put(root, "usr/share/zoneinfo/zone.tab", 0o644, b"# zones\nDE\t+5230+01322\tEurope/Berlin\n");
    let package = format!("proxmox/packages/pve-kernel-{KERNEL}_2.6.32-121_amd64.deb");
    put(root, &package, 0o644, &deb(&format!("pve-kernel-{KERNEL}"), "2.6.32-121"));
    for (name, version) in [("pve-cluster", "3.0-12"), ("pve-manager", "3.2-1")] {
        let path = format!("proxmox/packages/{name}_{version}_amd64.deb");
        put(root, &path, 0o644, &deb(name, version));
    }
    put(root, ".cd-info", 0o644, b"product='pve'\nrelease='3.2'\n");
    put(root, ".pve-cd-id.txt", 0o644, b"0123456789abcdef0123456789abcdef0123\n");
    put(root, "usr/share/large", 0o644, &b"a line that compresses well\n".repeat(20_000));
    symlink(".", root.join("debian")).unwrap();
    symlink("../usr/bin/perl", root.join("sbin/perl")).unwrap();
    fs::create_dir_all(root.join("target")).unwrap();
}

/// Makes a live-root image, with `/usr` stored as zisofs as the vendor may have done.
pub fn live_root(directory: &Path) -> PathBuf {
    let tree = directory.join("tree");
    live_root_tree(&tree);
    master(directory, &tree)
}

/// Masters `tree` with isolinux and a hybrid MBR.
pub fn master(directory: &Path, tree: &Path) -> PathBuf {
    master_at(directory, tree, None)
}

/// The same, on a day in seconds since 1970 instead of today.
pub fn master_at(directory: &Path, tree: &Path, day: Option<u64>) -> PathBuf {
    let image = directory.join("in.iso");
    let mut xorriso = Command::new("xorriso");
    xorriso
        .args(["-report_about", "WARNING", "-outdev"])
        .arg(&image)
        .args(["-volid", "PVE", "-joliet", "on", "-map"])
        .arg(tree)
        .arg("/");
    if tree.join("usr").exists() {
        xorriso.args(["-set_filter_r", "--zisofs", "/usr", "--"]);
    }
    if tree.join("boot/isolinux/isolinux.bin").exists() {
        xorriso.args(["-boot_image", "isolinux", "dir=/boot/isolinux"]);
        xorriso.args(["-boot_image", "isolinux", "system_area=/usr/lib/ISOLINUX/isohdpfx.bin"]);
        xorriso.args(["-boot_image", "isolinux", "partition_table=on"]);
    }
    if let Some(day) = day {
        xorriso.env("SOURCE_DATE_EPOCH", day.to_string());
        for kind in ["b", "c"] {
            xorriso.args(["-alter_date_r", kind, &format!("={day}"), "/", "--"]);
        }
    }
    let output = xorriso.output().expect("xorriso is installed by ci/setup");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    image
}

/// A bzImage header with a version string behind it. Layout: Linux `Documentation/x86/boot.txt`.
pub fn kernel(version: &str) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[0x1FE..0x200].copy_from_slice(&[0x55, 0xAA]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&[0x0A, 0x02]);
    bytes[0x20E..0x210].copy_from_slice(&0x400_u16.to_le_bytes());
    let text = format!("{version} (root@builder) #1 SMP\0");
    bytes[0x600..0x600 + text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// A gzip-compressed newc archive with the parts of `/init` that are looked for.
pub fn initrd() -> Vec<u8> {
    let init = b"#!/bin/sh\nif [ -f /proxmox.iso ]; then mount -t iso9660 -o loop,ro /proxmox.iso /mnt; fi\n\
        for device in /sys/block/*; do cat /mnt/.pve-cd-id.txt; done\nchroot /mnt /sbin/unconfigured.sh\n";
    let mut archive = Vec::new();
    for (name, mode, data) in [("init", 0o100_755, &init[..]), ("TRAILER!!!", 0, b"")] {
        let header = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
            1,
            0,
            0,
            1,
            0,
            data.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0
        );
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(name.as_bytes());
        archive.push(0);
        pad(&mut archive, 4);
        archive.extend_from_slice(data);
        pad(&mut archive, 4);
    }
    gzip(&archive)
}

/// A package with nothing but its control file.
pub fn deb(name: &str, version: &str) -> Vec<u8> {
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: a <a@example.com>\nDescription: x\n"
    );
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", gzip(&tar_of(&[("./control", control.as_bytes())]))),
        ("data.tar.gz", gzip(&tar_of(&[]))),
    ];
    let mut archive = b"!<arch>\n".to_vec();
    for (member, data) in members {
        archive.extend_from_slice(
            format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, data.len()).as_bytes(),
        );
        archive.extend_from_slice(&data);
        pad(&mut archive, 2);
    }
    archive
}

/// The base system: its dpkg status and nothing else.
fn base_tar() -> Vec<u8> {
    let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.13-38\n\n\
        Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.16.12\n\n\
        Package: bridge-utils\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.5-6\n\n\
        Package: e2fsprogs\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.42.5-1.1\n\n\
        Package: ifenslave-2.6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.1.0-20\n";
    tar_of(&[("./var/lib/dpkg/status", status.as_bytes())])
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *data).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    while !bytes.len().is_multiple_of(to) {
        bytes.push(0);
    }
}
