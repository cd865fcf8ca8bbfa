//! What is done with one input of each kind: by the fuzzer, and by the test that replays what the fuzzer found. Nothing here
//! may panic, go on for ever, or ask for memory that the input does not justify.

use std::io::Read;
use std::time::Duration;

use cias_builder::iso9660::{Image, Kind};
use cias_builder::{deb, family, probes};
use cias_firstboot::hello::frame::Codec;
use cias_firstboot::hello::machine::{Machine, Me};
use cias_firstboot::hello::output::Output;
use cias_firstboot::hello::rank::Progress;
use cias_firstboot::hello::timing::Timing;
use cias_firstboot::hello::{MachineId, Nonce};
use cias_firstboot::region::keyed_hash;
use cias_firstboot::site::Who;
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

/// A frame of the wire as it came, and once more with the signature that a machine of the site would have given it. What is
/// read as a frame is written as the same bytes, and no frame moves a machine to send one that can't be read.
pub fn hello(bytes: &[u8]) {
    let key = "5a".repeat(32);
    let Ok(codec) = Codec::new(&key) else { return };
    let _ = codec.decode(bytes);
    let Some(signed) = sign(&key, bytes) else { return };
    let Ok(frame) = codec.decode(&signed) else { return };
    assert_eq!(codec.encode(&frame).ok().as_deref(), Some(&signed[..]), "{frame:?}");
    let me = Me {
        id: MachineId([1; 16]),
        may_found: true,
        priority: 50,
        progress: Progress::Nothing,
        who: Who::default(),
        release: String::new(),
    };
    let mut now = Duration::ZERO;
    let mut machine = Machine::new(me, Timing::default(), Box::new(|| Nonce(1)), 1, now);
    machine.set_carrier(true, now);
    for _ in 0..4 {
        let heard = machine.receive(&frame, now);
        for output in heard.into_iter().chain(machine.tick(now)) {
            if let Output::Send(frame) = output {
                let sent = codec.encode(&frame).unwrap_or_default();
                assert_eq!(codec.decode(&sent), Ok(frame));
            }
        }
        now = machine.due();
    }
}

/// `bytes` with the magic, the length, the site's tag and the signature put right; nothing if they are too short or too long.
pub fn sign(key: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut frame = bytes.to_vec();
    let total = u16::try_from(bytes.len() + 32).ok().filter(|_| bytes.len() >= 40)?;
    frame[..4].copy_from_slice(b"CIAS");
    frame[6..8].copy_from_slice(&total.to_be_bytes());
    frame[8..16].copy_from_slice(&keyed_hash(key, "cias hello tag", b"").ok()?[..8]);
    let seal = keyed_hash(key, "cias hello frame", &frame).ok()?;
    frame.extend(seal);
    Some(frame)
}
