//! A mirror of Debian in a folder: packages without files, a list, a Release file, and a signature by a key that was made here.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cias_builder::copy::hash_bytes;
use cias_builder::deb::Package;

/// The name of the mirror's suite.
pub const SUITE: &str = "test";

/// Day on which an old key and what it signed were made: it was valid for a year.
const LONG_AGO: &str = "20140310T000000!";

/// A key that signs, in a home of its own.
pub struct Signer {
    home: tempfile::TempDir,
    old: bool,
}

impl Signer {
    /// A key that does not expire.
    pub fn new() -> Self {
        Self::made(false, "ed25519", "never")
    }

    /// A key of 2014 that expired a year later.
    pub fn expired() -> Self {
        Self::made(true, "ed25519", "1y")
    }

    /// A key of the kind that signed over SHA-1.
    pub fn rsa() -> Self {
        Self::made(false, "rsa2048", "never")
    }

    fn made(old: bool, kind: &str, life: &str) -> Self {
        let signer = Self { home: tempfile::tempdir().unwrap(), old };
        let args =
            ["--batch", "--passphrase", "", "--quick-gen-key", "mirror@example.com", kind, "sign", life];
        signer.gpg(&args);
        signer
    }

    fn gpg(&self, args: &[&str]) -> Vec<u8> {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.home.path()).args(["--quiet", "--no-tty", "--yes"]);
        if self.old {
            gpg.args(["--faked-system-time", LONG_AGO]);
        }
        let output = gpg.args(args).output().expect("gpg is installed by ci/setup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// The public key, as text or as bytes.
    pub fn public(&self, armored: bool) -> Vec<u8> {
        self.gpg(if armored { &["--armor", "--export"] } else { &["--export"] })
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        // The agent that gpg started lives as long as its home otherwise.
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "gpg-agent"])
            .output();
    }
}

/// A mirror.
pub struct Mirror {
    pub root: PathBuf,
    list: String,
}

impl Mirror {
    /// An empty one at `root`.
    pub fn new(root: &Path) -> Self {
        fs::create_dir_all(root.join("pool")).unwrap();
        Self { root: root.to_owned(), list: String::new() }
    }

    /// Adds a package; `fields` are more lines of its control file.
    pub fn add(&mut self, name: &str, version: &str, fields: &[(&str, &str)]) -> &mut Self {
        let always = [("Package", name), ("Version", version), ("Architecture", "amd64")];
        let rest = [("Maintainer", "a <a@example.com>"), ("Description", "x")];
        let fields = [&always[..], fields, &rest].concat();
        let deb = Package::new(0, &fields).write().unwrap();
        // As Debian writes an epoch into a file's name.
        let path = format!("pool/{name}_{}_amd64.deb", version.replace(':', "%3a"));
        fs::write(self.root.join(&path), &deb).unwrap();
        for (name, value) in fields {
            writeln!(self.list, "{name}: {value}").unwrap();
        }
        let (size, sum) = (deb.len(), hash_bytes(&deb));
        let path = path.replace("%3a", "%253a");
        writeln!(self.list, "Filename: {path}\nSize: {size}\nSHA256: {sum}\n").unwrap();
        self
    }

    /// Where the suite is described.
    pub fn dist(&self) -> PathBuf {
        self.root.join("dists").join(SUITE)
    }

    /// Writes the lists, unsigned; `more` are further lines of the Release file.
    pub fn release(&self, more: &str) {
        let lists = self.dist().join("main/binary-amd64");
        fs::create_dir_all(&lists).unwrap();
        fs::write(lists.join("Packages"), &self.list).unwrap();
        let (sum, size) = (hash_bytes(self.list.as_bytes()), self.list.len());
        let text = format!(
            "Suite: {SUITE}\nCodename: {SUITE}\nArchitectures: amd64\nComponents: main\nDate: Mon, 10 Mar 2014 12:00:00 UTC\n\
             {more}SHA256:\n {sum} {size} main/binary-amd64/Packages\n"
        );
        fs::write(self.dist().join("Release"), text).unwrap();
    }

    /// Signs what [`Mirror::release`] wrote, over `digest`.
    pub fn sign(&self, signer: &Signer, digest: &str) {
        let file = |name: &str| self.dist().join(name).display().to_string();
        let args = ["--digest-algo", digest, "--output", &file("InRelease"), "--clearsign", &file("Release")];
        signer.gpg(&args);
    }

    /// The same with the signature in a file of its own.
    pub fn sign_apart(&self, signer: &Signer) {
        let file = |name: &str| self.dist().join(name).display().to_string();
        signer.gpg(&["--armor", "--output", &file("Release.gpg"), "--detach-sign", &file("Release")]);
    }
}
