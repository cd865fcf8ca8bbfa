//! What is on the new image.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cias_builder::iso9660::{BLOCK, Image};
use cias_firstboot::region;

use crate::bench::{Bench, HASH, read};
use crate::common;

#[test]
fn the_new_image_carries_ours_and_keeps_the_vendors() {
    let bench = Bench::new();
    let source = bench.bytes("in.iso");
    let before = Image::open(&bench.path().join("in.iso")).unwrap();
    let image = bench.built();
    assert_eq!(bench.bytes("in.iso"), source, "the source was written to");
    let mode = fs::metadata(bench.path().join("out.iso")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    for path in [
        "/cias/cias-firstboot",
        "/cias/perl/Gtk3.pm",
        "/cias/manifest.json",
        "/proxmox/packages/cias-firstboot_0.1.0_amd64.deb",
    ] {
        assert!(image.get(path).is_some(), "{path}");
    }
    for path in ["/usr/bin/xinit", "/etc/network/interfaces", "/boot/isolinux/isolinux.cfg"] {
        let (old, moved) = (before.get(path).unwrap(), image.get(&format!("{path}.vendor")).unwrap());
        assert_eq!(old.extents, moved.extents, "{path}: the vendor's blocks were copied instead of kept");
        assert_eq!(read(&before, path), read(&image, &format!("{path}.vendor")));
    }
    for path in ["/usr/bin/proxinstall", "/sbin/unconfigured.sh", "/usr/share/large"] {
        assert_eq!(before.get(path).unwrap().extents, image.get(path).unwrap().extents, "{path}");
    }
    let payload = region::decode(&read(&image, region::PATH)).unwrap();
    assert_eq!(payload.site_toml, String::from_utf8(bench.bytes("site.toml")).unwrap());
    assert_eq!(image.get(region::PATH).unwrap().mode & 0o777, 0o600);
}

#[test]
fn the_menu_starts_the_installation_and_keeps_the_vendors_labels() {
    let image = Bench::new().built();
    let menu = String::from_utf8(read(&image, "/boot/isolinux/isolinux.cfg")).unwrap();
    assert!(menu.contains("default cias\n"), "{menu}");
    assert!(menu.contains("cias.auto"), "{menu}");
    let payload = region::decode(&read(&image, region::PATH)).unwrap();
    let guard = read(&image, "/boot/isolinux/cias.lnx");
    assert_eq!(guard[0x202..0x206], *b"HdrS", "isolinux takes the guard for a kernel");
    assert!(image.get(&format!("/cias/medium-{}", payload.build_id)).is_some());
    let vendor = common::ISOLINUX_CFG.split_once("label linux").unwrap().1;
    assert!(menu.contains(vendor), "the vendor's labels were changed: {menu}");
}

#[test]
fn all_bytes_but_the_kept_sectors_stay_where_they_were() {
    let bench = Bench::new();
    let source = bench.bytes("in.iso");
    let image = bench.built();
    let made = bench.bytes("out.iso");
    let manifest: serde_json::Value = serde_json::from_slice(&read(&image, "/cias/manifest.json")).unwrap();
    assert!(!manifest.to_string().contains("$6$"));
    let kept = read(&image, "/cias/vendor-sectors.bin");
    let head = usize::try_from(32 * BLOCK).unwrap();
    assert_eq!(kept[..head], source[..head], "the sectors for a reset are not the source's");
    let end = usize::try_from(
        u64::from(Image::open(&bench.path().join("in.iso")).unwrap().volume().blocks) * BLOCK,
    )
    .unwrap();
    assert!(
        source[head..end] == made[head..end],
        "a byte between the head and the end of the volume was changed"
    );
    let mut reset = made[..source.len()].to_vec();
    reset[..head].copy_from_slice(&kept[..head]);
    reset[end..].copy_from_slice(&kept[head..]);
    assert!(reset == source, "the source cannot be had back from the image");
}

#[test]
fn the_hybrid_boot_record_covers_the_whole_new_volume() {
    let bench = Bench::new();
    let volume = u64::from(bench.built().volume().blocks) * BLOCK;
    let (made, source) = (bench.bytes("out.iso"), bench.bytes("in.iso"));
    assert_eq!(made[510..512], [0x55, 0xaa]);
    let end = |image: &[u8]| {
        let number = |at: usize| u64::from(u32::from_le_bytes(image[at..at + 4].try_into().unwrap()));
        (number(446 + 8) + number(446 + 12)) * 512
    };
    // Behind the volume there is only padding.
    assert!(end(&made) >= volume, "the partition ends at {}, the volume at {volume}", end(&made));
    assert!(end(&made) > end(&source), "the partition did not grow with the image");
}

#[test]
fn inspect_prints_every_probe_and_its_json() {
    let bench = Bench::new();
    let output = bench.run(&["inspect", "--json", "in.iso"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["usable"], true);
    let text = String::from_utf8(bench.run(&["inspect", "in.iso"]).stdout).unwrap();
    for probe in ["  1 layout", "  2 compression", "  7 kernel", " 17 identity"] {
        assert!(text.contains(probe), "{probe} in {text}");
    }
}

#[test]
fn an_image_without_a_hybrid_boot_record_stays_one() {
    let bench = Bench::new();
    let mut bytes = bench.bytes("in.iso");
    bytes[..512].fill(0);
    fs::write(bench.path().join("in.iso"), bytes).unwrap();
    let image = bench.built();
    assert_eq!(image.raw(0, 512, 512).unwrap(), [0; 512]);
    let loader = image.get("/boot/isolinux/isolinux.bin").unwrap().extents[0].block;
    assert_eq!(image.volume().boot.as_ref().unwrap().images[0].block, loader);
}

#[test]
fn secrets_of_a_second_file_are_on_the_image_in_one_file() {
    let bench = Bench::new();
    let args = ["init", "--force", "--secrets", "keys.toml", "--mail", "a@example.com", "--accept-eula"];
    let output = bench.run(&[&args[..], &["--password-hash", HASH]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let payload = region::decode(&read(&bench.built(), region::PATH)).unwrap();
    let site = payload.site().unwrap();
    assert_eq!(site.site.root_password_hash, HASH);
    assert!(!payload.site_toml.contains("secrets_file"), "{}", payload.site_toml);
}
