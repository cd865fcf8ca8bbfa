//! The stand-ins of pvesm and vma through their own programs: on a node in a folder, with fakes of rpcinfo and mount, and on
//! the stand-in of pmxcfs (pve-3.2-tools.md 2.5 and 11, docs/facts.md 19).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::support::{Node, PROGRAM, conf, may_mount, wait};

/// The node's own root.
struct Root(tempfile::TempDir);

impl Root {
    /// With a plain folder in place of the cluster's file system, and fakes that answer and mount.
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        for folder in ["etc/pve/priv/lock", "usr/bin", "bin", "proc"] {
            fs::create_dir_all(root.at(folder)).unwrap();
        }
        symlink("nodes/pve1", root.at("etc/pve/local")).unwrap();
        fs::write(root.at("etc/hostname"), "pve1\n").unwrap();
        root.server("echo asked >>$PVE_STANDINS_ROOT/asked");
        root.script(
            "bin/mount",
            "[ \"$1 $2\" = '-t nfs' ] || exit 99; echo \"$3 $4 nfs4 rw 0 0\" >>$PVE_STANDINS_ROOT/proc/mounts",
        );
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn script(&self, path: &str, text: &str) {
        fs::write(self.at(path), format!("#!/bin/sh\n# A fake of a test.\n{text}\n")).unwrap();
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a question to the portmapper of a server does.
    fn server(&self, text: &str) {
        self.script("usr/bin/rpcinfo", text);
    }

    fn config(&self) -> String {
        fs::read_to_string(self.at("etc/pve/storage.cfg")).unwrap_or_default()
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("pvesm").args(line.split(' ')).env("PVE_STANDINS_ROOT", self.0.path());
        command.output().unwrap()
    }

    /// It must work, and say nothing.
    fn does(&self, line: &str) {
        let output = self.run(line);
        assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
    }

    /// It must fail with 255, say `wanted`, and leave the file as it is.
    fn refuses(&self, line: &str, wanted: &str) {
        let before = self.config();
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(255) && said.contains(wanted), "{line}: {said}");
        assert_eq!(self.config(), before, "{line}");
        assert!(!self.at("etc/pve/priv/lock/file-storage_cfg").exists(), "the lock is left");
    }
}

const NAS: &str = "nas-1 -type nfs -server 10.1.1.1 -export /nas-1 -content backup,iso";

#[test]
fn storages_are_defined_changed_shown_and_removed() {
    let root = Root::new();
    root.does("add a_mfs -type dir -path /mnt/mfs/a -content images,iso,vztmpl,backup -maxfiles 1 -shared 1");
    // It is made at once, also where nothing is mounted.
    for folder in ["images", "template/iso", "template/cache", "dump"] {
        assert!(root.at("mnt/mfs/a").join(folder).is_dir(), "{folder}");
    }
    let wanted = "dir: local\n\tpath /var/lib/vz\n\tcontent vztmpl,rootdir,iso,images\n\tmaxfiles 0\n\n\
                  dir: a_mfs\n\tpath /mnt/mfs/a\n\tcontent vztmpl,iso,images,backup\n\tmaxfiles 1\n\tshared\n\n";
    assert_eq!(root.config(), wanted);
    root.does("set a_mfs -maxfiles 3");
    root.does("set a_mfs -shared 0");
    assert!(
        root.config().ends_with("\tcontent vztmpl,iso,images,backup\n\tmaxfiles 3\n\n"),
        "{}",
        root.config()
    );
    root.refuses("set other -maxfiles 3", "update storage failed: storage 'other' does not exists\n");
    root.refuses("set a_mfs -server x", "update storage failed: unexpected property 'server'\n");
    root.refuses(
        "add a_mfs -type dir -path /x",
        "create storage failed: storage ID 'a_mfs' already defined\n",
    );
    assert!(!root.at("x").exists());
    let status = String::from_utf8(root.run("status").stdout).unwrap();
    let words: Vec<Vec<&str>> = status.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words.len(), 2);
    assert_eq!(
        (words[0][..3].join(" "), words[1][..3].join(" ")),
        ("a_mfs dir 1".into(), "local dir 1".into())
    );
    root.does("remove a_mfs");
    root.does("remove a_mfs");
    assert!(!root.config().contains("a_mfs") && root.at("mnt/mfs/a/dump").is_dir());
}

#[test]
fn what_the_vendors_refuses() {
    let root = Root::new();
    for (line, wanted) in [
        ("add dir ab -path /a", "400 wrong number of arguments\n"),
        (
            "add ab -type tape -path /a",
            "400 Parameter verification failed.\ntype: value 'tape' does not have a value",
        ),
        ("add ab -type dir", "missing value for required option 'path'\n"),
        ("add ab -type nfs -server 10.1.1.1", "missing value for required option 'export'\n"),
        ("add ab -type dir -path /a -server x", "unexpected property 'server'\n"),
        (
            "add ab -type nfs -server x -export /a -content none",
            "storage does not support content type 'none'\n",
        ),
        (
            "add ab -type dir -path /a -content none,iso",
            "unable to combine 'none' with other content types\n",
        ),
        ("add 1b -type dir -path /a", "storage ID '1b' contains illegal characters\n"),
        ("alloc ab 100 x 1G", "ERROR: unknown command 'alloc'\n"),
    ] {
        root.refuses(line, wanted);
    }
    assert!(!root.at("a").exists());
}

#[test]
fn an_nfs_server_is_looked_at_unless_the_storage_is_disabled() {
    let root = Root::new();
    root.server("exit 1");
    root.refuses(&format!("add {NAS}"), "create storage failed: storage 'nas-1' is not online\n");
    root.server("sleep 60");
    let start = Instant::now();
    root.refuses(&format!("add {NAS}"), "create storage failed: storage 'nas-1' is not online\n");
    assert!(start.elapsed() < Duration::from_secs(20), "it waits for two seconds");
    root.does(&format!("add {NAS} -disable 1"));
    assert!(root.config().contains("nfs: nas-1\n\tdisable\n"), "{}", root.config());
    assert!(!String::from_utf8(root.run("status").stdout).unwrap().contains("nas-1"), "it is not in use");
    root.refuses("set nas-1 -server 10.2.2.2", "can't change value of fixed parameter 'server'\n");
    root.does("set nas-1 -disable 0");
    let status = |wanted: &str| {
        let output = root.run("status");
        let (said, told) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let line = said.lines().find(|line| line.starts_with("nas-1 ")).unwrap().to_owned();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..3].join(" "), wanted, "{told}");
        told
    };
    assert_eq!(status("nas-1 nfs 0"), "storage 'nas-1' is not online\n");
    // The next look mounts it.
    root.server("echo asked >>$PVE_STANDINS_ROOT/asked");
    assert_eq!(status("nas-1 nfs 1"), "");
    let mounts = || fs::read_to_string(root.at("proc/mounts")).unwrap();
    assert_eq!(mounts(), "10.1.1.1:/nas-1 /mnt/pve/nas-1 nfs4 rw 0 0\n");
    assert!(root.at("mnt/pve/nas-1/template/iso").is_dir() && !root.at("mnt/pve/nas-1/images").exists());
    status("nas-1 nfs 1");
    assert_eq!(mounts().lines().count(), 1, "it is mounted once");
    root.script("bin/mount", "echo 'access denied by server' >&2; exit 32");
    fs::write(root.at("proc/mounts"), "").unwrap();
    assert_eq!(status("nas-1 nfs 0"), "mount error: access denied by server\n");
}

#[test]
fn without_quorum_or_the_clusters_file_system_nothing_is_written() {
    if !may_mount() {
        return;
    }
    let mut node = Node::new(1, Some(&conf(2)));
    node.start(&[]);
    let root = Root::new();
    fs::remove_dir_all(root.at("etc/pve")).unwrap();
    symlink(node.at("mnt"), root.at("etc/pve")).unwrap();
    node.sees(&[&node], true);
    wait("quorum", || node.mode("local") & 0o200 != 0);
    fs::create_dir_all(node.pve("priv/lock")).unwrap();
    root.does("add a_mfs -type dir -path /mnt/mfs/a -shared 1");
    assert!(node.read("storage.cfg").contains("dir: a_mfs\n"));
    node.sees(&[&node], false);
    wait("no quorum", || node.mode("local") & 0o200 == 0);
    let start = Instant::now();
    root.refuses(
        "set a_mfs -maxfiles 2",
        "update storage failed: can't aquire cfs lock 'file-storage_cfg': no quorum!\n",
    );
    assert!(start.elapsed() >= Duration::from_secs(10), "the lock is waited for");
    // Who reads needs none.
    assert!(root.run("status").status.success());
    node.stop();
    root.refuses(
        "remove a_mfs",
        "can't aquire cfs lock 'file-storage_cfg': pve cluster filesystem not online.\n",
    );
}

#[test]
fn a_lock_that_somebody_has_is_waited_for() {
    let root = Root::new();
    let lock = root.at("etc/pve/priv/lock/file-storage_cfg");
    fs::create_dir(&lock).unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .args(["pvesm", "add", "ab", "-type", "dir", "-path", "/a"])
        .env("PVE_STANDINS_ROOT", root.0.path());
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    // It asks for the lock by its time.
    wait("a request", || {
        fs::metadata(&lock).unwrap().modified().unwrap() == std::time::SystemTime::UNIX_EPOCH
    });
    assert_eq!(root.config(), "");
    fs::remove_dir(&lock).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("trying to aquire cfs lock 'file-storage_cfg' ...")
    );
    assert!(root.config().contains("dir: ab\n") && !lock.exists());
}

fn vma(words: &[&str], folder: &Path) -> Output {
    Command::new(PROGRAM).arg("vma").args(words).current_dir(folder).output().unwrap()
}

#[test]
fn vma_shows_a_guests_configuration() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("qemu-server.conf"), "bootdisk: virtio0\nmemory: 512\n").unwrap();
    let made = vma(&["create", "x.vma", "-c", "qemu-server.conf"], folder.path());
    assert!(made.status.success(), "{made:?}");
    let shown = vma(&["config", "x.vma"], folder.path());
    assert!(shown.status.success() && shown.stdout == b"bootdisk: virtio0\nmemory: 512\n", "{shown:?}");
    let other = vma(&["config", "x.vma", "-c", "other"], folder.path());
    assert_eq!(other.status.code(), Some(255));
    assert_eq!(other.stderr, b"unable to find configuration data 'other'\n");
    assert!(!vma(&["create", "x.vma", "-c", "qemu-server.conf"], folder.path()).status.success());
    // What is no archive ends it by a signal, as g_error does.
    fs::write(folder.path().join("y.vma"), "no archive").unwrap();
    for name in ["y.vma", "z.vma"] {
        let ended = vma(&["config", name], folder.path());
        assert_eq!(ended.status.signal(), Some(nix::libc::SIGTRAP), "{ended:?}");
    }
    assert_eq!(vma(&["config"], folder.path()).status.code(), Some(1));
}
