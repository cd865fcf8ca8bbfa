//! What the stand-in of pvesm does with a storage on this node (PS PVE/Storage.pm, NFSPlugin.pm, DirPlugin.pm and Plugin.pm of March
//! 2014, read; pve-3.2-tools.md 11).

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::config::Storage;
use super::schema;
use crate::host::Host;

/// Folders below a storage's path, by what it holds.
const FOLDERS: [(&str, &str); 5] = [
    ("images", "images"),
    ("rootdir", "private"),
    ("iso", "template/iso"),
    ("vztmpl", "template/cache"),
    ("backup", "dump"),
];

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Is it in use on this node?
pub fn is_enabled(host: &Host, storage: &Storage) -> bool {
    let nodes = schema::words(storage.value("nodes"));
    !storage.has("disable") && (nodes.is_empty() || nodes.contains(&host.name()))
}

/// Makes it usable: a folder is made, wherever it is, and an NFS export is mounted if its server answers.
pub fn activate(host: &Host, storage: &Storage) -> Result<()> {
    let path = host.path(storage.value("path"));
    if storage.kind == "nfs" {
        if !answers(host, storage.value("server"))? {
            bail!("storage '{}' is not online", storage.id);
        }
        if !is_mounted(host, storage) {
            folder(&path)?;
            mount(host, storage)?;
        }
    } else {
        folder(&path)?;
    }
    if !path.is_dir() {
        bail!(
            "unable to activate storage '{}' - directory '{}' does not exist",
            storage.id,
            storage.value("path")
        );
    }
    let mut content = schema::words(storage.value("content"));
    if content.is_empty() {
        let usual = schema::kind(&storage.kind).map_or(&[][..], |kind| kind.content);
        content.extend(usual.iter().map(|word| (*word).to_owned()));
    }
    let holds = |what: &str| content.iter().any(|word| word == what);
    for (what, below) in FOLDERS {
        if holds(what) || (what == "backup" && holds("rootdir")) {
            folder(&path.join(below))?;
        }
    }
    Ok(())
}

/// Total, used and available bytes; nothing, if it is not active.
pub fn space(host: &Host, storage: &Storage) -> Result<Option<[u64; 3]>> {
    if storage.kind == "nfs" && !is_mounted(host, storage) {
        return Ok(None);
    }
    let path = host.path(storage.value("path"));
    let found =
        nix::sys::statvfs::statvfs(&path).with_context(|| format!("looking at {}", path.display()))?;
    let bytes = |blocks: u64| blocks * found.fragment_size();
    let total = bytes(found.blocks());
    let used = bytes(found.blocks() - found.blocks_free());
    Ok((total > 0).then(|| [total, used, bytes(found.blocks_available())]))
}

fn folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("mkdir {}", path.display()))
}

/// Does the server's portmapper answer in time? Nothing else of it is looked at.
fn answers(host: &Host, server: &str) -> Result<bool> {
    let mut command = host.command("/usr/bin/rpcinfo");
    let command =
        command.args(["-p", server]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().context("running rpcinfo")?;
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

fn is_mounted(host: &Host, storage: &Storage) -> bool {
    let source = format!("{}:{}", storage.value("server"), storage.value("export"));
    let mounts = std::fs::read_to_string(host.path("/proc/mounts")).unwrap_or_default();
    mounts.lines().any(|line| {
        let mut words = line.split(' ');
        let (from, to) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let kind = words.next().unwrap_or_default();
        from.trim_end_matches('/') == source && to == storage.value("path") && kind.starts_with("nfs")
    })
}

fn mount(host: &Host, storage: &Storage) -> Result<()> {
    let source = format!("{}:{}", storage.value("server"), storage.value("export"));
    let mut command = host.command("/bin/mount");
    command.args(["-t", "nfs", &source, storage.value("path")]);
    if storage.has("options") {
        command.args(["-o", storage.value("options")]);
    }
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("running mount")?;
    let mut said = String::new();
    child.stderr.take().context("mount's messages")?.read_to_string(&mut said)?;
    if !child.wait()?.success() {
        bail!("mount error: {}", said.trim());
    }
    Ok(())
}
