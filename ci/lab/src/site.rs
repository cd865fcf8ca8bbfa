//! The lab's site: made by `cias-builder init` like anybody's, then changed where the lab differs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::files;
use cias_firstboot::runner::{Call, Host, Runner};
use toml_edit::{DocumentMut, value};

/// Root's password in the lab.
pub const PASSWORD: &str = "lab-password";

/// Serial number of the disk that becomes the system's.
pub const SYSTEM: &str = "SYSTEM";

/// Serial number of the server that the site pins as the founder.
pub const FOUNDER: &str = "LAB-FOUNDER";

/// The programs under test, as the lab's own build left them.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `cias-builder`.
    pub builder: PathBuf,
    /// The static `cias-firstboot`.
    pub firstboot: PathBuf,
}

/// A site file and the key with which the lab reaches its nodes.
#[derive(Clone, Debug)]
pub struct LabSite {
    /// The site file.
    pub file: PathBuf,
    /// A private key for root on every node.
    pub key: PathBuf,
}

impl LabSite {
    /// The one that was made in `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Self { file: folder.join("site.toml"), key: folder.join("key") }
    }
}

/// Makes a site in `folder`; `change` edits the file before it is used.
pub fn make(programs: &Programs, folder: &Path, change: impl FnOnce(&mut DocumentMut)) -> Result<LabSite> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let host = Host::unchecked(|_| ());
    let site = LabSite::in_folder(folder);
    let (file, key) = (site.file.display().to_string(), site.key.display().to_string());
    let hash = host.run(&Call::new("openssl").args(["passwd", "-6", "-stdin"]).stdin(PASSWORD))?.stdout;
    let init = [
        "init",
        "--force",
        "--out",
        &file,
        "--mail",
        "admin@example.com",
        "--accept-eula",
        "--password-hash",
        hash.trim(),
    ];
    host.run(&Call::new(programs.builder.display().to_string()).args(init))?;
    for old in [site.key.clone(), folder.join("key.pub")] {
        files::remove(&old)?;
    }
    host.run(&Call::new("ssh-keygen").args(["-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", &key]))?;
    let public = std::fs::read_to_string(folder.join("key.pub")).context("reading the lab's key")?;
    let text = std::fs::read_to_string(&site.file).context("reading the lab's site")?;
    let mut document: DocumentMut = text.parse().context("parsing the lab's site")?;
    document["site"]["ssh_keys"] = value(toml_edit::Array::from_iter([public.trim()]));
    document["network"]["gateway"] = value(crate::net::GATEWAY);
    document["role"]["founder"]["serial"] = value(FOUNDER);
    document["role"]["priority"] = value(50);
    document["install"]["disk"]["serial"] = value(SYSTEM);
    document["install"]["countdown"] = value(2);
    change(&mut document);
    files::write(&site.file, document.to_string(), 0o600)?;
    Ok(site)
}

/// Remasters `base` for the site.
pub fn remaster(programs: &Programs, base: &crate::base::Base, site: &LabSite, out: &Path) -> Result<()> {
    let shown = |path: &Path| path.display().to_string();
    let call = Call::new(shown(&programs.builder)).args([
        "build",
        "--force",
        "--iso",
        &shown(&base.iso),
        "--site",
        &shown(&site.file),
    ]);
    let call = call.args([
        "--firstboot",
        &shown(&programs.firstboot),
        "--packages",
        &shown(&base.added),
        "--out",
        &shown(out),
    ]);
    Host::unchecked(|_| ()).run(&call.limit(std::time::Duration::from_mins(10)))?;
    Ok(())
}
