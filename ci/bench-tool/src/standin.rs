//! A stand-in for the vendor's image: its size and shape, with made-up content that does not compress.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_builder::copy::{self, hash_bytes};
use cias_builder::progress::Progress;
use cias_firstboot::files;
use cias_firstboot::interrupt::Interrupt;

use crate::vendor;

/// Part of the cache's key, with the source of the vendor's look: change it when the content changes.
const RECIPE: &str = "3: 250 packages of 1 MB, base system of 300 MB, 6000 compressed files of 14 KB";

/// A finished image.
#[derive(Clone, Debug)]
pub struct Standin {
    /// Where it is.
    pub iso: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// The image, made once below `work`.
pub fn make(work: &Path) -> Result<Standin> {
    let key = hash_bytes(format!("{RECIPE}\n{}", vendor::SOURCE).as_bytes());
    let iso = work.join(format!("vendor-{}.iso", &key[..16]));
    if !iso.exists() {
        eprintln!("bench: making a stand-in of the vendor's image, {}", iso.display());
        let folder = tempfile::tempdir_in(work).context("making a folder for the image's tree")?;
        let tree = folder.path().join("tree");
        vendor::common::live_root_tree(&tree);
        fill(&tree)?;
        let made = vendor::common::master(folder.path(), &tree);
        fs::File::open(&made).and_then(|file| file.sync_all()).context("syncing the image")?;
        fs::rename(&made, &iso).with_context(|| format!("moving the image to {}", iso.display()))?;
    }
    let mut file = fs::File::open(&iso).with_context(|| format!("reading {}", iso.display()))?;
    let mut phase = Progress::new().phase("hash", 0);
    let (sha256, bytes) = copy::hash(&mut file, &Interrupt::default(), &mut phase)?;
    Ok(Standin { iso, bytes, sha256 })
}

/// Brings the tree to the size of the vendor's.
fn fill(tree: &Path) -> Result<()> {
    let mut noise = Noise(0x0C1A_5000);
    let packages = tree.join("proxmox/packages");
    for number in 0..250 {
        let name = format!("filler-{number}");
        let mut deb = vendor::common::deb(&name, "1.0");
        // dpkg skips members whose names begin with "_"; see deb(5).
        let bytes = noise.bytes(1_000_000);
        deb.extend(
            format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "_noise", 0, 0, 0, 100_644, bytes.len()).bytes(),
        );
        deb.extend(bytes);
        put(&packages.join(format!("{name}_1.0_amd64.deb")), &deb)?;
    }
    for number in 0..6000 {
        put(&tree.join(format!("usr/lib/noise/{:02}/{number}", number / 100)), &noise.bytes(14_000))?;
    }
    base(&tree.join("proxmox/pve-base.tar"), &mut noise)
}

/// The base system with its package list behind 300 MB of files: the worst order for whoever looks for it.
fn base(path: &Path, noise: &mut Noise) -> Result<()> {
    let small = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let file = fs::File::create(path).with_context(|| format!("writing {}", path.display()))?;
    let mut archive = tar::Builder::new(file);
    let writing = || format!("writing {}", path.display());
    for number in 0..3000 {
        let mut header = tar::Header::new_gnu();
        header.set_size(100_000);
        header.set_mode(0o644);
        let bytes = noise.bytes(100_000);
        archive
            .append_data(&mut header, format!("./usr/lib/noise-{number}"), &*bytes)
            .with_context(writing)?;
    }
    let mut old = tar::Archive::new(&*small);
    for entry in old.entries().with_context(writing)? {
        let entry = entry.with_context(writing)?;
        let header = entry.header().clone();
        archive.append(&header, entry).with_context(writing)?;
    }
    archive.finish().with_context(writing)
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        files::make_folder(folder, 0o755)?;
    }
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// Bytes that look random and are always the same: splitmix64 (Steele, Lea and Flood, 2014).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bytes.extend((word ^ (word >> 31)).to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
