//! The vendor's image as it was, seen through an image that was made from it.
//!
//! A build overwrites the head and the tail of the source and keeps their bytes in a file; all else is still there.

use crate::iso9660::Source;
use crate::plan::Range;
use anyhow::{Context, Result, ensure};
use std::io::{Error, Read};
use std::rc::Rc;

/// A source of bytes that several images read.
#[derive(Clone)]
pub struct Shared(pub Rc<dyn Source>);

impl Source for Shared {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn fill(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.fill(buffer, offset)
    }
}

/// The vendor's image.
#[derive(Clone)]
pub struct Vendor {
    made: Shared,
    size: u64,
    kept: Rc<[(Range, Vec<u8>)]>,
}

impl Vendor {
    /// The image of `size` bytes from which `made` was made; `kept` are its bytes at `ranges`, one after the other.
    pub fn new(made: Shared, size: u64, ranges: &[Range], kept: &[u8]) -> Result<Self> {
        let mut rest = kept;
        let mut pieces = Vec::new();
        for range in ranges {
            let bytes = usize::try_from(range.bytes).context("sizing the kept bytes")?;
            let inside = range.offset.checked_add(range.bytes).is_some_and(|end| end <= size);
            ensure!(inside && bytes <= rest.len(), "the kept bytes do not fit the vendor's image");
            let (piece, behind) = rest.split_at(bytes);
            pieces.push((*range, piece.to_vec()));
            rest = behind;
        }
        ensure!(rest.is_empty(), "more bytes were kept than there are places for");
        let there = made.size().saturating_add(kept.len() as u64);
        ensure!(size <= there, "the image is smaller than the vendor's");
        Ok(Self { made, size, kept: pieces.into() })
    }
}

impl Source for Vendor {
    fn size(&self) -> u64 {
        self.size
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let place = |number: u64| usize::try_from(number).map_err(Error::other);
        // Behind the end of the made image there is only what was kept.
        let inside = place(self.made.size().saturating_sub(offset))?.min(buffer.len());
        self.made.fill(&mut buffer[..inside], offset)?;
        buffer[inside..].fill(0);
        let end = offset + buffer.len() as u64;
        for (range, bytes) in self.kept.iter() {
            let (from, to) = (range.offset.max(offset), (range.offset + range.bytes).min(end));
            if from < to {
                let at = place(from - range.offset)?;
                let target = &mut buffer[place(from - offset)?..place(to - offset)?];
                target.copy_from_slice(&bytes[at..at + target.len()]);
            }
        }
        Ok(())
    }
}

/// Reads a source from its first byte to its last.
pub struct Stream<'a> {
    source: &'a dyn Source,
    at: u64,
}

impl<'a> Stream<'a> {
    /// At the first byte.
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, at: 0 }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.source.size() - self.at).map_err(Error::other)?;
        let count = buffer.len().min(left);
        self.source.fill(&mut buffer[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendor(made: Vec<u8>, size: u64, ranges: &[(u64, u64)], kept: &[u8]) -> Result<Vendor> {
        let ranges: Vec<Range> =
            ranges.iter().map(|(offset, bytes)| Range { offset: *offset, bytes: *bytes }).collect();
        Vendor::new(Shared(Rc::new(made)), size, &ranges, kept)
    }

    #[test]
    fn what_was_overwritten_is_read_from_what_was_kept() {
        let made = b"..cdef..++++".to_vec();
        let vendor = vendor(made, 8, &[(0, 2), (6, 2)], b"abgh").unwrap();
        for step in 1..9 {
            let mut seen: Vec<u8> = Vec::new();
            let mut stream = Stream::new(&vendor);
            let mut buffer = vec![0; step];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                seen.extend(&buffer[..count]);
            }
            assert_eq!(seen, b"abcdefgh", "in steps of {step}");
        }
    }

    #[test]
    fn ranges_that_do_not_fit_are_refused() {
        for (size, ranges, kept) in
            [(8, &[(7, 2)][..], &b"gh"[..]), (8, &[(0, 2)], b"a"), (8, &[(0, 2)], b"abc"), (99, &[], b"")]
        {
            assert!(vendor(vec![0; 12], size, ranges, kept).is_err(), "{ranges:?}");
        }
        assert!(vendor(vec![0; 12], 8, &[(u64::MAX, 2)], b"ab").is_err());
    }
}
