//! apt as the resolver, apart from this machine's own: own folders, keys and sources, and the image's packages as the ones that
//! are installed. Nothing below `/etc/apt` or `/var/lib/apt` is read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use cias_firstboot::files;
use cias_firstboot::outcome::Class;
use cias_firstboot::runner::{Call, Output, Runner};

use super::request::{Source, key_form};

/// How long one call of apt may take: a list of Debian has some ten megabytes, a package at most [`super::folders`]'s limit.
const LIMIT: Duration = Duration::from_mins(30);

/// apt's own downloader.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// What every configuration of ours says. The program `dpkg` is never asked: this machine may be of another architecture.
const COMMON: &str = r#"APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::AllowUnauthenticated "false";
APT::Get::List-Cleanup "false";
APT::Get::Show-User-Simulation-Note "false";
APT::Get::Upgrade-By-Source-Package "false";
APT::Update::Error-Mode "any";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "2";
"#;

/// apt in a folder of its own.
pub struct Apt<'a> {
    runner: &'a dyn Runner,
    root: PathBuf,
}

impl<'a> Apt<'a> {
    /// Prepares it in `root`, an empty folder that is ours.
    pub fn new(runner: &'a dyn Runner, root: &Path) -> Result<Self> {
        let shown = root.display().to_string();
        // apt's configuration knows no way to write them.
        if shown.contains(['"', '\n', '\\']) {
            return Err(Class::BadInput
                .error(format!("the temporary folder {shown:?}: wanted a path without quotes; set TMPDIR")));
        }
        let apt = Self { runner, root: root.to_owned() };
        for folder in ["lists/partial", "archives/partial", "sources", "no-parts", "probe"] {
            let path = apt.root.join(folder);
            std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        }
        apt.put("apt.conf", &apt.configuration("no-parts", "no-list", "sources"))?;
        apt.put("status", "")?;
        let script = apt.root.join("gpgv");
        files::write(&script, include_str!("gpgv.sh"), 0o755)?;
        Ok(apt)
    }

    /// Has the packages of dpkg's `status` installed.
    pub fn installed(&self, status: &str) -> Result<()> {
        self.put("status", status)
    }

    /// Fetches the lists of the `number`th source and has its signature checked with its own keys alone.
    pub fn update(&self, number: usize, source: &Source) -> Result<Output> {
        let keys = format!("keys-{number}");
        let folder = self.root.join(&keys);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        for (index, key) in source.keys.iter().enumerate() {
            let bytes = std::fs::read(key).with_context(|| format!("reading {}", key.display()))?;
            let form = key_form(&bytes).unwrap_or("gpg");
            files::write(&folder.join(format!("{index}.{form}")), bytes, 0o644)?;
        }
        let list = format!("sources/{number}.sources");
        self.put(&list, &stanza(source))?;
        let mut text = self.configuration(&keys, &list, "no-parts");
        if source.allow_expired {
            let script = self.root.join("gpgv");
            let _ = write!(
                text,
                "Acquire::Check-Valid-Until \"false\";\nAPT::Key::gpgvcommand \"{}\";\n",
                script.display()
            );
        }
        if source.allow_sha1 {
            text.push_str("APT::Hashes::SHA1::Untrusted \"false\";\nAPT::Hashes::SHA1::Weak \"true\";\n");
        }
        let configuration = format!("apt-{number}.conf");
        self.put(&configuration, &text)?;
        self.runner.outcome(&self.call("apt-get", &configuration).args(["-q", "update"]))
    }

    /// The files with the `number`th source's packages, after an update. An empty list has none.
    pub fn lists(&self, number: usize) -> Result<Vec<PathBuf>> {
        let call = self.call("apt-get", &format!("apt-{number}.conf"));
        let output = self.runner.run(&call.args([
            "indextargets",
            "--format",
            "$(FILENAME)",
            "Created-By: Packages",
        ]))?;
        Ok(output.stdout.lines().map(PathBuf::from).filter(|path| path.exists()).collect())
    }

    /// The descriptions of all sources that were fetched, by the names of their files.
    pub fn releases(&self) -> Result<BTreeMap<String, String>> {
        let folder = self.root.join("lists");
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
            let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with("Release") {
                let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                found.insert(name, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(found)
    }

    /// What apt would do to install `packages`, as it says it.
    pub fn simulate(&self, packages: impl IntoIterator<Item = String>) -> Result<Output> {
        let call = self.call("apt-get", "apt.conf").args(["-q", "-y", "-s", "install", "--"]).args(packages);
        self.runner.outcome(&call)
    }

    /// Downloads `uri` to `path`, whatever it holds.
    pub fn download(&self, uri: &str, path: &Path) -> Result<Output> {
        let call = self.call(HELPER, "apt.conf").args(["-q", "download-file", uri]);
        self.runner.outcome(&call.arg(path.display().to_string()))
    }

    /// Can the description of the source be had at all?
    pub fn reaches(&self, source: &Source) -> Result<bool> {
        let flat = source.suite.ends_with('/');
        let folder = if flat {
            format!("{}/{}", source.uri, source.suite)
        } else {
            format!("{}/dists/{}/", source.uri, source.suite)
        };
        for name in ["InRelease", "Release"] {
            if self.download(&format!("{folder}{name}"), &self.root.join("probe").join(name))?.code == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Is what checks signatures there?
    pub fn require_gpgv(&self) -> Result<()> {
        self.runner
            .run(&Call::new("gpgv").arg("--version"))
            .map(drop)
            .context("looking for gpgv, which checks signatures")
    }

    fn call(&self, program: &str, configuration: &str) -> Call {
        Call::new(program).limit(LIMIT).env("APT_CONFIG", self.root.join(configuration))
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        files::write(&self.root.join(name), text, 0o644)
    }

    /// A configuration with these keys and sources. `Dir` alone would leave the status file and the parts to the machine's.
    fn configuration(&self, keys: &str, list: &str, lists: &str) -> String {
        let mut text = COMMON.to_owned();
        let root = self.root.display();
        for (key, value) in [
            ("Dir", ""),
            ("Dir::Etc", ""),
            ("Dir::Etc::main", "no-main"),
            ("Dir::Etc::parts", "no-parts"),
            ("Dir::Etc::netrc", "no-netrc"),
            ("Dir::Etc::netrcparts", "no-parts"),
            ("Dir::Etc::preferences", "no-preferences"),
            ("Dir::Etc::preferencesparts", "no-parts"),
            ("Dir::Etc::trusted", "no-trusted"),
            ("Dir::Etc::trustedparts", keys),
            ("Dir::Etc::sourcelist", list),
            ("Dir::Etc::sourceparts", lists),
            ("Dir::State", ""),
            ("Dir::State::lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::State::extended_states", "extended_states"),
            ("Dir::Cache", ""),
            ("Dir::Cache::archives", "archives"),
            ("Dir::Log", "log"),
        ] {
            let _ = writeln!(text, "{key} \"{root}/{value}\";");
        }
        text
    }
}

/// A source as apt reads it.
fn stanza(source: &Source) -> String {
    let components = match source.components.join(" ") {
        none if none.is_empty() => String::new(),
        list => format!("Components: {list}\n"),
    };
    format!("Types: deb\nURIs: {}/\nSuites: {}\n{components}Architectures: amd64\n", source.uri, source.suite)
}
