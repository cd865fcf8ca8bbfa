//! Reads the control paragraph of a .deb, also of a hostile one.

use std::io::Read;

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;

use super::control::{Paragraph, parse};

/// The largest control archive that is unpacked, in bytes; real ones have a few kilobytes.
const LIMIT: u64 = 16 << 20;

/// How much of a package is read to find its control archive, which comes first: what nearly always is enough, and the
/// most.
const STARTS: [u64; 2] = [64 << 10, 4 << 20];

/// The control paragraph of the package in `deb`; `name` is for errors.
pub fn control(name: &str, deb: &[u8]) -> Result<Paragraph> {
    find(name, deb, false)
}

/// The control paragraph of a package that may be large, of which only the start is read.
pub fn control_of(name: &str, mut deb: impl Read) -> Result<Paragraph> {
    let mut start = Vec::new();
    let mut found = find(name, &start, true);
    for bytes in STARTS {
        let more = bytes - start.len() as u64;
        deb.by_ref().take(more).read_to_end(&mut start).with_context(|| format!("reading {name}"))?;
        found = find(name, &start, true);
        if found.is_ok() {
            break;
        }
    }
    found
}

fn find(name: &str, deb: &[u8], start: bool) -> Result<Paragraph> {
    let bad = |what: String| {
        Class::BadInput.error(format!("{name}: {what}, wanted a Debian package that dpkg 1.16 reads"))
    };
    let members = super::ar::read(deb, start).map_err(|error| bad(error.to_string()))?;
    for (member, content) in &members {
        let kind = member.rsplit('.').next().unwrap_or_default();
        if member.starts_with("control.tar") || member.starts_with("data.tar") {
            match kind {
                "gz" | "xz" | "tar" => {}
                "bz2" | "lzma" if member.starts_with("data.tar") => {}
                _ => {
                    return Err(bad(format!(
                        "found the member {member}, which is packed in a way that it cannot read"
                    )));
                }
            }
        }
        if member.starts_with("control.tar") {
            return unpack(kind, content)
                .and_then(|archive| paragraph(&archive))
                .map_err(|error| bad(format!("its {member} is damaged ({error:#})")));
        }
    }
    Err(bad("found no control archive".into()))
}

/// Unpacks gzip, xz or nothing, at most [`LIMIT`] bytes.
fn unpack(kind: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match kind {
        "gz" => {
            flate2::read::MultiGzDecoder::new(content).take(LIMIT).read_to_end(&mut bytes)?;
        }
        "xz" => lzma_rs::xz_decompress(&mut &*content, &mut Bounded(&mut bytes))
            .map_err(|error| anyhow::anyhow!("unpacking xz: {error:?}"))?,
        _ => bytes.extend(content),
    }
    Ok(bytes)
}

struct Bounded<'a>(&'a mut Vec<u8>);

impl std::io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if (self.0.len() + bytes.len()) as u64 > LIMIT {
            return Err(std::io::Error::other("too large"));
        }
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn paragraph(archive: &[u8]) -> Result<Paragraph> {
    for entry in tar::Archive::new(archive).entries().context("listing it")? {
        let mut entry = entry.context("listing it")?;
        let path = entry.path().context("reading a name")?.to_path_buf();
        if path.file_name().is_some_and(|name| name == "control") && path.components().count() <= 2 {
            let mut text = Vec::new();
            entry.by_ref().take(LIMIT).read_to_end(&mut text).context("reading control")?;
            return parse(&String::from_utf8_lossy(&text))
                .into_iter()
                .next()
                .context("found an empty control file");
        }
    }
    anyhow::bail!("found no control file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::{Content, Package};

    fn package() -> Package {
        let fields = [
            ("Package", "demo"),
            ("Version", "1:2.0-1"),
            ("Architecture", "all"),
            ("Depends", "a, b (>= 2)"),
        ];
        let mut package = Package::new(1_400_000_000, &fields);
        package.add("/etc/demo", 0o600, Content::Bytes(b"x".to_vec()));
        package
    }

    #[test]
    fn what_was_written_is_read() {
        let control = control("demo.deb", &package().write().unwrap()).unwrap();
        assert_eq!(control.field("depends"), "a, b (>= 2)");
        assert_eq!(control.field("Installed-Size"), "1");
        assert_eq!(package().file_name(), "demo_2.0-1_all.deb");
    }

    #[test]
    fn damaged_packages_are_refused_and_never_panic() {
        let deb = package().write().unwrap();
        for length in 0..deb.len().min(700) {
            let _ = control("cut", &deb[..length]);
        }
        for at in 0..deb.len() {
            let mut changed = deb.clone();
            changed[at] ^= 0x55;
            let _ = control("changed", &changed);
        }
        let error = control("cut.deb", &deb[..80]).unwrap_err();
        assert_eq!(Class::of(&error), Class::BadInput);
        assert!(error.to_string().starts_with("cut.deb: "), "{error}");
    }

    #[test]
    fn a_packing_that_the_target_does_not_know_is_named() {
        let mut deb = package().write().unwrap();
        let at = deb.windows(14).position(|window| window == b"control.tar.gz").unwrap();
        deb[at..at + 15].copy_from_slice(b"control.tar.zst");
        assert!(control("new.deb", &deb).unwrap_err().to_string().contains("control.tar.zst"));
    }
}
