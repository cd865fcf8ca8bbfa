//! `cias support`: one bundle of logs and facts for a person who is asked for help, without any secret.

mod bundle;
mod filter;
mod marks;
mod secrets;
pub(crate) mod sources;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::facts::report::Report;
use crate::log::Log;
use crate::outcome::Class;
use crate::runner::{Call, Host, Runner};
use crate::status::Status;
use crate::system::Sysroot;
use crate::{files, plan};

use bundle::Bundle;
pub use bundle::Item;
use filter::Filter;

/// The cluster's file system, and a file that is always there.
const PVE: &str = "/etc/pve";
const MEMBERS: &str = "/etc/pve/.members";

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What `cias support` was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the files are; `/` but in tests.
    pub root: Sysroot,
    /// Where the bundle goes; else below `/root`.
    pub out: Option<PathBuf>,
}

/// A bundle that was written.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// Version of this layout.
    pub schema: u32,
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// What is in it, and what is not and why.
    pub manifest: Vec<Item>,
}

/// Writes the bundle; whatever is missing is listed in it and is no error.
pub fn support(request: &Request) -> Result<Written> {
    if request.root.is_machine() && !nix::unistd::geteuid().is_root() {
        return Err(Class::Failed.error(
            "`cias support` reads what only root may read, and was not started by root: use su or sudo",
        ));
    }
    let (root, silent) = answering(&request.root);
    let name = name(root.attribute("/proc/sys/kernel/hostname").as_deref(), SystemTime::now());
    let path = request.out.clone().unwrap_or_else(|| root.path("/root").join(format!("{name}.tar.gz")));
    if path.symlink_metadata().is_ok() {
        return Err(Class::Refused.error(format!(
            "{}: found a file of that name, wanted none: name another one with --out, or remove it",
            path.display()
        )));
    }
    let beside = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let site = secrets::load(&root);
    let filter = secrets::filter(&root, site.as_ref().ok());
    let mut manifest = Vec::new();
    files::write_by(&path, 0o600, |out| {
        let mut bundle = Bundle::new(out, beside, &name, &filter)?;
        if let Some(silent) = silent {
            bundle.text(PVE, Err(silent))?;
        }
        manifest = gather(&root, site, &filter, bundle)?;
        Ok(())
    })?;
    let bytes = path.metadata().with_context(|| format!("reading {}", path.display()))?.len();
    eprintln!(
        "cias: {bytes} bytes; look into it before you send it: names, addresses and public keys are in it"
    );
    Ok(Written { schema: 1, path, size: bytes, manifest })
}

/// The tree without the cluster's file system if that does not answer, and what became of it: a bundle is most needed on a node that
/// hangs.
fn answering(root: &Sysroot) -> (Sysroot, Option<anyhow::Error>) {
    let call = Call::new("/bin/cat").arg(root.path(MEMBERS).display().to_string()).limit(ANSWER);
    match Host::new(|_| ()).outcome(&call) {
        Ok(_) => (root.clone(), None),
        Err(error) => {
            (root.without(PVE), Some(error.context(format!("{PVE} does not answer and is left out"))))
        }
    }
}

fn gather(
    root: &Sysroot,
    site: Result<crate::site::Site>,
    filter: &Filter,
    mut bundle: Bundle,
) -> Result<Vec<Item>> {
    let tell = |what: &str| eprintln!("cias: support: {}", filter.text(what));
    let log = Log::silent();
    let runner = Host::new(|line| log.note(line));
    tell("status, facts, plan and site");
    bundle.text("site.json", site.and_then(|site| json(&site)))?;
    bundle.text("status.json", Status::read(root).and_then(|status| json(&status)))?;
    bundle.text("facts.json", Report::gather(root, &runner).and_then(|report| json(&report)))?;
    bundle.text("plan.txt", plan::plan(root).map(|planned| plan::show(&planned)))?;
    bundle.text("versions.txt", root.text(sources::DPKG).map(|status| sources::versions(&status)))?;
    for source in sources::sources(root) {
        tell(&source.path);
        bundle.file(root, &source)?;
    }
    bundle.finish()
}

fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).context("writing JSON")? + "\n")
}

/// `cias-support-HOST-TIME`.
fn name(host: Option<&str>, now: SystemTime) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let host: String = host.unwrap_or("unknown").chars().filter(is_plain).collect();
    let time = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
    format!("cias-support-{host}-{time}")
}

/// For a person: the path alone, so that a script can take it.
pub fn show(written: &Written) -> String {
    format!("{}\n", written.path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_named_after_host_and_time() {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(24);
        assert_eq!(name(Some("pve-a/0"), time), "cias-support-pve-a0-19700102T000000Z");
    }
}
