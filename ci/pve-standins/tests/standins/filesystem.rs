//! The stand-in of pmxcfs through real system calls, on one node: the tables of pve-3.2-tools.md 2.
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant, SystemTime};

use crate::support::{Node, conf, errno, may_mount, wait};
use nix::libc::{EACCES, EEXIST, EFBIG, EINVAL, ENOSYS, ENOTEMPTY, EPERM};

/// A standalone node with the folders of two nodes, as `pvecm updatecerts` makes them.
fn standalone() -> Node {
    let mut node = Node::new(1, None);
    node.start(&["--lock-seconds", "1"]);
    folders(&node);
    node
}

fn folders(node: &Node) {
    for name in ["dead", "pve1"] {
        for folder in ["qemu-server", "openvz", "priv"] {
            fs::create_dir_all(node.pve(&format!("nodes/{name}/{folder}"))).unwrap();
        }
    }
    fs::create_dir_all(node.pve("priv/lock")).unwrap();
}

fn owner(node: &Node) -> serde_json::Value {
    node.json(".vmlist")["ids"]["100"]["node"].clone()
}

#[test]
fn the_number_of_a_guest_has_one_owner() {
    if !may_mount() {
        return;
    }
    let node = standalone();
    let (dead, mine) =
        (node.pve("nodes/dead/qemu-server/100.conf"), node.pve("nodes/pve1/qemu-server/100.conf"));
    fs::write(&dead, "memory: 512\n").unwrap();
    assert_eq!(errno(fs::write(&mine, "x")), Some(EEXIST));
    assert_eq!(errno(fs::write(node.pve("nodes/pve1/openvz/100.conf"), "x")), Some(EEXIST));
    let aside = node.pve("nodes/pve1/qemu-server/100.conf.tmp.77");
    fs::write(&aside, "x").unwrap();
    assert_eq!(errno(fs::rename(&aside, &mine)), Some(EEXIST));
    assert!(aside.exists(), "the temporary file stays");
    assert_eq!(errno(fs::rename(node.pve("nodes/dead"), node.pve("nodes/x"))), Some(ENOTEMPTY));
    assert_eq!(owner(&node), "dead");
    fs::rename(&dead, &mine).unwrap();
    assert_eq!(owner(&node), "pve1");
    assert_eq!(node.read("qemu-server/100.conf"), "memory: 512\n");
    fs::rename(&mine, node.pve("local/qemu-server/100.conf.dead")).unwrap();
    assert!(node.json(".vmlist").get("ids").is_none());
    fs::write(&dead, "again").unwrap();
    fs::remove_dir_all(node.pve("nodes/dead")).unwrap();
    fs::write(&mine, "free now").unwrap();
    assert_eq!(node.json(".vmlist")["ids"]["100"]["type"], "qemu");
}

#[test]
fn what_is_not_posix() {
    if !may_mount() {
        return;
    }
    let node = standalone();
    let file = node.pve("storage.cfg");
    fs::write(&file, "dir: local\n").unwrap();
    assert_eq!(errno(fs::set_permissions(&file, fs::Permissions::from_mode(0o600))), Some(ENOSYS));
    assert_eq!(errno(std::os::unix::fs::chown(&file, Some(0), Some(0))), Some(ENOSYS));
    assert_eq!(errno(fs::hard_link(&file, node.pve("link"))), Some(EPERM));
    assert_eq!(errno(symlink("x", node.pve("link"))), Some(ENOSYS));
    let fifo = nix::unistd::mkfifo(&node.pve("pipe"), nix::sys::stat::Mode::S_IRUSR);
    assert_eq!(fifo, Err(nix::errno::Errno::ENOSYS));
    fs::File::open(&file).unwrap().sync_all().unwrap();
    let big = vec![b'x'; 128 * 1024];
    fs::write(node.pve("big"), &big).unwrap();
    assert_eq!(fs::read(node.pve("big")).unwrap(), big);
    assert_eq!(errno(fs::write(node.pve("bigger"), [big.as_slice(), b"x"].concat())), Some(EFBIG));
    // The safe way to write, as PVE does it.
    fs::write(node.pve("storage.cfg.tmp.1"), "dir: other\n").unwrap();
    fs::rename(node.pve("storage.cfg.tmp.1"), &file).unwrap();
    assert_eq!(node.read("storage.cfg"), "dir: other\n");
    let mut names: Vec<_> = fs::read_dir(node.pve(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let synthetic = [".clusterlog", ".debug", ".members", ".rrd", ".version", ".vmlist"];
    let mut wanted =
        [&synthetic[..], &["big", "bigger", "local", "nodes", "openvz", "priv", "qemu-server"]].concat();
    wanted.push("storage.cfg");
    assert_eq!(names, wanted);
    for name in synthetic {
        assert_eq!(errno(fs::write(node.pve(name), "x")), Some(EACCES), "{name}");
    }
    assert_eq!(errno(fs::remove_file(node.pve("local"))), Some(EACCES));
    assert_eq!(errno(fs::read_link(node.pve("storage.cfg"))), Some(EINVAL));
}

#[test]
fn a_standalone_node_knows_no_cluster() {
    if !may_mount() {
        return;
    }
    let node = standalone();
    let members = node.json(".members");
    assert_eq!(members["nodename"], "pve1");
    assert!(members["version"].is_u64() && members.as_object().unwrap().len() == 2, "{members}");
    assert_eq!(fs::read_link(node.pve("local")).unwrap().to_str(), Some("nodes/pve1"));
    assert_eq!(fs::read_link(node.pve("openvz")).unwrap().to_str(), Some("nodes/pve1/openvz"));
    assert!(node.json(".version")["vmlist"].is_u64() && node.json(".clusterlog")["data"].is_array());
}

#[test]
fn a_lock_is_taken_over_once_it_is_old() {
    if !may_mount() {
        return;
    }
    let node = standalone();
    let lock = node.pve("priv/lock/file-storage_cfg");
    let unlock = || fs::File::open(&lock).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH));
    fs::create_dir(&lock).unwrap();
    let start = Instant::now();
    assert_eq!(errno(fs::create_dir(&lock)), Some(EEXIST));
    unlock().unwrap();
    assert!(lock.exists() || start.elapsed() > Duration::from_secs(1), "a young lock stays");
    wait("the lock to expire", || unlock().is_err() || fs::create_dir(&lock).is_ok());
    assert!(start.elapsed() > Duration::from_secs(1));
}

#[test]
fn without_quorum_all_writes_fail_and_reads_work() {
    if !may_mount() {
        return;
    }
    let mut node = Node::new(1, Some(&conf(1)));
    node.start(&[]);
    assert!(node.json(".members").get("cluster").is_none(), "cman does not run yet");
    assert_eq!(errno(fs::create_dir(node.pve("nodes"))), Some(EACCES));
    node.sees(&[&node], true);
    wait("quorum", || node.mode("local") == 0o750);
    folders(&node);
    fs::write(node.pve("user.cfg"), "user").unwrap();
    fs::write(node.pve("priv/shadow.cfg"), "secret").unwrap();
    let modes =
        |node: &Node| ["user.cfg", "priv/shadow.cfg", "nodes", "priv", "local"].map(|path| node.mode(path));
    assert_eq!(modes(&node), [0o640, 0o600, 0o750, 0o700, 0o750]);
    node.sees(&[&node], false);
    wait("the loss of quorum", || node.mode("local") == 0o550);
    assert_eq!(modes(&node), [0o440, 0o400, 0o550, 0o500, 0o550]);
    let user = node.pve("user.cfg");
    for (what, done) in [
        ("create", fs::write(node.pve("new"), "x")),
        ("write", fs::write(&user, "x")),
        ("unlink", fs::remove_file(&user)),
        ("rename", fs::rename(&user, node.pve("other"))),
        ("mkdir", fs::create_dir(node.pve("folder"))),
        ("rmdir", fs::remove_dir(node.pve("priv/lock"))),
        ("utime", fs::File::open(&user).unwrap().set_modified(SystemTime::now())),
    ] {
        assert_eq!(errno(done), Some(EACCES), "{what}");
    }
    assert_eq!(node.read("user.cfg"), "user");
    let members = node.json(".members");
    assert_eq!((&members["cluster"]["quorate"], &members["cluster"]["nodes"]), (&0.into(), &1.into()));
    fs::remove_file(node.at("view")).unwrap();
    wait("the end of cman", || node.json(".members").get("cluster").is_none());
}

#[test]
fn the_database_outlives_the_daemon_and_its_death() {
    if !may_mount() {
        return;
    }
    let mut node = standalone();
    fs::write(node.pve("nodes/pve1/qemu-server/100.conf"), "memory: 1\n").unwrap();
    node.stop();
    assert_eq!(fs::read_dir(node.pve("")).unwrap().count(), 0, "not mounted: an empty folder");
    node.start(&[]);
    assert_eq!(owner(&node), "pve1");
    fs::write(node.pve("nodes/pve1/qemu-server/101.conf"), "memory: 2\n").unwrap();
    node.kill();
    node.start(&[]);
    assert_eq!(node.read("qemu-server/101.conf"), "memory: 2\n");
}

#[test]
fn options_and_fatal_errors() {
    if !may_mount() {
        return;
    }
    let mut node = Node::new(1, Some(&conf(2)));
    node.start(&["-l"]);
    assert_eq!(node.mode("local"), 0o750, "-l forces quorum");
    assert!(!node.pve("cluster.conf").exists(), "-l imports nothing");
    let second = node.command(&[]).output().unwrap();
    assert_eq!(second.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&second.stderr).contains("unable to aquire pmxcfs lock"), "{second:?}");
    node.stop();
    fs::remove_file(node.at("lib/config.db")).unwrap();
    node.start(&[]);
    assert_eq!(node.read("cluster.conf"), conf(2), "a missing database begins with cluster.conf");
    node.stop();
    let mut nowhere = std::process::Command::new(crate::support::PROGRAM);
    nowhere.args(["pmxcfs", "-f", "--name", "localhost", "--folder"]).arg(node.at("lib"));
    let nowhere = nowhere.output().unwrap();
    assert_eq!(nowhere.status.code(), Some(255));
    assert!(
        String::from_utf8_lossy(&nowhere.stderr).contains("Unable to get local IP address"),
        "{nowhere:?}"
    );
}

#[test]
fn the_installers_database() {
    let folder = tempfile::tempdir().unwrap();
    let (files, database) = (folder.path().join("files"), folder.path().join("lib/config.db"));
    fs::create_dir_all(files.join("folder")).unwrap();
    fs::write(files.join("datacenter.cfg"), "keyboard: de\n").unwrap();
    fs::write(files.join("user.cfg"), "user:root@pam:1:0:::a@example.org::\n").unwrap();
    let run = |args: &[&std::path::Path]| {
        let output =
            std::process::Command::new(crate::support::PROGRAM).arg("create_pmxcfs_db").args(args).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run(&[&files, &database]), (Some(0), String::new()));
    assert_eq!(fs::metadata(&database).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, said) = run(&[&files, &database]);
    assert_eq!(code, Some(255));
    assert!(said.contains("memdb_create 'datacenter.cfg' failed"), "{said}");
    assert_eq!(run(&[&files]).0, Some(255));
    if !may_mount() {
        return;
    }
    let mut node = Node::new(1, None);
    fs::copy(&database, node.at("lib/config.db")).unwrap();
    node.start(&[]);
    assert_eq!(node.read("datacenter.cfg"), "keyboard: de\n");
    assert!(!node.pve("folder").exists());
}
