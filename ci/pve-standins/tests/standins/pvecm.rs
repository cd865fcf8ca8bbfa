//! The stand-in of pvecm on two nodes: its own pmxcfs and cman, with a fake corosync (a file that lists both nodes), and
//! fakes of ssh, scp and ssh-copy-id that reach the other node's folder (pve-3.2-tools.md 4).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{PROGRAM, may_mount, place, wait};

/// Both nodes in one folder; each below its name.
struct Lab(tempfile::TempDir);

fn put(path: &Path, mode: u32, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Lab {
    /// Two standalone nodes as they are after the installation.
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        let mut members = serde_json::Map::new();
        for id in 1..=2 {
            let (cman, pmxcfs, name) = (place(), place(), format!("pve{id}"));
            members.insert(id.to_string(), serde_json::json!({ "cman": cman, "pmxcfs": pmxcfs }));
            lab.node(&name, &cman, &pmxcfs);
        }
        put(&lab.0.path().join("fake"), 0o644, &serde_json::Value::Object(members).to_string());
        for name in ["pve1", "pve2"] {
            assert!(lab.script(name, "pve-cluster", &["start"]).status.success());
            assert!(lab.run(name, &["updatecerts", "-silent", "1"]).status.success());
        }
        lab
    }

    fn node(&self, name: &str, cman: &str, pmxcfs: &str) {
        let (root, all) = (self.at(name, ""), self.0.path().display().to_string());
        let shown = root.display();
        for folder in ["etc/pve", "var/lib/pve-cluster", "var/run", "root", "tmp", "etc/ssh"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        put(&root.join("etc/hostname"), 0o644, name);
        put(&root.join("test-address/pve1"), 0o644, "10.0.0.1");
        put(&root.join("test-address/pve2"), 0o644, "10.0.0.2");
        let key = Command::new("ssh-keygen")
            .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"])
            .arg(root.join("etc/ssh/ssh_host_rsa_key"))
            .status();
        assert!(key.unwrap().success());
        let script = |path: &str, text: &str| {
            put(&root.join(path), 0o755, &format!("#!/bin/sh\n# A fake of a test.\n{text}\n"));
        };
        script(
            "etc/init.d/pve-cluster",
            &format!(
                "start() {{ {PROGRAM} pmxcfs --name {name} --address 10.0.0.9 --mount {shown}/etc/pve --folder {shown}/var/lib/pve-cluster \
                 --cluster-conf {shown}/etc/cluster/cluster.conf --pid-file {shown}/pid --listen {pmxcfs} \
                 --cman {shown}/var/run/cman_standin.sock; }}\n\
                 stop() {{ pid=$(cat {shown}/pid) && kill $pid; while [ -e {shown}/pid ]; do sleep 0.05; done; while kill -0 $pid 2>/dev/null; do sleep 0.05; done; }}\n\
                 case $1 in start) start;; stop) stop;; restart) stop; start;; esac"
            ),
        );
        script("etc/init.d/cman", &format!("exec {PROGRAM} cman-init \"$@\""));
        script(
            "bin/cman_tool",
            &format!(
                "[ \"$1\" = join ] && more='--name {name} --conf {shown}/etc/cluster/cluster.conf --key {shown}/var/lib/pve-cluster/corosync.authkey --fake {all}/fake --listen {cman}' socket='--socket {shown}/var/run/cman_standin.sock'\n\
                 [ \"$1\" = join ] && exec {PROGRAM} cmand $more $socket\n\
                 exec {PROGRAM} cman_tool --socket {shown}/var/run/cman_standin.sock \"$@\""
            ),
        );
        script(
            "bin/ssh",
            &format!(
                "host=$1; shift; [ \"$1 $2\" = '-o BatchMode=yes' ] || exit 99; shift 2; [ ! -e {all}/$host.down ] || exit 255\n\
                 shift; PVE_STANDINS_ROOT={all}/$host PATH={all}/$host/bin:/usr/bin:/bin SSH_CONNECTION=\"10.0.0.2 1 10.0.0.1 22\" exec {PROGRAM} pvecm \"$@\""
            ),
        );
        script(
            "bin/scp",
            &format!(
                "[ \"$1 $2 $3\" = '-q -o BatchMode=yes' ] || exit 99; shift 3\n\
                      for word; do case $word in root@*:*) host=${{word#root@}}; cp {all}/${{host%%:*}}${{word#*:}} {shown}/tmp/pvecm-*/ || exit 1;; esac; done"
            ),
        );
        script(
            "bin/ssh-copy-id",
            &format!(
                "[ \"$1\" = -i ] || exit 99; host=${{3#root@}}; [ ! -e {all}/$host.down ] || exit 1; cat $2.pub >>{all}/$host/etc/pve/priv/authorized_keys"
            ),
        );
    }

    fn at(&self, node: &str, path: &str) -> PathBuf {
        self.0.path().join(node).join(path)
    }

    fn read(&self, node: &str, path: &str) -> String {
        fs::read_to_string(self.at(node, path)).unwrap_or_default()
    }

    fn prepared(&self, node: &str, mut command: Command) -> Command {
        let root = self.at(node, "");
        command.env("PVE_STANDINS_ROOT", &root).env("PATH", format!("{}/bin:/usr/bin:/bin", root.display()));
        command.stdin(Stdio::null());
        command
    }

    fn command(&self, node: &str, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("pvecm").args(words);
        self.prepared(node, command)
    }

    /// One that waits for ever ends with code 124.
    fn run(&self, node: &str, words: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["120", PROGRAM, "pvecm"]).args(words);
        self.prepared(node, command).output().unwrap()
    }

    /// Exit code, output and errors.
    fn said(&self, node: &str, words: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.run(node, words);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    fn script(&self, node: &str, service: &str, words: &[&str]) -> Output {
        let mut command = Command::new(self.at(node, &format!("etc/init.d/{service}")));
        command.args(words);
        self.prepared(node, command).output().unwrap()
    }

    fn members(&self, node: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(node, "etc/pve/.members")).unwrap_or_default()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in ["pve1", "pve2"] {
            // Both may never have started.
            let _ = self.script(name, "cman", &["stop"]);
            let _ = self.script(name, "pve-cluster", &["stop"]);
            let _ = nix::mount::umount2(&self.at(name, "etc/pve"), nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

fn failed(text: &str) -> (Option<i32>, String, String) {
    (Some(255), String::new(), format!("{text}\n"))
}

#[test]
fn from_two_standalone_nodes_to_a_cluster_and_back() {
    if !may_mount() {
        return;
    }
    let lab = Lab::new();
    fs::write(lab.at("pve1", "root/.ssh/other"), "x").unwrap();
    let created = lab.run("pve1", &["create", "DLLL-CIAS"]);
    assert!(created.status.success(), "{created:?}");
    wait("the first node", || lab.members("pve1")["cluster"]["quorate"] == 1);
    assert_eq!(lab.members("pve1")["cluster"]["name"], "DLLL-CIAS");
    assert_eq!(fs::metadata(lab.at("pve1", "var/lib/pve-cluster/corosync.authkey")).unwrap().len(), 128);
    let exists = failed("cluster config '/etc/pve/cluster.conf' already exists");
    assert_eq!(lab.said("pve1", &["create", "OTHER"]), exists);

    let (code, output, errors) = lab.said("pve2", &["add", "pve1"]);
    assert_eq!(code, Some(0), "{output}{errors}");
    let spoken = [
        "copy corosync auth key",
        "stopping pve-cluster service",
        "backup old database",
        "waiting for quorum...",
        "OK",
        "generating node certificates",
        "merge known_hosts file",
        "restart services",
        "successfully added node 'pve2' to cluster.",
    ];
    let mut rest = output.as_str();
    for line in spoken {
        let at = rest.find(line).unwrap_or_else(|| panic!("found no {line:?} in its place: {output}"));
        rest = &rest[at + line.len()..];
    }
    assert_eq!(rest, "\n");
    for node in ["pve1", "pve2"] {
        wait("both", || {
            let list = &lab.members(node)["nodelist"];
            list["pve1"]["online"] == 1 && list["pve2"]["online"] == 1
        });
        assert!(lab.read(node, "etc/cluster/cluster.conf").contains("config_version=\"2\""), "{node}");
    }
    let keys = lab.read("pve2", "etc/pve/priv/authorized_keys");
    assert_eq!(keys.lines().count(), 2, "each node's key once: {keys}");
    let hosts = lab.read("pve1", "etc/pve/priv/known_hosts");
    assert_eq!(hosts.lines().filter(|line| line.starts_with("|1|")).count(), 4, "{hosts}");
    assert!(lab.at("pve1", "etc/pve/nodes/pve2/pve-ssl.pem").exists());
    assert!(fs::read_dir(lab.at("pve2", "var/lib/pve-cluster/backup")).unwrap().count() == 1);
    assert_eq!(lab.said("pve2", &["add", "pve1"]), failed("authentication key already exists"));

    // The other is stopped: the first loses quorum, and gets it back by `expected 1`, silently.
    assert!(lab.script("pve2", "cman", &["stop"]).status.success());
    let local = lab.at("pve1", "etc/pve/local");
    let writable = || local.symlink_metadata().unwrap().permissions().mode() & 0o200 != 0;
    // The fake corosync does not notice by itself.
    let both = fs::read_to_string(lab.0.path().join("fake")).unwrap();
    let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&both).unwrap();
    members.remove("2");
    put(&lab.0.path().join("fake"), 0o644, &serde_json::Value::Object(members).to_string());
    wait("the loss of quorum", || !writable());
    assert_eq!(lab.said("pve1", &["delnode", "pve2"]), failed("cluster not ready - no quorum?"));
    assert_eq!(lab.said("pve1", &["updatecerts"]), failed("no quorum - unable to update files"));
    assert_eq!(lab.said("pve1", &["updatecerts", "-silent"]), (Some(0), String::new(), String::new()));
    let refused = "cman_tool: can't set expected votes: Invalid argument\n".to_owned();
    assert_eq!(lab.said("pve1", &["expected", "2"]), (Some(1), String::new(), refused));
    assert_eq!(lab.said("pve1", &["expected", "1"]), (Some(0), String::new(), String::new()));
    wait("quorum", writable);
    let unknown = "node nobody does not exist in /etc/pve/cluster.conf\n".to_owned();
    assert_eq!(lab.said("pve1", &["delnode", "nobody"]), (Some(1), String::new(), unknown));
    assert_eq!(lab.said("pve1", &["delnode", "pve2"]), (Some(0), String::new(), String::new()));
    assert!(lab.read("pve1", "etc/pve/cluster.conf").contains("config_version=\"3\""));
    assert!(lab.read("pve1", "etc/pve/cluster.conf.old").contains("config_version=\"2\""));
    assert!(lab.at("pve1", "etc/pve/nodes/pve2").exists(), "delnode leaves the folder");
    // Permanent: a restart keeps quorum.
    assert!(lab.script("pve1", "cman", &["restart"]).status.success());
    wait("quorum after a restart", writable);
}

#[test]
fn add_waits_without_end_for_quorum() {
    if !may_mount() {
        return;
    }
    let lab = Lab::new();
    assert!(lab.run("pve1", &["create", "DLLL-CIAS"]).status.success());
    wait("the first node", || lab.members("pve1")["cluster"]["quorate"] == 1);
    // As when multicast is cut off: the second node sees nobody but itself.
    let fake = fs::read_to_string(lab.0.path().join("fake")).unwrap();
    let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&fake).unwrap();
    members.remove("1");
    put(&lab.0.path().join("alone"), 0o644, &serde_json::Value::Object(members).to_string());
    let tool = lab.read("pve2", "bin/cman_tool").replace("/fake ", "/alone ");
    put(&lab.at("pve2", "bin/cman_tool"), 0o755, &tool);
    put(&lab.at("pve2", "etc/default/redhat-cluster-pve"), 0o644, "CMAN_QUORUM_TIMEOUT=1\n");
    let output = fs::File::create(lab.0.path().join("output")).unwrap();
    let mut add = lab.command("pve2", &["add", "pve1"]).stdout(output).spawn().unwrap();
    let said = || fs::read_to_string(lab.0.path().join("output")).unwrap();
    wait("the wait", || said().ends_with("waiting for quorum...\n"));
    assert!(said().contains("Waiting for quorum... ") && said().contains("[FAILED]"), "{}", said());
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(add.try_wait().unwrap().is_none(), "found an end, wanted an endless wait");
    add.kill().unwrap();
    add.wait().unwrap();
    assert!(lab.run("pve2", &["status"]).status.success(), "cman stays up without quorum");
    assert!(
        lab.read("pve1", "etc/pve/cluster.conf").contains("pve2"),
        "a half-joined node stays in the file"
    );
}

#[test]
fn refusals_before_anything_happens() {
    if !may_mount() {
        return;
    }
    let lab = Lab::new();
    for (words, text) in [
        (&["add", "-force", "10.0.0.1"][..], "unable to parse boolean option"),
        (&["expected", "1"], "cman_tool: Cannot open connection to cman, is it running ?"),
    ] {
        let (code, output, errors) = lab.said("pve2", words);
        assert!(code != Some(0) && output.is_empty(), "{words:?}");
        assert_eq!(errors, format!("{text}\n"), "{words:?}");
    }
    for words in
        [&["create", "no_name"][..], &["create"], &["add"], &["expected", "x"], &["delnode", "a", "b"]]
    {
        let (code, _, errors) = lab.said("pve2", words);
        assert!(code == Some(255) && errors.starts_with("400 "), "{words:?}: {errors}");
    }
    fs::create_dir_all(lab.at("pve2", "etc/pve/nodes/pve2/qemu-server")).unwrap();
    fs::write(lab.at("pve2", "etc/pve/qemu-server/100.conf"), "memory: 1\n").unwrap();
    let guests = failed("this host already contains virtual machines - please remove the first");
    assert_eq!(lab.said("pve2", &["add", "pve1"]), guests);
    fs::remove_file(lab.at("pve2", "etc/pve/qemu-server/100.conf")).unwrap();
    put(&lab.0.path().join("pve1.down"), 0o644, "");
    assert_eq!(lab.said("pve2", &["add", "pve1"]), failed("unable to copy ssh ID"));
    assert!(!lab.at("pve2", "var/lib/pve-cluster/corosync.authkey").exists());
    assert!(lab.script("pve2", "cman", &["start"]).status.success(), "without cluster.conf: silent");
    // exit 0 of create although cman does not start
    put(&lab.at("pve1", "bin/cman_tool"), 0o755, "#!/bin/sh\n# A fake of a test.\nexit 1\n");
    assert_eq!(lab.run("pve1", &["create", "DLLL-CIAS"]).status.code(), Some(0));
    assert!(lab.members("pve1").get("cluster").is_none());
    assert!(lab.script("pve2", "pve-cluster", &["stop"]).status.success());
    assert_eq!(lab.said("pve2", &["add", "pve1"]), failed("pve configuration filesystem not mounted"));
}
