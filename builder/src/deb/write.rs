//! Writes a .deb that dpkg 1.16 reads: gzip members, fixed dates, all owned by root.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use md5::{Digest, Md5};

use super::ar;

/// What a package's file is.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The content of a file on the build machine.
    File(PathBuf),
    /// A symbolic link to this.
    Link(String),
    /// A folder.
    Folder,
}

/// One file, folder or link of a package.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The permissions.
    pub mode: u32,
    /// What it is.
    pub content: Content,
}

/// A package before it is written.
#[derive(Clone, Debug)]
pub struct Package {
    /// Fields of the control file, in this order; `Installed-Size` is added.
    pub control: Vec<(String, String)>,
    /// Maintainer scripts by name, such as `postinst`.
    pub scripts: Vec<(String, String)>,
    /// Absolute paths that dpkg treats as configuration.
    pub conffiles: Vec<String>,
    /// By absolute path; parents are added.
    pub files: BTreeMap<String, Entry>,
    /// The date of every file, in seconds since 1970.
    pub epoch: u64,
    /// gzip's level for the data, 1 to 9.
    pub level: u32,
}

impl Package {
    /// A package without files.
    pub fn new(epoch: u64, fields: &[(&str, &str)]) -> Self {
        let control = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (scripts, conffiles, files) = Default::default();
        Self { control, scripts, conffiles, files, epoch, level: 6 }
    }

    /// Adds a file, folder or link at the absolute `path`.
    pub fn add(&mut self, path: &str, mode: u32, content: Content) -> &mut Self {
        self.files.insert(path.to_owned(), Entry { mode, content });
        self
    }

    /// Adds a maintainer script.
    pub fn script(&mut self, name: &str, text: impl Into<String>) -> &mut Self {
        self.scripts.push((name.to_owned(), text.into()));
        self
    }

    /// The name under which Debian knows the file: `name_version_arch.deb`.
    pub fn file_name(&self) -> String {
        let field =
            |name: &str| self.control.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value);
        // An epoch of a version is not part of the file's name.
        let version = field("Version").rsplit(':').next().unwrap_or_default();
        format!("{}_{version}_{}.deb", field("Package"), field("Architecture"))
    }

    /// The bytes of the .deb; the same package always gives the same ones.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut data = Archive::new(self.epoch, self.level);
        let (mut sums, mut size) = (String::new(), 0);
        for path in self.folders() {
            data.add(&path, 0o755, tar::EntryType::Directory, &[])?;
        }
        for (path, entry) in &self.files {
            match &entry.content {
                Content::Folder => data.add(path, entry.mode, tar::EntryType::Directory, &[])?,
                Content::Link(target) => data.link(path, target)?,
                Content::Bytes(bytes) => data.file(path, entry.mode, bytes, &mut sums, &mut size)?,
                Content::File(source) => {
                    let mut bytes = Vec::new();
                    std::fs::File::open(source)
                        .and_then(|mut file| file.read_to_end(&mut bytes))
                        .with_context(|| format!("reading {}", source.display()))?;
                    data.file(path, entry.mode, &bytes, &mut sums, &mut size)?;
                }
            }
        }
        let mut control = Archive::new(self.epoch, 9);
        control.add("/", 0o755, tar::EntryType::Directory, &[])?;
        control.add("/control", 0o644, tar::EntryType::Regular, self.control_file(size).as_bytes())?;
        if !self.conffiles.is_empty() {
            control.add(
                "/conffiles",
                0o644,
                tar::EntryType::Regular,
                (self.conffiles.join("\n") + "\n").as_bytes(),
            )?;
        }
        control.add("/md5sums", 0o644, tar::EntryType::Regular, sums.as_bytes())?;
        for (name, text) in &self.scripts {
            control.add(&format!("/{name}"), 0o755, tar::EntryType::Regular, text.as_bytes())?;
        }
        let (control, data) = (control.finish()?, data.finish()?);
        let members =
            [("debian-binary", &b"2.0\n"[..]), ("control.tar.gz", &control), ("data.tar.gz", &data)];
        let mut deb = Vec::with_capacity(control.len() + data.len() + 256);
        ar::write(&mut deb, self.epoch, &members).context("writing the ar archive")?;
        Ok(deb)
    }

    fn folders(&self) -> Vec<String> {
        let mut all = std::collections::BTreeSet::from(["/".to_owned()]);
        for path in self.files.keys() {
            all.extend(path.match_indices('/').skip(1).map(|(at, _)| path[..at].to_owned()));
        }
        all.into_iter().filter(|path| !self.files.contains_key(path)).collect()
    }

    fn control_file(&self, bytes: u64) -> String {
        let mut text = String::new();
        for (name, value) in &self.control {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name}: {value}");
            if name == "Architecture" {
                let _ = writeln!(text, "Installed-Size: {}", bytes.div_ceil(1024));
            }
        }
        text
    }
}

struct Archive {
    epoch: u64,
    tar: tar::Builder<flate2::write::GzEncoder<Vec<u8>>>,
}

impl Archive {
    fn new(epoch: u64, level: u32) -> Self {
        let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(level));
        Self { epoch, tar: tar::Builder::new(gzip) }
    }

    fn header(&self, mode: u32, kind: tar::EntryType, size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(self.epoch);
        header.set_size(size as u64);
        header.set_uid(0);
        header.set_gid(0);
        // dpkg looks names up before numbers; both must say root.
        let _ = (header.set_username("root"), header.set_groupname("root"));
        header
    }

    fn add(&mut self, path: &str, mode: u32, kind: tar::EntryType, bytes: &[u8]) -> Result<()> {
        let mut header = self.header(mode, kind, bytes.len());
        let slash = if kind == tar::EntryType::Directory && path != "/" { "/" } else { "" };
        self.tar
            .append_data(&mut header, format!(".{path}{slash}"), bytes)
            .with_context(|| format!("packing {path}"))
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8], sums: &mut String, size: &mut u64) -> Result<()> {
        let sum: String =
            Md5::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let _ = writeln!(sums, "{sum}  {}", path.trim_start_matches('/'));
        *size += bytes.len() as u64;
        self.add(path, mode, tar::EntryType::Regular, bytes)
    }

    fn link(&mut self, path: &str, target: &str) -> Result<()> {
        let mut header = self.header(0o777, tar::EntryType::Symlink, 0);
        self.tar
            .append_link(&mut header, format!(".{path}"), target)
            .with_context(|| format!("packing {path}"))
    }

    fn finish(self) -> Result<Vec<u8>> {
        self.tar.into_inner().and_then(flate2::write::GzEncoder::finish).context("compressing")
    }
}
