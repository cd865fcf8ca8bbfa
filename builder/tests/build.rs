//! `cias-builder build` and `inspect`, from the outside, on small images in the vendor's shape.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cias_builder::iso9660::{BLOCK, Image};
use cias_firstboot::region;

const HASH: &str =
    "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// An image in the vendor's shape, a site and a program; the program is a stand-in that only has the right header.
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        common::live_root(bench.path());
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(4096, 0);
        (program[16], program[18], program[32], program[54]) = (2, 62, 64, 56);
        fs::write(bench.path().join("cias-firstboot"), program).unwrap();
        let output =
            bench.run(&["init", "--mail", "a@example.com", "--accept-eula", "--password-hash", HASH]);
        assert!(output.status.success());
        bench
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_cias-builder")).args(args).current_dir(self.path()).output().unwrap()
    }

    fn build(&self, out: &str, more: &[&str]) -> Output {
        let args = [
            "build",
            "--iso",
            "in.iso",
            "--site",
            "site.toml",
            "--firstboot",
            "cias-firstboot",
            "--out",
            out,
        ];
        self.run(&[&args, more].concat())
    }

    fn built(&self) -> Image {
        let output = self.build("out.iso", &[]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        Image::open(&self.path().join("out.iso")).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries =
            fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap()
    }
}

fn read(image: &Image, path: &str) -> Vec<u8> {
    image.read(image.get(path).unwrap_or_else(|| panic!("no {path}")), 1 << 24).unwrap()
}

/// It ends with this code, says this, and leaves nothing behind.
fn refused(bench: &Bench, output: &Output, code: i32, wanted: &str, before: &[String]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(wanted), "wanted {wanted:?} in {error}");
    assert_eq!(bench.names(), before, "something was left behind");
}

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
fn two_builds_give_the_same_bytes_wherever_and_however_they_run() {
    let bench = Bench::new();
    bench.built();
    fs::create_dir(bench.path().join("elsewhere")).unwrap();
    let line = format!(
        "umask 077; TZ=Asia/Tokyo exec {} build --iso ../in.iso --site ../site.toml --firstboot ../cias-firstboot --out again.iso",
        env!("CARGO_BIN_EXE_cias-builder")
    );
    // Another second, so that a date taken from the clock would show.
    let start = std::time::SystemTime::now();
    while start.elapsed().unwrap().as_millis() < 1100 {
        std::thread::yield_now();
    }
    let output =
        Command::new("sh").args(["-c", &line]).current_dir(bench.path().join("elsewhere")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(bench.bytes("out.iso") == bench.bytes("elsewhere/again.iso"));
}

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

/// xorriso waits for us in front of its work, so that the signal comes at a known moment.
#[test]
fn ctrl_c_ends_with_130_and_leaves_nothing() {
    let bench = Bench::new();
    let tools = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\n[ \"$1\" = -version ] && exec /usr/bin/xorriso \"$@\"\n\
        echo x >\"$TOOLS/ready\"\nread -r go <\"$TOOLS/go\"\nexec /usr/bin/xorriso \"$@\"\n";
    common::put(tools.path(), "xorriso", 0o755, script.as_bytes());
    let fifos = Command::new("mkfifo").arg(tools.path().join("ready")).arg(tools.path().join("go")).status();
    assert!(fifos.unwrap().success());
    let before = bench.names();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let child = Command::new(env!("CARGO_BIN_EXE_cias-builder"))
        .args(["build", "--iso", "in.iso", "--site", "site.toml", "--firstboot", "cias-firstboot"])
        .args(["--out", "out.iso"])
        .env("PATH", path)
        .env("TOOLS", tools.path())
        .current_dir(bench.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(fs::read(tools.path().join("ready")).unwrap(), b"x\n");
    // The shell's own kill: a small Debian has no program of that name.
    let killed = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(killed.success());
    fs::write(tools.path().join("go"), "go\n").unwrap();
    refused(&bench, &child.wait_with_output().unwrap(), 130, "interrupted", &before);
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
