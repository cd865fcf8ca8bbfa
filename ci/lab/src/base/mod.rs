//! `lab base`: a stand-in of the Proxmox VE 3.2 image, in the vendor's layout, from Debian 12 packages.
//!
//! Everything is cached below the work folder under a key of its inputs, so that a second run only compares keys.

mod image;
mod kernel;
pub(crate) mod key;
mod node;
mod packages;
mod roots;
mod sources;
mod variant;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use cias_firstboot::runner::{Call, Host, Runner};

pub use variant::Variant;

use crate::kept;

/// The date of everything that the lab builds, in seconds since 1970: 10 March 2014.
pub const EPOCH: u64 = 1_394_409_600;

/// Where the lab works and what it builds from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder for caches and images, below `target`.
    pub work: PathBuf,
    /// A tree of the vendor's installer to put on the image instead of the stand-in.
    pub installer: Option<PathBuf>,
    /// The static program of the cluster's stand-ins.
    pub standins: PathBuf,
    /// Which image.
    pub variant: Variant,
}

/// What `lab base` made, or found already made.
#[derive(Clone, Debug)]
pub struct Base {
    /// The image.
    pub iso: PathBuf,
    /// Folder with Debian packages that a site adds.
    pub added: PathBuf,
}

/// Makes the image, unless it is there already.
pub fn ensure(options: &Options) -> Result<Base> {
    if !options.standins.exists() {
        return Err(Class::MissingTool.error(format!(
            "found no {}, wanted the program of the cluster's stand-ins: run `ci/build`, or name it with --standins",
            options.standins.display()
        )));
    }
    let cache = std::path::absolute(options.work.join("cache")).context("finding the work folder")?;
    std::fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let shop = Shop { cache, host: Host::unchecked(|_| ()) };
    let variant = options.variant;
    let key = key::of_image(&shop, options)?;
    let iso = shop.cache.join(format!("base-{key}.iso"));
    if !iso.exists() {
        let kernel = kernel::ensure(&shop, variant.modules())?;
        let installer = roots::ensure(&shop, "installer", roots::INSTALLER)?;
        let node = roots::ensure(&shop, "node", &[roots::NODE, variant.packages()].concat())?;
        image::build(
            &shop,
            &image::Parts {
                kernel,
                installer,
                node,
                standins: &options.standins,
                replace: options.installer.as_deref(),
                variant,
            },
            &iso,
        )?;
    }
    let added = packages::added(&shop, &iso, variant)?;
    Ok(Base { iso, added })
}

/// Where caches are, and how commands are run.
struct Shop {
    cache: PathBuf,
    host: Host<'static>,
}

impl Shop {
    /// Runs a shell line with pipes in it; it ends at the first failing part.
    fn shell(&self, line: &str) -> Result<String> {
        let call = Call::new("bash")
            .args(["-euo", "pipefail", "-c", line])
            .limit(std::time::Duration::from_mins(15));
        Ok(self.host.run(&call.env("SOURCE_DATE_EPOCH", EPOCH.to_string()))?.stdout)
    }
}

/// Says what is being made, then makes it under a temporary name, so that a broken run leaves no half cache. Another lab that makes it is
/// waited for.
fn make(wanted: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let _locked = kept::lock(wanted)?;
    if wanted.exists() {
        return Ok(());
    }
    let name = wanted.file_name().unwrap_or_default().to_string_lossy().into_owned();
    eprintln!("lab: making {name}");
    let start = std::time::Instant::now();
    let part = wanted.with_file_name(format!(".{name}.part"));
    remove(&part)?;
    make(&part).with_context(|| format!("making {name}"))?;
    std::fs::rename(&part, wanted).with_context(|| format!("renaming to {}", wanted.display()))?;
    eprintln!("lab: made {name} in {} s", start.elapsed().as_secs());
    Ok(())
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a file of the image with its mode, and its folders.
fn put(root: &Path, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let full = root.join(path.trim_start_matches('/'));
    let write = || -> std::io::Result<()> {
        if let Some(parent) = full.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // A link would lead out of the tree.
        if full.is_symlink() {
            std::fs::remove_file(&full)?;
        }
        std::fs::write(&full, content)?;
        std::fs::set_permissions(&full, std::fs::Permissions::from_mode(mode))
    };
    write().with_context(|| format!("writing {}", full.display()))
}
