//! `cias-builder packages fetch`: the packages of the lock, byte for byte, in a folder that `build` takes.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::files;
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::Class;
use cias_firstboot::runner::Host;
use serde::Serialize;

use super::apt::Apt;
use super::lock::{Locked, RESOLVE};
use super::{resolve, temporary};
use crate::copy;
use crate::progress::{Phase, Progress};

const FETCH: &str = "cias-builder packages fetch";

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Order {
    /// `packages.toml`.
    pub packages: PathBuf,
    /// Where the packages go; `packages` beside the file if nothing is said.
    pub out: Option<PathBuf>,
    /// Where what was downloaded once is kept.
    pub cache: Option<PathBuf>,
    /// Remove other packages from the folder.
    pub force: bool,
}

/// What was fetched.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The folder for `build --packages`.
    pub out: String,
    /// How many packages it holds.
    pub packages: usize,
    /// How many of them were downloaded now.
    pub downloaded: usize,
    /// Bytes of all.
    pub bytes: u64,
}

/// Fetches. What is broken off leaves no file under a package's name.
pub fn fetch(order: &Order, progress: Progress, interrupt: &Interrupt) -> Result<Report> {
    let result = steps(order, progress, interrupt);
    if result.is_err() {
        // Whatever failed after Ctrl-C failed because of it.
        interrupt.check()?;
    }
    result
}

fn steps(order: &Order, progress: Progress, interrupt: &Interrupt) -> Result<Report> {
    let (_, lock) = resolve::locked(&order.packages, FETCH)?;
    let out = order.out.clone().unwrap_or_else(|| order.packages.with_extension(""));
    let cache = match &order.cache {
        Some(cache) => cache.clone(),
        None => default_cache(|name| std::env::var_os(name))?,
    };
    let foreign = foreign(&out, &lock.packages)?;
    if let Some(first) = foreign.first().filter(|_| !order.force) {
        return Err(Class::Refused.error(format!(
            "{}: found {} packages that the lock does not name, such as {first}, wanted none, as `build` would take them: give --force to remove them, or another --out",
            out.display(),
            foreign.len()
        )));
    }
    for folder in [&cache, &out] {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let busy = || format!("another `{FETCH}` works in {}; wait until it has ended", cache.display());
    let _lock = files::lock(&cache.join("lock"), busy)?;
    let runner = Host::unchecked(|_| ()).stopped_by(interrupt.stop());
    let mut shop = Shop { cache: &cache, out: &out, interrupt, downloaded: 0 };
    let bytes = lock.packages.iter().map(|package| package.size).sum();
    let mut phase = progress.phase("fetch", bytes);
    let folder = temporary(&cache)?;
    let apt = Apt::new(&runner, folder.path())?;
    for package in &lock.packages {
        interrupt.check()?;
        shop.fetch(&apt, package, &folder.path().join("part"))?;
        phase.add(package.size);
    }
    phase.done();
    for name in &foreign {
        files::remove(&out.join(name))?;
    }
    let out = out.display().to_string();
    Ok(Report { out, packages: lock.packages.len(), downloaded: shop.downloaded, bytes })
}

/// Where downloads are kept, by the XDG base directory specification.
fn default_cache(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let folder = cache.map(|cache| cache.join("cias-builder/packages"));
    folder.ok_or_else(|| {
        Class::Usage
            .error("found neither XDG_CACHE_HOME nor HOME, wanted a folder for downloads: give --cache DIR")
    })
}

/// Packages in `out` that are none of `packages`.
fn foreign(out: &Path, packages: &[Locked]) -> Result<Vec<String>> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.file.as_str()).collect();
    let entries = match std::fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Class::BadInput
                .error(format!("{}: {error}, wanted a folder: give another --out", out.display())));
        }
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("listing {}", out.display()))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|extension| extension == "deb")
            && !ours.contains(name.as_str())
        {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

struct Shop<'a> {
    cache: &'a Path,
    out: &'a Path,
    interrupt: &'a Interrupt,
    downloaded: usize,
}

impl Shop<'_> {
    /// Sees that `package` lies in the folder; `part` is where a download may grow.
    fn fetch(&mut self, apt: &Apt, package: &Locked, part: &Path) -> Result<()> {
        let (kept, target) =
            (self.cache.join(format!("{}.deb", package.sha256)), self.out.join(&package.file));
        if self.is(&target, package)? {
            return Ok(());
        }
        if !self.is(&kept, package)? {
            self.download(apt, package, part)?;
            copy_to(part, &kept)?;
            files::remove(part)?;
            self.downloaded += 1;
        }
        copy_to(&kept, &target)
    }

    fn download(&self, apt: &Apt, package: &Locked, part: &Path) -> Result<()> {
        let Locked { name, version, uri, size, sha256, source, .. } = package;
        let output = apt.download(uri, part)?;
        if output.code != 0 {
            return Err(Class::Failed.error(format!(
                "{name} {version}: found no {uri} ({}), wanted it as the lock says: try again when {source} answers, or run `{RESOLVE}` again if it has another version now",
                output.complaint()
            )));
        }
        let (found, bytes) = self.measure(part)?;
        if (found.as_str(), bytes) == (sha256.as_str(), *size) {
            return Ok(());
        }
        Err(Class::BadInput.error(format!(
            "{name} {version}: found {bytes} bytes with the SHA-256 {found} at {uri}, wanted {size} bytes with {sha256} as the lock says: the file was changed, find out why before you run `{RESOLVE}` again"
        )))
    }

    /// Is the file at `path` the package?
    fn is(&self, path: &Path, package: &Locked) -> Result<bool> {
        match path.metadata() {
            Ok(found) if found.is_file() && found.len() == package.size => {
                Ok(self.measure(path)?.0 == package.sha256)
            }
            _ => Ok(false),
        }
    }

    fn measure(&self, path: &Path) -> Result<(String, u64)> {
        let mut file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        copy::hash(&mut file, self.interrupt, &mut Phase::silent())
            .with_context(|| format!("reading {}", path.display()))
    }
}

fn copy_to(from: &Path, to: &Path) -> Result<()> {
    files::write_by(to, 0o644, |file| {
        let mut source = File::open(from).with_context(|| format!("reading {}", from.display()))?;
        std::io::copy(&mut source, file).map(drop).context("copying it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_user_keeps_caches() {
        for (xdg, home, wanted) in [
            ("/x", "/home/a", Some("/x/cias-builder/packages")),
            ("relative", "/home/a", Some("/home/a/.cache/cias-builder/packages")),
            ("", "", None),
        ] {
            let found = default_cache(|name| Some(if name == "HOME" { home } else { xdg }.into()));
            assert_eq!(found.as_ref().ok().and_then(|path| path.to_str()), wanted);
            assert!(found.is_ok() || Class::of(&found.unwrap_err()) == Class::Usage);
        }
    }
}
