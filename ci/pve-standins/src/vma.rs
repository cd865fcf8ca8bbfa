//! A stand-in for `vma` of the vendor's QEMU (its `vma_spec.txt` and `vma-reader.c`, read; docs/facts.md 19): `config` shows a
//! configuration in an archive, `create` makes an archive of configurations, without disks.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use md5::{Digest, Md5};

use crate::args::Args;

/// Bytes of the header before the blobs.
const HEADER: usize = 12288;
/// So many configurations may be in one archive.
const MOST: usize = 256;
/// Where the checksum, the blobs' place and size, and the header's size stand.
const SUM: std::ops::Range<usize> = 32..48;
const BLOBS_AT: usize = 48;
const BLOBS_SIZE: usize = 52;
const SIZE: usize = 56;
/// Where the places of the configurations' names and texts stand.
const NAMES: usize = 2044;
const DATA: usize = 3068;
/// All of it is a multiple of this.
const STEP: usize = 512;

/// What `config` shows where nothing is said.
const USUAL: &str = "qemu-server.conf";

/// Runs one command.
pub fn run(mut args: Args) -> Result<u8> {
    let command = args.next().unwrap_or_default();
    let config = args.value("-c");
    let (Some(file), true) = (args.next(), args.words.is_empty()) else { return Ok(help()) };
    match command.as_str() {
        "config" => show(&file, config.as_deref().unwrap_or(USUAL)),
        "create" => create(&file, config.as_deref()),
        _ => Ok(help()),
    }
}

fn help() -> u8 {
    println!(
        "usage: vma command [command options]\n\nvma config <filename> [-c <config>]\nvma create <filename> [-c <config>]"
    );
    1
}

fn show(file: &str, name: &str) -> Result<u8> {
    let configs = match read(Path::new(file)).and_then(|bytes| configs(&bytes)) {
        Ok(configs) => configs,
        Err(error) => {
            // The vendor's uses g_error, which ends it by a signal.
            eprintln!("\n** ERROR **: {error:#}\naborting...");
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGTRAP).context("ending")?;
            return Ok(255);
        }
    };
    let Some((_, data)) = configs.iter().find(|(found, _)| found == name) else {
        eprintln!("unable to find configuration data '{name}'");
        return Ok(255);
    };
    std::io::Write::write_all(&mut std::io::stdout(), data).context("writing the configuration")?;
    Ok(0)
}

fn create(file: &str, config: Option<&str>) -> Result<u8> {
    let path =
        Path::new(config.context("the stand-in of vma makes archives of a configuration: name one with -c")?);
    let name = path.file_name().context("a configuration has a name")?.to_string_lossy();
    let data = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let bytes = archive(&[(&name, &data)], *b"lab archive only")?;
    ensure!(!Path::new(file).exists(), "can't open file {file} - File exists");
    std::fs::write(file, bytes).with_context(|| format!("can't open file {file}"))?;
    Ok(0)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let open = || format!("can't open file {}", path.display());
    let mut file = std::fs::File::open(path).with_context(open)?;
    let mut bytes = vec![0; HEADER];
    file.read_exact(&mut bytes).ok().context("can't read vma header data - got EOF")?;
    if !bytes.starts_with(b"VMA\0") {
        bail!("not a vma file - wrong magic number");
    }
    let size = number(&bytes, SIZE)?;
    ensure!(size > HEADER && size.is_multiple_of(STEP), "wrong vma header size {size}");
    bytes.resize(size, 0);
    file.read_exact(&mut bytes[HEADER..]).ok().context("can't read vma header data - got EOF")?;
    Ok(bytes)
}

/// The configurations in a header: their names and texts.
fn configs(header: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut plain = header.to_vec();
    plain[SUM].fill(0);
    ensure!(header[SUM] == Md5::digest(&plain)[..], "wrong vma header chechsum");
    ensure!(number(header, 4)? == 1, "wrong vma version {}", number(header, 4)?);
    let (at, size) = (number(header, BLOBS_AT)?, number(header, BLOBS_SIZE)?);
    ensure!(at >= HEADER, "wrong vma blob buffer offset {at}");
    ensure!(at + size <= header.len(), "wrong vma blob buffer size {at}/{size}");
    let blobs = &header[at..at + size];
    let mut found = Vec::new();
    for index in 0..MOST {
        let (name, data) = (number(header, NAMES + 4 * index)?, number(header, DATA + 4 * index)?);
        if name == 0 || data == 0 {
            continue;
        }
        let both = blob(blobs, name).zip(blob(blobs, data));
        let (name, data) = both.context("vma contains invalid data pointers")?;
        let name = name.strip_suffix(b"\0").context("vma contains invalid data pointers")?;
        found.push((String::from_utf8_lossy(name).into_owned(), data.to_vec()));
    }
    Ok(found)
}

/// A blob: two bytes of size, the lower one first, and its bytes.
fn blob(blobs: &[u8], at: usize) -> Option<&[u8]> {
    let size = u16::from_le_bytes(blobs.get(at..at + 2)?.try_into().ok()?);
    blobs.get(at + 2..at + 2 + usize::from(size))
}

fn number(bytes: &[u8], at: usize) -> Result<usize> {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).context("a short vma header")?;
    Ok(usize::try_from(u32::from_be_bytes(four))?)
}

/// An archive of configurations.
fn archive(configs: &[(&str, &[u8])], uuid: [u8; 16]) -> Result<Vec<u8>> {
    // A place of 0 means that there is nothing, so that the first byte is not used.
    let mut blobs = vec![0];
    let mut header = vec![0; HEADER];
    let mut add = |bytes: &[u8]| -> Result<[u8; 4]> {
        let at = u32::try_from(blobs.len())?;
        blobs.extend(u16::try_from(bytes.len()).context("a configuration of 64 KiB or more")?.to_le_bytes());
        blobs.extend(bytes);
        Ok(at.to_be_bytes())
    };
    for (index, (name, data)) in configs.iter().enumerate() {
        let (name, data) = (add(&[name.as_bytes(), b"\0"].concat())?, add(data)?);
        header[NAMES + 4 * index..][..4].copy_from_slice(&name);
        header[DATA + 4 * index..][..4].copy_from_slice(&data);
    }
    blobs.resize(blobs.len().next_multiple_of(STEP), 0);
    header[..4].copy_from_slice(b"VMA\0");
    header[8..24].copy_from_slice(&uuid);
    for (at, value) in [(4, 1), (BLOBS_AT, HEADER), (BLOBS_SIZE, blobs.len()), (SIZE, HEADER + blobs.len())] {
        header[at..at + 4].copy_from_slice(&u32::try_from(value)?.to_be_bytes());
    }
    header.extend(blobs);
    let sum = Md5::digest(&header);
    header[SUM].copy_from_slice(&sum);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_shows_its_configurations() {
        let long = vec![b'x'; 5000];
        let bytes = archive(&[("qemu-server.conf", b"memory: 512\n"), ("other", &long)], [7; 16]).unwrap();
        // By the specification: big-endian numbers, a header of whole sectors, its checksum over itself with zeroes in its place.
        assert_eq!((&bytes[..8], bytes.len() % STEP), (&b"VMA\0\0\0\0\x01"[..], 0));
        assert_eq!(bytes[HEADER..HEADER + 4], [0, 17, 0, b'q']);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.vma");
        std::fs::write(&path, [bytes.as_slice(), b"VMAE"].concat()).unwrap();
        let found = configs(&read(&path).unwrap()).unwrap();
        let wanted = [("qemu-server.conf".to_owned(), b"memory: 512\n".to_vec()), ("other".to_owned(), long)];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_damaged_or_short_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.vma");
        let good = archive(&[("qemu-server.conf", b"memory: 512\n")], [7; 16]).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            format!("{:#}", read(&path).and_then(|bytes| configs(&bytes)).unwrap_err())
        };
        for (at, wanted) in [(HEADER + 5, "chechsum"), (0, "wrong magic number"), (2043 + 4, "chechsum")] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(refused(&bad).contains(wanted), "{at}: {}", refused(&bad));
        }
        for length in [0, 100, HEADER, good.len() - 1] {
            assert!(refused(&good[..length]).contains("got EOF"), "{length}");
        }
    }
}
