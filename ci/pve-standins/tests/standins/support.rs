//! Nodes of stand-ins on loopback: each has a mounted folder, and a fake membership that the test writes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_pve-standins");
/// How long a test waits for anything.
const LIMIT: Duration = Duration::from_mins(1);

/// Whether FUSE can be used; says so if not.
pub fn may_mount() -> bool {
    let root = nix::unistd::geteuid().is_root() && Path::new("/dev/fuse").exists();
    if !root {
        println!("skipped: mounting needs root and /dev/fuse");
    }
    root
}

/// Waits until it is so.
pub fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A place to listen at, of its own for each call and each test program. A free port that the kernel names is free only until
/// the next one asks.
pub fn place() -> String {
    static GIVEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let number = GIVEN.fetch_add(1, Ordering::Relaxed);
    assert!(number < u8::MAX, "all places of this program are given");
    // Below those that the kernel picks for connections.
    format!("127.{}.{low}.{number}:5407", 64 + (high & 63))
}

/// One node.
pub struct Node {
    pub id: u32,
    pub name: String,
    folder: tempfile::TempDir,
    place: String,
    child: Option<Child>,
}

impl Node {
    /// A node that was never started; with `conf`, its cluster's file is already there.
    pub fn new(id: u32, conf: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self { id, name: format!("pve{id}"), folder, place: place(), child: None };
        for name in ["mnt", "lib"] {
            std::fs::create_dir(node.at(name)).unwrap();
        }
        if let Some(conf) = conf {
            std::fs::write(node.at("cluster.conf"), conf).unwrap();
            std::fs::write(node.at("lib/corosync.authkey"), [7; 128]).unwrap();
        }
        node
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A path below the mount point.
    pub fn pve(&self, path: &str) -> PathBuf {
        self.at("mnt").join(path)
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.pve(path)).unwrap_or_default()
    }

    pub fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    /// The daemon, not started yet.
    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(["pmxcfs", "-f", "--address", "10.0.0.1", "--name", &self.name])
            .arg("--mount")
            .arg(self.at("mnt"))
            .arg("--folder")
            .arg(self.at("lib"))
            .arg("--cluster-conf")
            .arg(self.at("cluster.conf"))
            .arg("--pid-file")
            .arg(self.at("pid"))
            .arg("--membership")
            .arg(self.at("view"))
            .args(["--listen", &self.place])
            .args(more);
        command
    }

    pub fn start(&mut self, more: &[&str]) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.at("log")).unwrap();
        let child = self.command(more).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        let mounted = || self.pve("local").symlink_metadata().is_ok();
        wait(&format!("{} to mount", self.name), mounted);
    }

    /// Ends the daemon as the init script does.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            child.wait().unwrap();
        }
    }

    /// Power loss.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What this node's cman sees from now on.
    pub fn sees(&self, members: &[&Self], quorate: bool) {
        let members: serde_json::Map<String, serde_json::Value> =
            members.iter().map(|node| (node.id.to_string(), node.place.clone().into())).collect();
        let view = serde_json::json!({ "me": self.id, "quorate": quorate, "members": members });
        std::fs::write(self.at("view.new"), view.to_string()).unwrap();
        std::fs::rename(self.at("view.new"), self.at("view")).unwrap();
    }

    /// The mode of something below the mount point.
    pub fn mode(&self, path: &str) -> u32 {
        self.pve(path).symlink_metadata().unwrap().permissions().mode() & 0o7777
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        let _ = nix::mount::umount2(&self.at("mnt"), nix::mount::MntFlags::MNT_DETACH);
        if std::thread::panicking() {
            eprintln!("{}: {}", self.name, std::fs::read_to_string(self.at("log")).unwrap_or_default());
        }
    }
}

/// cluster.conf with `count` nodes of one vote each.
pub fn conf(count: u32) -> String {
    let node = |id| format!("<clusternode name=\"pve{id}\" votes=\"1\" nodeid=\"{id}\"/>");
    let nodes: String = (1..=count).map(node).collect();
    format!(
        "<?xml version=\"1.0\"?><cluster name=\"DLLL-CIAS\" config_version=\"{count}\"><cman keyfile=\"/k\"/><clusternodes>{nodes}</clusternodes></cluster>"
    )
}

/// The error number of something that failed.
pub fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}
