//! The last step inside the vendor's installation: root's password, the site, the log, and at the very end the marker.
//!
//! The boot loader is written and the target is still mounted; a failure here fails the installation.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::files;
use crate::outcome::Class;
use crate::preinstall::{WORK, marker, payload};
use crate::region;
use crate::runner::{Call, Runner};

/// Boot scripts of `MooseFS`, by the names of its makers and of Debian. Debian's start their daemon at every boot, with whatever
/// configuration there is: a metadata server on each node. Whoever starts one later enables its script or calls the daemon.
const HELD: [&str; 8] = [
    "mfs-cgiserv",
    "mfs-chunkserver",
    "mfs-master",
    "mfs-metalogger",
    "moosefs-cgiserv",
    "moosefs-chunkserver",
    "moosefs-master",
    "moosefs-metalogger",
];

/// What is wanted of this run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the installed system is mounted.
    pub target: PathBuf,
    /// The site's region.
    pub region: PathBuf,
    /// The installer's log.
    pub log: PathBuf,
    /// Preinstall's log: which disks were seen, and why each was refused.
    pub own_log: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: "/target".into(),
            region: region::PATH.into(),
            log: "/tmp/install.log".into(),
            own_log: Path::new(WORK).join("preinstall.log"),
        }
    }
}

/// Finishes the installed system.
pub fn postinstall(options: &Options, runner: &dyn Runner) -> Result<()> {
    let (payload, site) = payload(&options.region)?;
    let at = |path: &str| options.target.join(path.trim_start_matches('/'));
    let shadow = at("/etc/shadow");
    let text = std::fs::read_to_string(&shadow).with_context(|| format!("reading {}", shadow.display()))?;
    files::rewrite(&shadow, with_hash(&text, &site.site.root_password_hash)?)?;
    if !site.site.ssh_keys.is_empty() {
        files::make_folder(&at("/root/.ssh"), 0o700)?;
        files::write(&at("/root/.ssh/authorized_keys"), site.site.ssh_keys.join("\n") + "\n", 0o600)?;
    }
    files::make_folder(&at("/etc/cias"), 0o700)?;
    files::write(&at("/etc/cias/site.toml"), &payload.site_toml, 0o600)?;
    let build = json!({"schema": 1, "build_id": payload.build_id, "version": env!("CARGO_PKG_VERSION"), "site": site.site.cluster_name});
    let build = serde_json::to_string_pretty(&build).context("writing JSON")? + "\n";
    files::write(&at("/etc/cias/build.json"), &build, 0o600)?;
    files::make_folder(&at("/var/log/cias"), 0o755)?;
    keep_log(&options.log, &at("/var/log/cias/install.log"))?;
    // Whoever ran the vendor's installer by hand has none.
    if options.own_log.exists() {
        keep_log(&options.own_log, &at("/var/log/cias/preinstall.log"))?;
    }
    hold(&options.target, runner)?;
    // Everything that was written so far, by us and by the vendor, is on the disk before the marker says so.
    runner.run(&Call::new("sync"))?;
    files::write(&at("/boot").join(format!("{}{}", marker::PREFIX, payload.build_id)), &build, 0o644)
}

/// Keeps what the site's packages brought from starting at the first boot, before a step has configured it. Only here are all
/// packages configured: their own scripts would undo it.
fn hold(target: &Path, runner: &dyn Runner) -> Result<()> {
    for service in HELD.into_iter().filter(|service| starts(target, service)) {
        let root = target.display().to_string();
        runner.run(&Call::new("chroot").args([&root, "update-rc.d", service, "disable"]))?;
    }
    Ok(())
}

/// Would it be started? `update-rc.d` fails where a script has no link at all.
fn starts(target: &Path, service: &str) -> bool {
    let folders = (2..=5).filter_map(|level| target.join(format!("etc/rc{level}.d")).read_dir().ok());
    let names = folders.flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let of = |link: &str| {
        Some(link.strip_prefix('S')?.trim_start_matches(|c: char| c.is_ascii_digit()) == service)
    };
    names.into_iter().any(|link| of(&link) == Some(true))
}

fn keep_log(log: &Path, copy: &Path) -> Result<()> {
    let text = std::fs::read(log).with_context(|| format!("reading {}", log.display()))?;
    files::write(copy, text, 0o600)
}

/// `/etc/shadow` with root's password hash replaced; every other field and line stays.
fn with_hash(shadow: &str, hash: &str) -> Result<String> {
    let mut found = false;
    let line = |line: &str| match line.split(':').collect::<Vec<_>>()[..] {
        ["root", _, ref rest @ ..] => {
            found = true;
            format!("root:{hash}:{}", rest.join(":"))
        }
        _ => line.to_owned(),
    };
    let lines: Vec<String> = shadow.lines().map(line).collect();
    if !found {
        return Err(Class::Failed
            .error("found no root in /etc/shadow of the target: the vendor's installation is not complete"));
    }
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::Payload;
    use crate::runner::fake::Fake;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_roots_hash_changes() {
        let shadow = "root:*:16139:0:99999:7:::\ndaemon:*:16139:0:99999:7:::\nroot2:x:1::::::\n";
        let wanted = "root:$6$s$h:16139:0:99999:7:::\ndaemon:*:16139:0:99999:7:::\nroot2:x:1::::::\n";
        assert_eq!(with_hash(shadow, "$6$s$h").unwrap(), wanted);
        assert!(with_hash("daemon:*:1::::::\n", "x").is_err());
    }

    #[test]
    fn the_marker_comes_last_and_secrets_are_for_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        for path in ["etc", "boot", "root", "var/log"] {
            std::fs::create_dir_all(target.join(path)).unwrap();
        }
        std::fs::write(target.join("etc/shadow"), "root:*:1::::::\n").unwrap();
        std::fs::set_permissions(target.join("etc/shadow"), std::fs::Permissions::from_mode(0o640)).unwrap();
        let payload = Payload {
            build_id: "00ff".into(),
            manifest_sha256: String::new(),
            site_toml: crate::site::tests::example(),
        };
        let region = folder.path().join("site.bin");
        std::fs::write(&region, region::encode(&payload).unwrap()).unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(target.join("etc/rc3.d")).unwrap();
        for link in ["S02moosefs-master", "S20mfs-chunkserver", "K01mfs-master", "S02ssh"] {
            std::fs::write(target.join("etc/rc3.d").join(link), "").unwrap();
        }
        let options =
            Options { target: target.clone(), region, log: at("install.log"), own_log: at("preinstall.log") };
        assert!(postinstall(&options, &Fake::default()).is_err(), "without a log it is no installation");
        assert!(!target.join("boot/cias-installed-00ff").exists());
        std::fs::write(&options.log, "log").unwrap();
        std::fs::write(&options.own_log, "own").unwrap();
        let fake = Fake::default();
        postinstall(&options, &fake).unwrap();
        assert!(target.join("boot/cias-installed-00ff").exists());
        let held = |service: &str| format!("chroot {} update-rc.d {service} disable", target.display());
        assert_eq!(fake.lines(), [held("mfs-chunkserver"), held("moosefs-master"), "sync".into()]);
        assert!(std::fs::read_to_string(target.join("etc/shadow")).unwrap().starts_with("root:$6$"));
        assert_eq!(std::fs::read_to_string(target.join("var/log/cias/preinstall.log")).unwrap(), "own");
        let mode = |path: &str| std::fs::metadata(target.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("etc/cias"), mode("etc/cias/site.toml"), mode("etc/shadow")), (0o700, 0o600, 0o640));
        assert_eq!(std::fs::read_to_string(target.join("etc/cias/site.toml")).unwrap(), payload.site_toml);
    }
}
