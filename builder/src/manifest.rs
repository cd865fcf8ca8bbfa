//! `/cias/manifest.json`: what was built from what. It holds no secret and no hash of one.

use crate::copy::hash_bytes;
use crate::plan::{Moved, Plan, Range};
use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use cias_firstboot::region;
use serde::{Deserialize, Serialize};

/// Where it lies.
pub const PATH: &str = "/cias/manifest.json";
/// Where the overwritten bytes of the source are kept, range after range.
pub const VENDOR_SECTORS: &str = "/cias/vendor-sectors.bin";
/// Raised when a reader of an older version could misread the file.
const FORMAT: u32 = 1;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// The program that wrote it.
    pub builder: String,
    /// What the programs that it called say of themselves.
    pub tools: Tools,
    /// The vendor's image.
    pub source: Source,
    /// Files added; those that hold secrets without hash.
    pub files: Vec<FileRecord>,
    /// Originals moved aside.
    pub moved: Vec<MovedRecord>,
    /// Which bytes of the source stand in [`VENDOR_SECTORS`], in this order.
    pub vendor_sectors: Vec<Range>,
}

/// The programs that made parts of the image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tools {
    /// It grew the image.
    pub xorriso: String,
    /// It made the guard.
    pub grub: String,
}

/// The vendor's image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// SHA-256 of the whole image.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Its volume label.
    pub label: String,
    /// Name of the known installer on it, or nothing.
    pub installer: Option<String>,
    /// Version of its kernel.
    pub kernel: String,
}

/// An added file.
#[derive(Debug, Serialize, Deserialize)]
pub struct FileRecord {
    /// Absolute path on the image.
    pub path: String,
    /// Permission bits, four octal digits.
    pub mode: String,
    /// Length.
    pub bytes: u64,
    /// SHA-256 of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A moved file.
#[derive(Debug, Serialize, Deserialize)]
pub struct MovedRecord {
    /// Where it was.
    pub from: String,
    /// Where it is.
    pub to: String,
}

impl Manifest {
    /// Describes `plan`, to which the site region is yet to be added.
    pub fn new(source: &Source, tools: &Tools, plan: &Plan, vendor_sectors: &[Range]) -> Self {
        let mut files: Vec<_> = plan
            .added
            .iter()
            .map(|added| FileRecord {
                path: added.path.clone(),
                mode: format!("{:04o}", added.mode),
                bytes: added.bytes.len() as u64,
                sha256: Some(hash_bytes(&added.bytes)),
            })
            .collect();
        let moved = |moved: &Moved| MovedRecord { from: moved.from.clone(), to: moved.to.clone() };
        // Its content is secret; where it lies, the image's own tree says.
        files.push(FileRecord {
            path: region::PATH.into(),
            mode: "0600".into(),
            bytes: region::SIZE as u64,
            sha256: None,
        });
        Self {
            format: FORMAT,
            builder: concat!("cias-builder ", env!("CARGO_PKG_VERSION")).into(),
            tools: tools.clone(),
            source: source.clone(),
            files,
            moved: plan.moved.iter().map(moved).collect(),
            vendor_sectors: vendor_sectors.to_vec(),
        }
    }

    /// Reads the file back; its bytes were compared with the seal before.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let other =
            || Class::BadInput.error(format!("{PATH} is of another version of cias-builder; use that one"));
        serde_json::from_slice(bytes).ok().filter(|found: &Self| found.format == FORMAT).ok_or_else(other)
    }

    /// The plan that the file describes, without contents.
    pub fn plan(&self) -> Result<Plan> {
        let mut plan = Plan::default();
        for file in &self.files {
            let mode = u32::from_str_radix(&file.mode, 8)
                .with_context(|| format!("reading the mode of {}", file.path))?;
            plan.add(&file.path, mode, Vec::new());
        }
        plan.add(PATH, 0o644, Vec::new());
        plan.moved =
            self.moved.iter().map(|moved| Moved { from: moved.from.clone(), to: moved.to.clone() }).collect();
        Ok(plan)
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
