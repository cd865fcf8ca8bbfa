//! The reader against images that xorriso made, whole and broken.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use cias_builder::iso9660::{BLOCK, Entry, Image, Kind};
use cias_firstboot::outcome::Class;
use std::fs;
use std::io::Read;

fn image() -> (tempfile::TempDir, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let bytes = fs::read(common::live_root(directory.path())).unwrap();
    (directory, bytes)
}

fn open(bytes: &[u8]) -> anyhow::Result<Image> {
    Image::from_source(Box::new(bytes.to_vec()))
}

#[test]
fn descriptors_and_boot_catalog_are_read() {
    let (_directory, bytes) = image();
    let image = open(&bytes).unwrap();
    let volume = image.volume();
    assert_eq!(volume.label, "PVE");
    assert!(image.rock_ridge() && volume.joliet);
    assert!(u64::from(volume.blocks) * 2048 <= bytes.len() as u64);
    let boot = volume.boot.as_ref().unwrap();
    let isolinux = image.get("/boot/isolinux/isolinux.bin").unwrap();
    assert_eq!(boot.images.len(), 1);
    assert!(boot.images[0].bootable);
    assert_eq!((boot.images[0].platform, boot.images[0].media), (0, 0));
    assert_eq!(boot.images[0].block, isolinux.extents[0].block);
}

#[test]
fn every_file_reads_as_it_was_put_in() {
    let (directory, bytes) = image();
    let image = open(&bytes).unwrap();
    let tree = directory.path().join("tree");
    let mut compressed = 0;
    let mut files = 0;
    for entry in image.entries().filter(|entry| entry.kind == Kind::File) {
        // Both are rewritten by xorriso: boot information table and boot catalog.
        if entry.path.ends_with("/isolinux.bin") || entry.path.ends_with("/boot.cat") {
            continue;
        }
        let wanted = fs::read(tree.join(&entry.path[1..])).unwrap();
        assert_eq!(image.read(entry, 1 << 24).unwrap(), wanted, "{}", entry.path);
        files += 1;
        compressed += usize::from(entry.zisofs.is_some());
    }
    assert!(files > 15 && compressed >= 2, "{files} files, {compressed} compressed");
    let large = image.get("/usr/share/large").unwrap();
    assert!(large.stored_size() < large.size() / 10);
    let mut magic = [0; 8];
    image.stored(large).read_exact(&mut magic).unwrap();
    assert_eq!(magic, cias_builder::iso9660::ZISOFS_MAGIC);
}

#[test]
fn modes_links_and_directories_are_as_in_the_tree() {
    let (_directory, bytes) = image();
    let image = open(&bytes).unwrap();
    assert_eq!(image.get("/sbin/unconfigured.sh").unwrap().mode, 0o755);
    assert_eq!(image.get("/debian").unwrap().kind, Kind::Link(".".into()));
    assert_eq!(image.resolve("/debian/debian/sbin/perl").unwrap().path, "/usr/bin/perl");
    assert!(image.resolve("/debian/nothing").is_none());
    let names: Vec<_> = image.children("/proxmox").map(Entry::name).collect();
    assert_eq!(names, ["country.dat", "packages", "pve-base.cnt", "pve-base.tar"]);
    assert_eq!(image.children("/target").count(), 0);
    assert!(image.children("/").any(|entry| entry.path == "/boot"));
}

#[test]
fn a_truncated_image_is_refused_as_bad_input() {
    let (_directory, bytes) = image();
    for length in [0, 1, 2048, 32 * 1024, 34 * 1024 + 5, 60 * 1024, bytes.len() / 2, 1_000_000] {
        let Err(error) = open(&bytes[..length]) else {
            panic!("an image cut at {length} was accepted");
        };
        assert_eq!(Class::of(&error), Class::BadInput, "{error:#}");
        assert!(format!("{error:#}").contains("damaged"), "{error:#}");
    }
}

/// A small generator with a fixed start, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % sides
    }
}

/// Flips bytes where the structure is (descriptors, directories, file headers) and reads everything. Nothing
/// may panic; the time limit of the test run catches an endless loop.
#[test]
fn no_broken_image_makes_the_reader_panic() {
    let (_directory, bytes) = image();
    let whole = open(&bytes).unwrap();
    let blocks: Vec<u64> = (16..20)
        .chain(whole.entries().flat_map(|entry| &entry.extents).map(|extent| extent.block.into()))
        .collect();
    let (mut opened, mut refused) = (0, 0);
    for seed in 1..=800 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (seed << 20));
        let mut broken = bytes.clone();
        for _ in 0..=dice.roll(12) {
            let block = usize::try_from(blocks[dice.roll(blocks.len())] * BLOCK).unwrap();
            let at = block + dice.roll(400);
            broken[at] = [0, 1, 0x7F, 0xFF, u8::try_from(dice.roll(256)).unwrap()][dice.roll(5)];
        }
        match open(&broken) {
            Ok(image) => {
                opened += 1;
                for entry in image.entries() {
                    let _ = image.resolve(&entry.path);
                    let _ = image.read(entry, 1 << 20);
                }
            }
            Err(error) => {
                refused += 1;
                assert_eq!(Class::of(&error), Class::BadInput, "seed {seed}: {error:#}");
            }
        }
    }
    assert!(opened > 100 && refused > 40, "{opened} opened, {refused} refused");
}

/// Directory records whose lengths and places are extreme.
#[test]
fn a_directory_that_contains_itself_ends() {
    let (_directory, mut bytes) = image();
    let image = open(&bytes).unwrap();
    let root = image.volume().root.0;
    let target = image.get("/target").unwrap().extents[0].block;
    // Make every record that points to /target point to the root.
    let mut changed = 0;
    for at in 0..bytes.len() - 8 {
        if bytes[at..at + 4] == target.to_le_bytes() && bytes[at + 4..at + 8] == target.to_be_bytes() {
            bytes[at..at + 4].copy_from_slice(&root.to_le_bytes());
            changed += 1;
        }
    }
    assert!(changed > 0);
    let error = format!("{:#}", open(&bytes).err().expect("a loop must be refused"));
    assert!(error.contains("contains itself"), "{error}");
}
