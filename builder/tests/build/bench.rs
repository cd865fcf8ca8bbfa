//! A folder with an image, a site and a program to build from.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cias_builder::iso9660::Image;

use crate::common;

/// A password's hash.
pub const HASH: &str =
    "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

/// A build of what [`Bench::new`] makes, but for the output.
pub const ARGS: [&str; 7] =
    ["build", "--iso", "in.iso", "--site", "site.toml", "--firstboot", "cias-firstboot"];

/// A folder with all that a build needs.
pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    /// An image in the vendor's shape, a site and a program; the program is a stand-in that only has the right header.
    pub fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        common::live_root(bench.path());
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(4096, 0);
        (program[16], program[18], program[32], program[54]) = (2, 62, 64, 56);
        fs::write(bench.path().join("cias-firstboot"), program).unwrap();
        let output =
            bench.run(&["init", "--mail", "a@example.com", "--accept-eula", "--password-hash", HASH]);
        assert!(output.status.success());
        bench
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_cias-builder")).args(args).current_dir(self.path()).output().unwrap()
    }

    pub fn build(&self, out: &str, more: &[&str]) -> Output {
        self.run(&[&ARGS[..], &["--out", out], more].concat())
    }

    pub fn built(&self) -> Image {
        let output = self.build("out.iso", &[]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        Image::open(&self.path().join("out.iso")).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let entries =
            fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap()
    }
}

pub fn read(image: &Image, path: &str) -> Vec<u8> {
    image.read(image.get(path).unwrap_or_else(|| panic!("no {path}")), 1 << 24).unwrap()
}

/// It ends with this code, says this, and leaves nothing behind.
pub fn refused(bench: &Bench, output: &Output, code: i32, wanted: &str, before: &[String]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(wanted), "wanted {wanted:?} in {error}");
    assert_eq!(bench.names(), before, "something was left behind");
}
