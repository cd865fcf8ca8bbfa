//! A CRC-32 of every stretch of file data on the vendor's image, so that a changed original can be named.
//!
//! Whether the originals are what they were is said by the SHA-256 of the whole image. These sums only tell where it
//! is not, and cost little beside it.

use crate::iso9660::{BLOCK, Entry, Image, Kind};
use anyhow::{Context, Result};
use std::ops::Range;

/// Where they lie: four bytes each, little endian, in the order of the stretches on the image.
pub const PATH: &str = "/cias/vendor-sums.bin";

/// The bytes of an image that belong to files, as stretches in ascending order that don't overlap.
pub fn stretches(image: &Image) -> Result<Vec<Range<usize>>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    for entry in image.entries() {
        all.extend(places(entry).context("measuring the image")?);
    }
    all.sort_by_key(|stretch| (stretch.start, stretch.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for stretch in all {
        match merged.last_mut() {
            Some(last) if stretch.start < last.end => last.end = last.end.max(stretch.end),
            _ => merged.push(stretch),
        }
    }
    Ok(merged)
}

fn places(entry: &Entry) -> Result<Vec<Range<usize>>, std::num::TryFromIntError> {
    let extents = entry.extents.iter().filter(|extent| entry.kind == Kind::File && extent.bytes > 0);
    extents
        .map(|extent| {
            let start = u64::from(extent.block) * BLOCK;
            Ok(usize::try_from(start)?..usize::try_from(start + extent.bytes)?)
        })
        .collect()
}

/// Sums the stretches of an image that is shown to it from the first byte on.
#[derive(Debug)]
pub struct Sums {
    stretches: Vec<Range<usize>>,
    at: usize,
    current: crc32fast::Hasher,
    done: Vec<u32>,
}

impl Sums {
    /// Nothing was seen yet.
    pub fn new(stretches: Vec<Range<usize>>) -> Self {
        Self { stretches, at: 0, current: crc32fast::Hasher::new(), done: Vec::new() }
    }

    /// The next bytes of the image.
    pub fn update(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        while let Some(stretch) = self.stretches.get(self.done.len()).filter(|stretch| stretch.start < end) {
            let from = stretch.start.saturating_sub(self.at);
            self.current.update(&bytes[from..stretch.end.min(end) - self.at]);
            if stretch.end > end {
                break;
            }
            self.done.push(std::mem::take(&mut self.current).finalize());
        }
        self.at = end;
    }

    /// The content of [`PATH`], after the last byte.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.done.iter().flat_map(|sum| sum.to_le_bytes()).collect()
    }

    /// Paths of the files of `image` that lie where these sums are not those of `wanted`.
    pub fn changed<'a>(&self, image: &'a Image, wanted: &[u8]) -> Vec<&'a str> {
        let found = self.to_bytes();
        let (found, wanted) = (found.chunks(4), wanted.chunks(4));
        let stretches: Vec<&Range<usize>> = found
            .zip(wanted)
            .zip(&self.stretches)
            .filter_map(|((found, wanted), stretch)| (found != wanted).then_some(stretch))
            .collect();
        let touched = |place: &Range<usize>| {
            stretches.iter().any(|stretch| place.start < stretch.end && stretch.start < place.end)
        };
        let lies_there = |entry: &&Entry| places(entry).is_ok_and(|places| places.iter().any(touched));
        image.entries().filter(lies_there).map(|entry| entry.path.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_the_bytes_come_the_sums_are_those_of_the_stretches() {
        let bytes: Vec<u8> = (0..=255).collect();
        let stretches = vec![3..10, 10..11, 40..200, 250..256];
        let wanted: Vec<u8> = stretches
            .iter()
            .flat_map(|stretch| crc32fast::hash(&bytes[stretch.clone()]).to_le_bytes())
            .collect();
        for step in [1, 7, 64, 256] {
            let mut sums = Sums::new(stretches.clone());
            bytes.chunks(step).for_each(|chunk| sums.update(chunk));
            assert_eq!(sums.to_bytes(), wanted, "in steps of {step}");
        }
    }
}
