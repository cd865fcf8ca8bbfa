//! zisofs (version 1): files stored as zlib blocks, which the kernel unpacks on read and boot loaders do not.

use super::content::Content;
use super::damaged;
use super::source::le32;
use anyhow::Result;
use std::io::Read;

/// First bytes of a zisofs file. Source: zisofs-tools, linux/fs/isofs/compress.c.
pub const MAGIC: [u8; 8] = [0x37, 0xE4, 0x53, 0x96, 0xC9, 0xDB, 0xD6, 0x07];
/// Bytes of the file header before the block table.
const HEADER: u64 = 16;

/// Parameters from a `ZF` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zisofs {
    /// log2 of the block size: 15, 16 or 17.
    pub block_log2: u8,
    /// Unpacked length in bytes.
    pub size: u32,
}

impl Zisofs {
    /// The parameters, or nothing if the entry is of a kind that Linux 2.6.32 would not unpack either.
    pub fn from_entry(entry: &[u8]) -> Option<Self> {
        let block_log2 = *entry.get(7)?;
        let usable = entry.get(4..6) == Some(b"pz") && entry.get(6) == Some(&4);
        (usable && (15..=17).contains(&block_log2)).then_some(Self { block_log2, size: le32(entry, 8)? })
    }
}

/// Unpacks a zisofs file block by block; holds one block at a time.
pub struct Unpack<'a> {
    content: Content<'a>,
    parameters: Zisofs,
    block: u64,
    plain: Vec<u8>,
    used: usize,
}

impl<'a> Unpack<'a> {
    /// Checks the header of the stored bytes.
    pub fn new(content: Content<'a>, parameters: Zisofs) -> Result<Self> {
        let mut header = [0; 16];
        content.fill_at(&mut header, 0)?;
        if header[..8] != MAGIC
            || le32(&header, 8) != Some(parameters.size)
            || header[12] != 4
            || header[13] != parameters.block_log2
        {
            return Err(damaged("the header of a zisofs file contradicts its ZF entry"));
        }
        Ok(Self { content, parameters, block: 0, plain: Vec::new(), used: 0 })
    }

    /// Unpacks the next block; false at the end.
    fn advance(&mut self) -> Result<bool> {
        let block_size = 1_u64 << self.parameters.block_log2;
        let done = self.block * block_size;
        let left = u64::from(self.parameters.size).saturating_sub(done);
        if left == 0 {
            return Ok(false);
        }
        let mut pointers = [0; 8];
        self.content.fill_at(&mut pointers, HEADER + self.block * 4)?;
        let start = u64::from(le32(&pointers, 0).unwrap_or_default());
        let end = u64::from(le32(&pointers, 4).unwrap_or_default());
        // A packed block is never much longer than a plain one.
        let Some(length) = end.checked_sub(start).filter(|&length| length <= 2 * block_size) else {
            return Err(damaged("a zisofs block table runs backwards or jumps"));
        };
        let wanted = usize::try_from(left.min(block_size))?;
        self.plain.clear();
        self.plain.resize(wanted, 0);
        self.used = 0;
        self.block += 1;
        // No stored bytes: a block of zeros.
        if length > 0 {
            let mut packed = vec![0; usize::try_from(length)?];
            self.content.fill_at(&mut packed, start)?;
            flate2::read::ZlibDecoder::new(packed.as_slice())
                .read_exact(&mut self.plain)
                .map_err(|error| damaged(&format!("a zisofs block does not unpack: {error}")))?;
        }
        Ok(true)
    }
}

impl Read for Unpack<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.used == self.plain.len() && !self.advance().map_err(std::io::Error::other)? {
            return Ok(0);
        }
        let rest = &self.plain[self.used..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.used += count;
        Ok(count)
    }
}
