//! `cias-builder packages resolve`: what must come with the wanted packages on this image, written down exactly.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::Class;
use cias_firstboot::runner::Host;
use cias_firstboot::site::visible;
use serde::Serialize;

use super::apt::Apt;
use super::index::{Index, Listed};
use super::lock::{self, Lock, Locked, RESOLVE};
use super::request::{self, Request, Source, name_of};
use super::{naming, temporary};
use crate::closure::{self, Unpacked};
use crate::iso9660::Image;
use crate::system::System;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The file that was written.
    pub lock: String,
    /// What it holds.
    pub packages: Vec<Locked>,
    /// Wanted packages that the image has.
    pub present: Vec<String>,
    /// Packages of the base system that are replaced: name, old and new version.
    pub replaced: Vec<(String, String, String)>,
}

/// Resolves the file at `packages` against the image at `iso`.
pub fn resolve(packages: &Path, iso: &Path, interrupt: &Interrupt) -> Result<Report> {
    let result = steps(packages, iso, interrupt);
    if result.is_err() {
        // Whatever failed after Ctrl-C failed because of it.
        interrupt.check()?;
    }
    result
}

fn steps(packages: &Path, iso: &Path, interrupt: &Interrupt) -> Result<Report> {
    let request = request::load(packages, RESOLVE)?;
    let system = System::read(&Image::open(iso)?)?;
    let runner = Host::unchecked(|_| ()).stopped_by(interrupt.stop());
    let folder = temporary(&std::env::temp_dir())?;
    let apt = Apt::new(&runner, folder.path())?;
    apt.require_gpgv()?;
    apt.installed(&system.status())?;
    let mut index = Index::default();
    for (number, source) in request.sources.iter().enumerate() {
        eprintln!("asking {}: {}", source.name, source.uri);
        let before = apt.releases()?;
        update(&apt, number, source)?;
        let mut releases = apt.releases()?;
        releases.retain(|name, _| !before.contains_key(name));
        has_components(source, &releases.into_values().collect::<String>())?;
        index.add(number, &apt.lists(number)?)?;
        interrupt.check()?;
    }
    let shown = visible(&packages.display().to_string());
    let world = World { request: &request, system: &system, index: &index, shown: &shown };
    let (wanted, present) = world.wanted()?;
    let changes = if wanted.is_empty() { Vec::new() } else { world.changes(&apt, wanted)? };
    let found = world.index.find(
        &changes.iter().map(|change| (change.name.clone(), change.version.clone())).collect::<Vec<_>>(),
    );
    let mut locked = Vec::new();
    let mut added = Vec::new();
    for change in &changes {
        let listed = found.get(&(change.name.clone(), change.version.clone())).with_context(|| {
            format!("finding {} {} in the lists that apt fetched", change.name, change.version)
        })?;
        locked.push(world.locked(listed)?);
        added.push(listed.paragraph.clone());
    }
    naming::name_files(&system.base, &added, &mut locked);
    let files = locked.iter().map(|package| package.file.clone());
    let added: Vec<_> = files.zip(added).map(|(file, control)| Unpacked { file, control }).collect();
    closure::check(&system.base, &system.image, &added)
        .with_context(|| format!("judging what {shown} asks for"))?;
    locked.sort();
    let replaced = world.replaced(&changes)?;
    let path = lock::path(packages);
    interrupt.check()?;
    Lock { request: request.id()?, packages: locked.clone() }.write(&path)?;
    Ok(Report { lock: path.display().to_string(), packages: locked, present, replaced })
}

/// Fetches a source's lists; one that apt does not take is refused with what would help.
fn update(apt: &Apt, number: usize, source: &Source) -> Result<()> {
    let output = apt.update(number, source)?;
    if output.code == 0 {
        return Ok(());
    }
    let (name, complaint) = (&source.name, output.complaint());
    if !apt.reaches(source)? {
        return Err(Class::Failed.error(format!(
            "source {name}: found no archive at {} with the suite {} ({complaint}), wanted one: mend uri or suite, or try again when the mirror answers",
            source.uri, source.suite
        )));
    }
    // What would help is tried, which is surer than to understand what apt says; nothing of the try is used.
    for (expired, sha1) in [(true, false), (false, true), (true, true)] {
        let allow_expired = source.allow_expired || expired;
        let allow_sha1 = source.allow_sha1 || sha1;
        let tried = Source { allow_expired, allow_sha1, ..source.clone() };
        let same = allow_expired == source.allow_expired && allow_sha1 == source.allow_sha1;
        if !same && apt.update(number, &tried)?.code == 0 {
            let keys = [(expired, "allow_expired"), (sha1, "allow_sha1")];
            let keys: Vec<_> =
                keys.iter().filter(|(on, _)| *on).map(|(_, key)| format!("`{key} = true`")).collect();
            return Err(Class::BadInput.error(format!(
                "source {name}: found an archive that is signed by the given keys, but no longer to be trusted as new ({complaint}), wanted a current one: if that is meant, say {} in its [[source]] (docs/packages.md)",
                keys.join(" and ")
            )));
        }
    }
    Err(Class::BadInput.error(format!(
        "source {name}: found an archive that apt refuses ({complaint}), wanted one that is whole and signed by the given keys: name the keys that sign it, or another uri, suite or components"
    )))
}

/// Are all components in the description of the source? apt only warns of one that is not.
fn has_components(source: &Source, release: &str) -> Result<()> {
    let lacks = |component: &&String| {
        // Archives of Debian's security updates were called `updates/main`, and their folder `main`.
        let folder = component.rsplit('/').next().unwrap_or_default();
        !release.contains(&format!(" {folder}/binary-amd64/Packages"))
    };
    source.components.iter().find(lacks).map_or(Ok(()), |component| {
        Err(Class::BadInput.error(format!(
            "source {}: found no component {component} with packages for amd64 in the suite {}, wanted one that it has: mend components",
            source.name, source.suite
        )))
    })
}

/// A package that apt would install.
struct Change {
    name: String,
    version: String,
}

/// All that a resolution goes by.
struct World<'a> {
    request: &'a Request,
    system: &'a System,
    index: &'a Index,
    shown: &'a str,
}

impl World<'_> {
    fn bad(&self, text: &str) -> anyhow::Error {
        Class::BadInput.error(format!("{}: {text}", self.shown))
    }

    /// What apt is asked for, and what the image has already.
    fn wanted(&self) -> Result<(Vec<String>, Vec<String>)> {
        let (installed, names) = (self.system.installed(), self.index.names());
        let (mut wanted, mut present, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for package in self.request.wanted() {
            let name = name_of(&package);
            let found = installed.get(name).map(|found| found.field("Version"));
            match found.filter(|version| name == package || package.split_once('=') == Some((name, version)))
            {
                Some(version) => {
                    self.chosen(&package, &[version.to_owned()])?;
                    present.push(package);
                }
                None if names.contains(name) => {
                    wanted.push(self.chosen(&package, &self.index.versions(name))?);
                }
                None => unknown.push(package),
            }
        }
        if unknown.is_empty() {
            return Ok((wanted, present));
        }
        Err(self.bad(&format!(
            "packages: found {}, which no source has and the image neither, wanted packages of theirs: mend the names, or add a [[source]] that has them",
            unknown.join(", ")
        )))
    }

    /// `package` with the newest of `versions` for which the profile's configuration is written, if it is one of the profile's.
    fn chosen(&self, package: &str, versions: &[String]) -> Result<String> {
        let Some((wanted, version)) = self.request.pinned(package) else { return Ok(package.to_owned()) };
        match versions.iter().find(|version| wanted.accepts(version)) {
            Some(version) => Ok(format!("{package}={version}")),
            None => Err(self.bad(&format!(
                "profile: found {package} {}, wanted {version}, for which its configuration is written: add a [[source]] that has it, or list `{package}=VERSION` in packages",
                versions.join(", ")
            ))),
        }
    }

    /// What apt would install.
    fn changes(&self, apt: &Apt, wanted: Vec<String>) -> Result<Vec<Change>> {
        let installed = self.system.installed();
        let names = wanted.join(", ");
        let output = apt.simulate(wanted)?;
        if output.code != 0 {
            let told = output.stdout.split_once("unmet dependencies:").map(|(_, rest)| rest);
            let told: Vec<&str> = told.unwrap_or_default().split_whitespace().collect();
            let told = if told.is_empty() { output.complaint() } else { told.join(" ") };
            return Err(self.bad(&format!(
                "packages: found no way to install {names} on this image ({told}), wanted one: add a [[source]] that has what is missing, or ask for other versions"
            )));
        }
        if let Some(name) = output.stdout.lines().find_map(|line| line.strip_prefix("Remv ")) {
            let name = name.split(' ').next().unwrap_or_default();
            return Err(self.bad(&format!(
                "packages: found that {names} can't be installed without removing {name}, which the image brings, wanted packages that get along with it: leave out the one that does not"
            )));
        }
        let changes = output.stdout.lines().filter_map(|line| line.strip_prefix("Inst ")).map(change);
        // Another build of a version that is there will do no more than that one.
        let new = |change: &Change| {
            let found = installed.get(change.name.as_str()).map(|found| found.field("Version"));
            found != Some(change.version.as_str())
        };
        changes.filter(|change| change.as_ref().map_or(true, new)).collect()
    }

    fn locked(&self, Listed { source, paragraph }: &Listed) -> Result<Locked> {
        let Source { name: source, uri, .. } = &self.request.sources[*source];
        let field = |name: &str| paragraph.field(name).to_owned();
        let (name, version, architecture) = (field("Package"), field("Version"), field("Architecture"));
        let (size, sha256) = (field("Size").parse().ok(), field("SHA256").to_ascii_lowercase());
        let Some((size, sha256)) = size.zip(Some(sha256).filter(|sum| sum.len() == 64)) else {
            return Err(self.bad(&format!(
                "source {source}: its list gives {name} {version} without size and SHA256, wanted both: use another source"
            )));
        };
        let path = field("Filename");
        let file = lock::file_name(&name, &version, &architecture);
        let uri = format!("{uri}/{}", path.trim_start_matches("./"));
        Ok(Locked { name, version, architecture, size, sha256, source: source.clone(), uri, file })
    }

    /// What comes in the place of the base system's. The image's own packages are never replaced: which of two files is
    /// unpacked last would hang on their names.
    fn replaced(&self, changes: &[Change]) -> Result<Vec<(String, String, String)>> {
        let installed = self.system.installed();
        let image: Vec<&str> =
            self.system.image.iter().map(|package| package.control.field("Package")).collect();
        let mut replaced = Vec::new();
        for Change { name, version } in changes {
            let Some(old) = installed.get(name.as_str()) else { continue };
            if image.contains(&name.as_str()) {
                return Err(self.bad(&format!(
                    "packages: found that {name} {version} would come beside {} among the image's own packages, wanted each package once: ask for versions that go with the image's",
                    old.field("Version")
                )));
            }
            replaced.push((name.clone(), old.field("Version").to_owned(), version.clone()));
        }
        Ok(replaced)
    }
}

/// One line of apt's: `NAME [OLD] (VERSION ORIGIN [ARCHITECTURE])`.
fn change(line: &str) -> Result<Change> {
    let name = line.split([' ', ':']).next().unwrap_or_default().to_owned();
    let version = line.split_once('(').and_then(|(_, rest)| rest.split([' ', ')']).next());
    let version = version.with_context(|| format!("reading apt's line `Inst {line}`"))?.to_owned();
    Ok(Change { name, version })
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let lines = self.packages.iter().map(|package| {
            let Locked { name, version, architecture, size, source, .. } = package;
            format!("{name} {version} {architecture}, {size} bytes from {source}\n")
        });
        let bytes: u64 = self.packages.iter().map(|package| package.size).sum();
        let sum = format!("{}: {} packages, {bytes} bytes\n", self.lock, self.packages.len());
        lines.chain([sum]).collect()
    }

    /// What the user should know.
    pub fn notes(&self) -> Vec<String> {
        let present = self.present.iter().map(|name| format!("{name} is on the image already"));
        let replaced = self.replaced.iter().map(|(name, old, new)| {
            format!("{name} {new} replaces {old} of the base system, because another package needs it")
        });
        present.chain(replaced).collect()
    }
}

/// The lock for `packages`, which must be of what it asks for now.
pub fn locked(packages: &Path, again: &str) -> Result<(PathBuf, Lock)> {
    let request = request::load(packages, again)?;
    let path = lock::path(packages);
    let lock = Lock::load(&path)?;
    if lock.request == request.id()? {
        return Ok((path, lock));
    }
    let shown = |path: &Path| visible(&path.display().to_string());
    Err(Class::BadInput.error(format!(
        "{}: found the packages of an earlier {}, wanted those of the present one: run `{RESOLVE}` again",
        shown(&path),
        shown(packages)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_apt_are_read() {
        for (line, name, version) in [
            ("libc6 [2.13-38] (2.13-38+deb7u1 Debian:7.11/oldoldstable [amd64])", "libc6", "2.13-38+deb7u1"),
            ("keepalived (1:1.2.2-3 localhost [amd64]) []", "keepalived", "1:1.2.2-3"),
            ("a:amd64 (1)", "a", "1"),
        ] {
            let change = change(line).unwrap();
            assert_eq!((change.name.as_str(), change.version.as_str()), (name, version));
        }
        assert!(change("a").is_err());
    }
}
