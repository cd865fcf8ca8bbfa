//! What is done with one input of each kind: by the fuzzer, and by the test that replays what the fuzzer found. Nothing here
//! may panic, go on for ever, or ask for memory that the input does not justify.

use std::io::Read;

use cias_builder::iso9660::{Image, Kind};
use cias_builder::{deb, family, probes};
use cias_firstboot::status::Status;
use cias_firstboot::{journal, site};

/// So much of each file is read, in bytes: more says nothing new of a reader.
const PIECE: u64 = 1 << 16;

/// An image: its tree, what every file holds, its family and what the probes say.
pub fn iso(bytes: &[u8]) {
    let Ok(image) = Image::from_source(Box::new(bytes.to_vec())) else { return };
    for entry in image.entries() {
        // The rest of the program joins paths of entries with folders of this machine.
        assert!(
            entry.path.starts_with('/') && !entry.path.split('/').any(|part| part == ".."),
            "{}",
            entry.path
        );
        assert!(!entry.path.contains('\0'), "{:?}", entry.path);
        if let (Kind::File, Ok(reader)) = (&entry.kind, image.reader(entry)) {
            let _ = reader.take(PIECE).read_to_end(&mut Vec::new());
        }
        let _ = image.resolve(&entry.path);
    }
    let _ = family::detect(&image);
    let _ = probes::survey(&image);
}

/// A package: its members and its control paragraph, whole and read from the start.
pub fn deb(bytes: &[u8]) {
    let _ = deb::read::control("fuzzed.deb", bytes);
    let _ = deb::read::control_of("fuzzed.deb", bytes);
}

/// A site file; each finding stands in a line that there is, on one line of its own, and nothing in it drives a terminal.
pub fn site(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = text.matches('\n').count() + 1;
    for finding in site::from_text(text).err().unwrap_or_default() {
        assert!((1..=lines).contains(&finding.line), "{finding} in {lines} lines");
        assert!(!finding.to_string().contains(char::is_control), "{finding:?}");
    }
}

/// A journal, and the status that it gives.
pub fn journal(bytes: &[u8]) {
    if let Ok(state) = journal::parse(bytes) {
        let _ = Status::of(&state, false).to_string();
    }
}
