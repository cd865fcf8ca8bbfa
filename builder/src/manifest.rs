//! `/cias/manifest.json`: what was built from what. It holds no secret and no hash of one.

use crate::copy::hash_bytes;
use crate::plan::{Plan, Range};
use anyhow::{Context, Result};
use cias_firstboot::region;
use serde::Serialize;

/// Where it lies.
pub const PATH: &str = "/cias/manifest.json";
/// Where the overwritten bytes of the source are kept, range after range.
pub const VENDOR_SECTORS: &str = "/cias/vendor-sectors.bin";
/// Raised when a reader of an older version could misread the file.
const FORMAT: u32 = 1;

/// The file.
#[derive(Debug, Serialize)]
pub struct Manifest<'a> {
    /// Version of this format.
    pub format: u32,
    /// The program that wrote it.
    pub builder: String,
    /// What the programs that it called say of themselves.
    pub tools: Tools<'a>,
    /// The vendor's image.
    pub source: Source<'a>,
    /// Files added; those that hold secrets without hash.
    pub files: Vec<FileRecord<'a>>,
    /// Originals moved aside.
    pub moved: Vec<MovedRecord<'a>>,
    /// Which bytes of the source stand in [`VENDOR_SECTORS`], in this order.
    pub vendor_sectors: &'a [Range],
}

/// The programs that made parts of the image.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tools<'a> {
    /// It grew the image.
    pub xorriso: &'a str,
    /// It made the guard.
    pub grub: &'a str,
}

/// The vendor's image.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Source<'a> {
    /// SHA-256 of the whole image.
    pub sha256: &'a str,
    /// Its length.
    pub bytes: u64,
    /// Its volume label.
    pub label: &'a str,
    /// Name of the known installer on it, or nothing.
    pub installer: Option<&'a str>,
    /// Version of its kernel.
    pub kernel: &'a str,
}

/// An added file.
#[derive(Debug, Serialize)]
pub struct FileRecord<'a> {
    path: &'a str,
    mode: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// A moved file.
#[derive(Debug, Serialize)]
pub struct MovedRecord<'a> {
    from: &'a str,
    to: &'a str,
}

impl<'a> Manifest<'a> {
    /// Describes `plan`, to which the site region is yet to be added.
    pub fn new(source: Source<'a>, tools: Tools<'a>, plan: &'a Plan, vendor_sectors: &'a [Range]) -> Self {
        let mut files: Vec<_> = plan
            .added
            .iter()
            .map(|added| FileRecord {
                path: &added.path,
                mode: format!("{:04o}", added.mode),
                bytes: added.bytes.len() as u64,
                sha256: Some(hash_bytes(&added.bytes)),
            })
            .collect();
        // Its content is secret; where it lies, the image's own tree says.
        files.push(FileRecord {
            path: region::PATH,
            mode: "0600".into(),
            bytes: region::SIZE as u64,
            sha256: None,
        });
        Self {
            format: FORMAT,
            builder: concat!("cias-builder ", env!("CARGO_PKG_VERSION")).into(),
            tools,
            source,
            files,
            moved: plan.moved.iter().map(|moved| MovedRecord { from: &moved.from, to: &moved.to }).collect(),
            vendor_sectors,
        }
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).context("writing the manifest")?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// The name of a build: 16 hex digits that only a holder of the site key can make from the manifest.
pub fn build_id(site_key: &str, manifest: &[u8]) -> Result<String> {
    let hash = region::keyed_hash(site_key, "cias build id", manifest)?;
    Ok(crate::copy::hex(&hash[..8]))
}
