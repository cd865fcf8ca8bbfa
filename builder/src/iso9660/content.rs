//! The stored bytes of a file: one or several extents seen as one row of bytes.

use super::source::Source;
use super::{BLOCK, Extent, damaged};
use anyhow::{Context, Result};
use std::io::{ErrorKind, Read, Seek, SeekFrom};

/// Reads the stored bytes of a file. The extents were checked against the image when it was opened.
#[derive(Clone)]
pub struct Content<'a> {
    source: &'a dyn Source,
    extents: &'a [Extent],
    position: u64,
}

impl<'a> Content<'a> {
    pub(super) fn new(source: &'a dyn Source, extents: &'a [Extent]) -> Self {
        Self { source, extents, position: 0 }
    }

    /// Fills `buffer` from `offset` of the stored bytes.
    pub(super) fn fill_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut reader = Self { position: offset, ..self.clone() };
        let mut filled = 0;
        while filled < buffer.len() {
            match reader.read(&mut buffer[filled..]).context("reading a file of the image")? {
                0 => return Err(damaged("a compressed file is cut off")),
                count => filled += count,
            }
        }
        Ok(())
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut before = 0;
        for extent in self.extents {
            let inside = self.position - before;
            if inside < extent.bytes {
                let count = buffer.len().min(usize::try_from(extent.bytes - inside).unwrap_or(usize::MAX));
                let offset = u64::from(extent.block) * BLOCK + inside;
                self.source.fill(&mut buffer[..count], offset)?;
                self.position += count as u64;
                return Ok(count);
            }
            before += extent.bytes;
        }
        Ok(0)
    }
}

impl Seek for Content<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let end = self.extents.iter().map(|extent| extent.bytes).sum();
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(step) => self.position.checked_add_signed(step),
            SeekFrom::End(step) => u64::checked_add_signed(end, step),
        };
        self.position = position.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
