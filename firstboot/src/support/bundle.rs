//! The archive: everything that goes in is filtered into a file without a name first, because an archive tells sizes before
//! contents. Memory holds one line.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use nix::fcntl::OFlag;
use serde::Serialize;

use super::filter::Filter;
use super::sources::Source;
use crate::files;
use crate::system::Sysroot;

/// What became of one thing that was to go in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its name in the bundle, or the path that was looked for.
    pub name: String,
    /// Its size in the bundle, in bytes.
    pub size: Option<u64>,
    /// Why it is not in the bundle, or not all of it.
    pub reason: Option<String>,
}

/// A bundle that is being written.
pub struct Bundle<'a> {
    archive: tar::Builder<GzEncoder<&'a mut File>>,
    scratch: File,
    filter: &'a Filter,
    folder: String,
    manifest: Vec<Item>,
}

impl<'a> Bundle<'a> {
    /// Begins one in `out`; everything in it lies in a folder `folder`. `beside` is where there is room for a scratch file.
    pub fn new(out: &'a mut File, beside: &Path, folder: &str, filter: &'a Filter) -> Result<Self> {
        Ok(Self {
            archive: tar::Builder::new(GzEncoder::new(out, Compression::default())),
            scratch: files::scratch(beside)?,
            filter,
            folder: folder.to_owned(),
            manifest: Vec::new(),
        })
    }

    /// Adds a text, or notes why there is none.
    pub fn text(&mut self, name: &str, text: Result<String>) -> Result<()> {
        match text {
            Ok(text) => self.add(name, text.as_bytes(), 0, None),
            Err(error) => {
                self.miss(name, &format!("{error:#}"));
                Ok(())
            }
        }
    }

    /// Adds a file of the node, or notes why it is not there. A compressed one is unpacked, so that the filter sees its text.
    pub fn file(&mut self, root: &Sysroot, source: &Source) -> Result<()> {
        let (mut file, length) = match open(&root.path(&source.path)) {
            Ok(opened) => opened,
            Err(reason) => {
                self.miss(&source.path, &reason);
                return Ok(());
            }
        };
        let name = format!("files{}", source.path);
        if let Some(plain) = name.strip_suffix(".gz") {
            return self.add(plain, MultiGzDecoder::new(file), 0, None);
        }
        let cut = source.tail.map_or(0, |tail| length.saturating_sub(tail));
        // Read from a little before, so that a private key on the cut is known as one.
        let begin = cut.saturating_sub(LOOK_BACK);
        file.seek(SeekFrom::Start(begin)).with_context(|| format!("reading {}", source.path))?;
        let note = (cut > 0).then(|| format!("only its end: {cut} of {length} bytes were left out"));
        self.add(&name, file, cut - begin, note)
    }

    /// Writes the manifest and ends the archive.
    pub fn finish(mut self) -> Result<Vec<Item>> {
        let manifest = std::mem::take(&mut self.manifest);
        let text = serde_json::to_string_pretty(&manifest).context("writing JSON")? + "\n";
        self.add("manifest.json", text.as_bytes(), 0, None)?;
        let packed = self.archive.into_inner().context("ending the archive")?;
        packed.finish().context("compressing the archive")?;
        Ok(manifest)
    }

    fn miss(&mut self, name: &str, reason: &str) {
        let reason = Some(self.filter.text(reason));
        self.manifest.push(Item { name: name.to_owned(), size: None, reason });
    }

    fn add(&mut self, name: &str, from: impl Read, skip: u64, note: Option<String>) -> Result<()> {
        let spooling = "writing the scratch file";
        self.scratch.set_len(0).context(spooling)?;
        self.scratch.rewind().context(spooling)?;
        // What can be read of a broken file is worth having.
        let broken = self.filter.copy(from, &self.scratch, skip).err();
        let size = self.scratch.stream_position().context(spooling)?;
        self.scratch.rewind().context(spooling)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()));
        let path = format!("{}/{}", self.folder, self.filter.text(name));
        self.archive
            .append_data(&mut header, path, (&self.scratch).take(size))
            .context("writing the archive")?;
        let reason = broken.map(|error| format!("only its beginning: {error:#}")).or(note);
        self.manifest.push(Item { name: name.to_owned(), size: Some(size), reason });
        Ok(())
    }
}

/// A private key has fewer bytes.
const LOOK_BACK: u64 = 64 << 10;

/// Opens a plain file, and nothing that would wait for somebody; its length as the system tells it.
fn open(path: &Path) -> Result<(File, u64), String> {
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err(if metadata.is_dir() { "a folder with nothing to take" } else { "no plain file" }.into());
    }
    let options = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    options.map(|file| (file, metadata.len())).map_err(|error| error.to_string())
}
