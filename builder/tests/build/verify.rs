//! `inspect --verify`: whatever is changed on a built image is found and named.

use std::cell::Cell;
use std::fs;
use std::process::{Command, Output};
use std::rc::Rc;

use cias_builder::audit;
use cias_builder::iso9660::{BLOCK, Entry, Image, Kind, Source};
use cias_builder::progress::Progress;
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::Class;
use cias_firstboot::region;

use crate::bench::{Bench, HASH};

/// The bytes of the built image, and the image.
fn built() -> (Bench, Vec<u8>, Image) {
    let bench = Bench::new();
    let image = bench.built();
    let bytes = bench.bytes("out.iso");
    (bench, bytes, image)
}

fn audit_bytes(bytes: Vec<u8>) -> Result<audit::Report, anyhow::Error> {
    audit::audit_source(Rc::new(bytes), None, Progress::new(), &Interrupt::default())
}

/// The image with one bit of a file flipped, at `at` of its stored bytes.
fn flipped(bytes: &[u8], entry: &Entry, at: u64) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let place = u64::from(entry.extents[0].block) * BLOCK + at;
    changed[usize::try_from(place).unwrap()] ^= 1;
    changed
}

fn found(bytes: Vec<u8>, wanted: &str) {
    let error = audit_bytes(bytes).map(|_| ()).expect_err(wanted);
    let text = format!("{error:#}");
    assert_eq!(Class::of(&error), Class::BadInput, "{text}");
    assert!(text.contains(wanted), "wanted {wanted} in: {text}");
    assert!(!text.contains('\n'), "more than one line: {text}");
}

fn says(output: &Output, code: i32, wanted: &str) {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(wanted), "wanted {wanted:?} in: {text}");
}

#[test]
fn one_flipped_bit_in_any_added_file_is_found_and_the_file_is_named() {
    let (bench, bytes, image) = built();
    let manifest: serde_json::Value =
        serde_json::from_slice(&crate::bench::read(&image, "/cias/manifest.json")).unwrap();
    let mut paths: Vec<String> = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect();
    paths.push("/cias/manifest.json".into());
    // The list of what was added is not taken from the builder alone.
    let source = Image::open(&bench.path().join("in.iso")).unwrap();
    let moved = |path: &str| path.ends_with(".vendor");
    for entry in image.entries().filter(|entry| entry.kind == Kind::File && !moved(&entry.path)) {
        let new = source.get(&entry.path).is_none_or(|old| old.extents != entry.extents);
        let rewritten = entry.path.starts_with("/boot/isolinux/") && source.get(&entry.path).is_some();
        assert!(!new || rewritten || paths.contains(&entry.path), "{} is not in the manifest", entry.path);
    }
    for path in &paths {
        let entry = image.get(path).unwrap();
        // A file without bytes can't change: it is missing or it is there.
        for at in
            [0, entry.size() / 2, entry.size().saturating_sub(1)].iter().filter(|at| **at < entry.size())
        {
            found(flipped(&bytes, entry, *at), path);
        }
    }
}

#[test]
fn one_flipped_bit_in_any_of_the_vendors_files_is_found_and_the_file_is_named() {
    let (bench, bytes, image) = built();
    let source = Image::open(&bench.path().join("in.iso")).unwrap();
    let mut count = 0;
    for old in source.entries().filter(|entry| entry.kind == Kind::File && entry.size() > 0) {
        // The loader and its catalog are rewritten, with places in them, so that the source's hash does not help.
        let vendor = format!("{}.vendor", old.path);
        let new = image.get(&vendor).or_else(|| image.get(&old.path)).unwrap();
        let step =
            if old.path.contains("/isolinux.bin") || old.path.contains("/boot.cat") { 1 } else { 4096 };
        for at in (0..64).step_by(step).chain([new.stored_size() - 1]) {
            // A catalog that is none is found by the reader already, which does not know its name.
            let wanted = if old.path.ends_with("/boot.cat") && at < 33 { "boot" } else { &new.path };
            found(flipped(&bytes, new, at.min(new.stored_size() - 1)), wanted);
        }
        count += 1;
    }
    assert!(count > 15, "only {count} files");
}

#[test]
fn every_flipped_bit_of_the_sites_region_is_found() {
    let (_bench, bytes, image) = built();
    let entry = image.get(region::PATH).unwrap();
    let size = region::SIZE as u64;
    for at in (0..40).chain((40..size).step_by(5003)).chain(size - 32..size) {
        found(flipped(&bytes, entry, at), region::PATH);
    }
}

#[test]
fn a_changed_boot_record_mode_or_name_is_found() {
    let (_bench, bytes, image) = built();
    let loader = image.get("/boot/isolinux/isolinux.bin").unwrap().extents[0].block;
    let mut changed = bytes.clone();
    changed[432] ^= 1;
    found(changed, "MBR");
    let mut changed = bytes.clone();
    let catalog = usize::try_from(u64::from(image.volume().boot.as_ref().unwrap().block) * BLOCK).unwrap();
    assert_eq!(changed[catalog + 40..catalog + 44], loader.to_le_bytes());
    changed[catalog + 40] ^= 1;
    found(changed, "");
    // Its name and its mode in the directory: Rock Ridge's NM and PX entries.
    let name = b"unconfigured.sh";
    let end = bytes.windows(name.len()).rposition(|window| window == name).unwrap();
    let mut changed = bytes.clone();
    changed[end] ^= 1;
    found(changed, "/sbin/tnconfigured.sh is on the new image but not on the old one");
    let px = bytes[..end].windows(4).rposition(|window| window == b"PX\x24\x01" || window == b"PX\x2c\x01");
    let mut changed = bytes;
    changed[px.unwrap() + 4] ^= 0o22;
    found(changed, "unconfigured.sh");
}

#[test]
fn an_intact_image_passes_with_its_site_and_no_other() {
    let (bench, bytes, _image) = built();
    let line = bench.run(&["inspect", "--verify", "out.iso", "--site", "site.toml"]);
    says(&line, 0, "out.iso: intact, build ");
    let json = bench.run(&["inspect", "--verify", "--json", "out.iso"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["build_id"].as_str().unwrap().len(), 16);
    let args = ["init", "--force", "--mail", "a@example.com", "--accept-eula", "--password-hash", HASH];
    assert!(bench.run(&args).status.success());
    says(&bench.run(&["inspect", "--verify", "out.iso", "--site", "site.toml"]), 3, "another site");
    says(&bench.run(&["inspect", "--verify", "in.iso"]), 3, "wanted one that cias-builder has built");
    says(&bench.run(&["inspect", "in.iso", "--site", "site.toml"]), 2, "--verify");
    says(&bench.run(&["inspect", "--verify", "none.iso"]), 3, "none.iso can't be opened");
    fs::write(bench.path().join("out.iso"), &bytes[..bytes.len() * 3 / 4]).unwrap();
    says(&bench.run(&["inspect", "--verify", "out.iso"]), 3, "out.iso");
    fs::write(bench.path().join("out.iso"), flipped_middle(&bytes)).unwrap();
    says(&bench.run(&["inspect", "--verify", "out.iso"]), 3, "/usr/share/large was changed after the build");
}

/// A bit in the middle of the vendor's largest file.
fn flipped_middle(bytes: &[u8]) -> Vec<u8> {
    let image = Image::from_source(Box::new(bytes.to_vec())).unwrap();
    let entry = image.get("/usr/share/large").unwrap();
    flipped(bytes, entry, entry.stored_size() / 2)
}

/// Counts what is read.
struct Counted {
    bytes: Vec<u8>,
    read: Rc<Cell<usize>>,
}

impl Source for Counted {
    fn size(&self) -> u64 {
        self.bytes.size()
    }
    fn fill(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.read.set(self.read.get() + buffer.len());
        self.bytes.fill(buffer, offset)
    }
}

#[test]
fn the_image_is_read_once() {
    let (_bench, bytes, image) = built();
    let (size, read) = (bytes.len(), Rc::new(Cell::new(0)));
    let source = Rc::new(Counted { bytes, read: Rc::clone(&read) });
    audit::audit_source(source, None, Progress::new(), &Interrupt::default()).unwrap();
    // Read twice: both directory trees, the boot loader, and what is kept of the vendor's head and tail.
    let kept = image.get("/cias/vendor-sectors.bin").unwrap().size() + (512 << 10);
    let most = size + usize::try_from(kept).unwrap();
    assert!(read.get() <= most, "{} bytes were read of {size}", read.get());
}

/// The seal, made and found by other programs: xorriso says where the region lies, openssl what its seal is.
#[test]
fn the_region_is_sealed_where_its_readers_look() {
    let (bench, bytes, image) = built();
    let xorriso = Command::new("xorriso")
        .args(["-report_about", "SORRY", "-indev"])
        .arg(bench.path().join("out.iso"))
        .args(["-find", region::PATH, "-exec", "report_lba", "--"])
        .output()
        .unwrap();
    let report = String::from_utf8(xorriso.stdout).unwrap();
    let numbers: Vec<usize> = report
        .lines()
        .filter(|line| line.starts_with("File data lba:"))
        .flat_map(|line| line.split([':', ',']).skip(2).take(3))
        .map(|number| number.trim().parse().unwrap())
        .collect();
    let [start, blocks, size] = numbers[..] else { panic!("{report}") };
    assert_eq!((blocks, size), (128, 256 << 10));
    let region = &bytes[start * 2048..start * 2048 + size];
    assert!(region.starts_with(b"CIAS-SITE-v1\n\0\0\0"));
    let payload = region::decode(region).unwrap();
    let key = payload.site().unwrap().secrets.key;
    let hmac = |key: &str, message: &[u8]| {
        fs::write(bench.path().join("message"), message).unwrap();
        let output = Command::new("openssl")
            .args(["dgst", "-sha256", "-r", "-mac", "HMAC", "-macopt", &format!("hexkey:{key}"), "message"])
            .current_dir(bench.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
    };
    let derived = hmac(&key, b"cias site region");
    assert_eq!(hmac(&derived, &region[..size - 32]), cias_builder::copy::hex(&region[size - 32..]));
    let manifest = crate::bench::read(&image, "/cias/manifest.json");
    assert_eq!(payload.manifest_sha256, cias_builder::copy::hash_bytes(&manifest));
}
