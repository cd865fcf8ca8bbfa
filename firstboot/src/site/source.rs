//! Reads the text of a site file: of a plain file only, and no more of it than a site can have.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::region;

/// No site is larger, in bytes: the ISO has no room for more.
pub(super) const LIMIT: usize = region::SIZE;

/// What is wanted of bytes that are no text.
pub(super) const TEXT: &str = "text in UTF-8: save the file again in that encoding";

/// A file as it was read.
pub(super) struct Source {
    /// Its text, up to the first byte that is none.
    pub text: String,
    /// What was found behind the text, if that was not the end.
    pub broken: Option<&'static str>,
    /// The bits of its mode.
    pub mode: u32,
}

impl Source {
    /// Is there nothing to read in it?
    pub(super) fn is_empty(&self) -> bool {
        self.broken.is_none() && self.text.trim_start_matches('\u{feff}').trim().is_empty()
    }
}

/// Reads the file at `path`; the error is what was found instead of a plain file that can be read.
pub(super) fn read(path: &Path) -> Result<Source, String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "no file".to_owned(),
        _ => format!("a file that can't be read ({error})"),
    };
    // To open a device may already do something, and to open a pipe would wait for its writer.
    plain(&path.metadata().map_err(unreadable)?)?;
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    plain(&metadata)?;
    let mut bytes = Vec::new();
    // It may grow meanwhile, and some files of the kernel do not tell their length.
    file.take(LIMIT as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LIMIT {
        return Err(format!("a file of more than {LIMIT} bytes"));
    }
    let mode = metadata.permissions().mode() & 0o777;
    let (text, broken) = text(bytes);
    Ok(Source { text, broken, mode })
}

fn plain(metadata: &Metadata) -> Result<(), String> {
    let kind = metadata.file_type();
    let found = match kind {
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ if !kind.is_file() => "a device",
        _ if metadata.len() > LIMIT as u64 => return Err(format!("a file of {} bytes", metadata.len())),
        _ => return Ok(()),
    };
    Err(found.to_owned())
}

/// The text that `bytes` begin with, and what follows it that is none.
fn text(bytes: Vec<u8>) -> (String, Option<&'static str>) {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return (String::new(), Some("text in UTF-16"));
    }
    let (mut text, mut broken) = match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let end = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(end);
            (String::from_utf8_lossy(&bytes).into_owned(), Some("a byte that is no UTF-8"))
        }
    };
    if let Some(at) = text.find('\0') {
        text.truncate(at);
        broken = Some("a NUL byte");
    }
    (text, broken)
}
