//! What is refused, and with which sentence.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bench::{Bench, refused};
use crate::common;

#[test]
fn an_existing_image_and_a_wrong_sum_are_refused_and_nothing_is_left() {
    let bench = Bench::new();
    let before = bench.names();
    let output = bench.build("out.iso", &["--sha256", &"0".repeat(64)]);
    refused(&bench, &output, 3, "wanted 0000", &before);
    fs::write(bench.path().join("out.iso"), "mine").unwrap();
    let before = bench.names();
    refused(&bench, &bench.build("out.iso", &[]), 5, "--force", &before);
    assert_eq!(bench.bytes("out.iso"), b"mine");
}

#[test]
fn a_package_that_could_not_be_configured_is_refused_with_what_it_lacks() {
    let bench = Bench::new();
    let fields =
        [("Package", "needy"), ("Version", "1"), ("Architecture", "all"), ("Depends", "libmissing (>= 2)")];
    let deb = cias_builder::deb::Package::new(0, &fields).write().unwrap();
    fs::create_dir(bench.path().join("debs")).unwrap();
    fs::write(bench.path().join("debs/needy_1_all.deb"), deb).unwrap();
    let before = bench.names();
    let output = bench.build("out.iso", &["--packages", "debs"]);
    refused(&bench, &output, 3, "needy needs libmissing (>= 2)", &before);
    fs::write(bench.path().join("debs/broken_1_all.deb"), "no package").unwrap();
    let output = bench.build("out.iso", &["--packages", "debs"]);
    refused(&bench, &output, 3, "broken_1_all.deb", &before);
}

#[test]
fn a_built_image_is_no_source() {
    let bench = Bench::new();
    bench.built();
    fs::rename(bench.path().join("out.iso"), bench.path().join("in.iso")).unwrap();
    let before = bench.names();
    refused(&bench, &bench.build("out.iso", &[]), 3, "made by cias-builder", &before);
}

/// An image of a few files, in the shape of another family or of none.
fn other(bench: &Bench, files: &[&str]) -> PathBuf {
    let tree = bench.path().join("other");
    let _ = fs::remove_dir_all(&tree);
    for file in files {
        common::put(&tree, file, 0o644, b"x");
    }
    fs::remove_file(bench.path().join("in.iso")).unwrap();
    let image = common::master(bench.path(), &tree);
    fs::remove_dir_all(&tree).unwrap();
    image
}

#[test]
fn other_families_are_named_and_refused() {
    for (files, wanted) in [
        (&["pve-installer.squashfs", "pve-base.squashfs"][..], "4.3"),
        (&["auto-installer-capable", "pve-base.squashfs"], "8.2"),
        (&["README", "dists/stable/Release"], "has README, dists at its root"),
    ] {
        let bench = Bench::new();
        other(&bench, files);
        let before = bench.names();
        refused(&bench, &bench.build("out.iso", &[]), 3, wanted, &before);
        assert_eq!(bench.run(&["inspect", "in.iso"]).status.code(), Some(3));
    }
}

#[test]
fn an_image_that_is_cut_off_or_none_at_all_gets_a_sentence() {
    for length in [0, 2048, 40_000, 200_000] {
        let bench = Bench::new();
        let bytes = bench.bytes("in.iso");
        fs::write(bench.path().join("in.iso"), &bytes[..length]).unwrap();
        let before = bench.names();
        refused(&bench, &bench.build("out.iso", &[]), 3, "error: ", &before);
    }
}

#[test]
fn a_site_that_the_installer_could_not_carry_out_is_refused_by_check_and_build() {
    let bench = Bench::new();
    let path = bench.path().join("site.toml");
    let site = fs::read_to_string(&path).unwrap();
    let changed = site.replace("# keyboard = \"en-us\"", "keyboard = \"fr\"");
    assert_ne!(site, changed);
    fs::write(&path, changed).unwrap();
    let before = bench.names();
    let wanted = "site.keyboard: found \"fr\", wanted one that the image knows: de, en-us";
    refused(&bench, &bench.build("out.iso", &[]), 3, wanted, &before);
    refused(&bench, &bench.run(&["check", "site.toml", "--iso", "in.iso"]), 3, wanted, &before);
    assert_eq!(bench.run(&["check", "site.toml"]).status.code(), Some(0));
}

/// The same as [`Bench::new`], with something in the image's tree changed.
fn changed(change: impl Fn(&Path)) -> Bench {
    let bench = Bench::new();
    let tree = bench.path().join("tree");
    change(&tree);
    fs::remove_file(bench.path().join("in.iso")).unwrap();
    common::master(bench.path(), &tree);
    bench
}

#[test]
fn what_would_fail_in_the_installation_is_refused_with_its_probe() {
    let cases: [(&str, &str, &[u8]); 5] = [
        ("probe 7 (kernel and package)", "boot/isolinux/linux26", &common::kernel("2.6.32-99-pve")),
        ("Gtk3::Notebook->new", "usr/bin/proxinstall", b"use Gtk3;\nGtk3::Notebook->new;\n"),
        ("probe 5 (initrd format)", "boot/isolinux/initrd.img", b"\x28\xB5\x2F\xFDzstd"),
        ("no default label", "boot/isolinux/isolinux.cfg", b"label other\nkernel linux26\n"),
        ("has /boot/isolinux/cias.txt already", "boot/isolinux/cias.txt", b"the vendor's"),
    ];
    for (wanted, path, bytes) in cases {
        let bench = changed(|tree| common::put(tree, path, 0o644, bytes));
        let before = bench.names();
        refused(&bench, &bench.build("out.iso", &[]), 3, wanted, &before);
    }
}

#[test]
fn a_dynamic_program_is_refused() {
    let bench = Bench::new();
    fs::copy(env!("CARGO_BIN_EXE_cias-builder"), bench.path().join("cias-firstboot")).unwrap();
    let before = bench.names();
    refused(&bench, &bench.build("out.iso", &[]), 3, "wanted", &before);
}
