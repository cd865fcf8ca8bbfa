//! A folder with an image, a mirror, its key, and a `packages.toml` for them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::bench::Bench;
use crate::mirror::{Mirror, SUITE, Signer};

/// All that a resolution needs.
pub struct Shop {
    pub bench: Bench,
    pub mirror: Mirror,
    pub signer: Signer,
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `output` is a refusal with the exit code `code` on one line that holds all of `wanted`.
#[track_caller]
pub fn refused(output: &Output, code: i32, wanted: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let error = stderr.split_once("error: ").map_or("", |(_, error)| error);
    for part in wanted {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
}

#[track_caller]
pub fn succeeded(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

impl Shop {
    /// A mirror with keepalived and what it needs, signed by a good key.
    pub fn new() -> Self {
        Self::signed_by(Signer::new(), "SHA256", "")
    }

    /// The same, signed by `signer` over `digest`, with `more` lines in its Release file.
    pub fn signed_by(signer: Signer, digest: &str, more: &str) -> Self {
        let bench = Bench::new();
        // apt gives up root's rights while it reads a mirror.
        fs::set_permissions(bench.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut mirror = Mirror::new(&bench.path().join("mirror"));
        let needs = [("Pre-Depends", "zz-early"), ("Depends", "libnl1 (>= 1.1), libc6 (>= 2.13)")];
        mirror
            .add("keepalived", "1:1.2.2-3", &needs)
            .add("keepalived", "1:1.2.13-1", &needs)
            .add("libnl1", "1.1-7", &[("Depends", "libc6")])
            .add("zz-early", "1", &[])
            .add("bridge-utils", "1.6-1", &[])
            .add("e2fsprogs", "1.42.5-1.1", &[("Installed-Size", "7")])
            .add("same-source", "1.42.5-1.1", &[("Source", "e2fsprogs")])
            .add("dpkg", "1.16.18", &[])
            .add("newer-source", "1.16.18", &[("Source", "dpkg")])
            .add("pve-manager", "9.9-1", &[])
            .add("needs-manager", "1", &[("Depends", "pve-manager (>= 9)")])
            .add("needs-bridge", "1", &[("Depends", "bridge-utils (>= 1.6)")])
            .add("rival", "1", &[("Conflicts", "e2fsprogs")])
            .add("needy", "1", &[("Depends", "libmissing (>= 2)")]);
        mirror.release(more);
        mirror.sign(&signer, digest);
        fs::write(bench.path().join("mirror.asc"), signer.public(true)).unwrap();
        let shop = Self { bench, mirror, signer };
        shop.ask(r#"packages = ["keepalived"]"#, "");
        shop
    }

    /// Writes `packages.toml` with these lines before and in its only source.
    pub fn ask(&self, wanted: &str, source: &str) {
        self.ask_at(&format!("file://{}", self.mirror.root.display()), wanted, source);
    }

    pub fn ask_at(&self, uri: &str, wanted: &str, source: &str) {
        let text = format!(
            "schema = 1\n{wanted}\n[[source]]\nname = \"mirror\"\nuri = \"{uri}\"\nsuite = \"{SUITE}\"\n\
             components = [\"main\"]\nkeys = [\"mirror.asc\"]\n{source}\n"
        );
        fs::write(self.bench.path().join("packages.toml"), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cias-builder"));
        command.arg("packages").args(args).current_dir(self.bench.path());
        // What this machine's user says to apt must change nothing.
        fs::write(
            self.bench.path().join("host.conf"),
            "Acquire::AllowInsecureRepositories \"true\";\nAPT::Get::AllowUnauthenticated \"true\";\n\
             APT::Install-Recommends \"true\";\nDir::Etc::trustedparts \"/etc/apt/trusted.gpg.d\";\n",
        )
        .unwrap();
        command.env("APT_CONFIG", self.bench.path().join("host.conf"));
        command
    }

    pub fn resolve(&self) -> Output {
        self.command(&["resolve", "--iso", "in.iso", "packages.toml"]).output().unwrap()
    }

    pub fn fetch(&self, more: &[&str]) -> Output {
        let args = [&["fetch", "--cache", "cache", "packages.toml"], more].concat();
        self.command(&args).output().unwrap()
    }

    pub fn lock(&self) -> String {
        fs::read_to_string(self.bench.path().join("packages.lock")).unwrap()
    }

    /// The names in a folder, sorted; none if there is no folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.bench.path().join(folder)).into_iter().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
