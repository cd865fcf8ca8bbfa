//! Where the bytes of an image come from, and the reads that can't go wrong quietly.

use super::damaged;
use anyhow::{Context, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes that can be read at any offset.
pub trait Source {
    /// Length in bytes.
    fn size(&self) -> u64;
    /// Fills `buffer` from `offset`. The range was checked against [`Source::size`] before.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()>;
}

/// An image file. Its length is taken once, so that a file which shrinks meanwhile is a read error.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    size: u64,
}

impl FileSource {
    /// Takes over an open file.
    pub fn new(file: File) -> Result<Self> {
        let size = file.metadata().context("finding the length of the image")?.len();
        Ok(Self { file, size })
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }
    fn fill(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }
    fn fill(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| std::io::ErrorKind::UnexpectedEof)?;
        let range = start
            .checked_add(buffer.len())
            .and_then(|end| self.get(start..end))
            .ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(range);
        Ok(())
    }
}

/// Fails unless `bytes` bytes at `offset` are inside the image. `what` names the thing for the reader.
pub fn check_range(source: &dyn Source, offset: u64, bytes: u64, what: &str) -> Result<()> {
    let size = source.size();
    if offset.checked_add(bytes).is_none_or(|end| end > size) {
        return Err(damaged(&format!(
            "{what} lies at byte {offset} with {bytes} bytes, but the image ends at byte {size}"
        )));
    }
    Ok(())
}

/// Reads `bytes` bytes at `offset`; allocates only after the range was found to exist and to be at most
/// `limit` bytes.
pub fn read_range(source: &dyn Source, offset: u64, bytes: u64, limit: u64, what: &str) -> Result<Vec<u8>> {
    check_range(source, offset, bytes, what)?;
    if bytes > limit {
        return Err(damaged(&format!("{what} has {bytes} bytes, more than the {limit} that make sense")));
    }
    let mut buffer = vec![0; usize::try_from(bytes).context("sizing a buffer")?];
    source.fill(&mut buffer, offset).with_context(|| format!("reading {what}"))?;
    Ok(buffer)
}

/// Little-endian u16 at `at`, if it is there.
pub fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Little-endian u32 at `at`, if it is there. ISO 9660 stores most numbers twice, little-endian first.
pub fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
