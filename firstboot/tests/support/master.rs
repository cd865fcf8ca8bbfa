//! Stand-in: a Master in a folder, with a plain folder in place of the cluster's file system and scripts in place of `pvecm` and
//! `sendmail`. The sshd, the ssh and the program are real, on loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::io::{BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cias_firstboot::cluster::register;
use cias_firstboot::enrol::protocol::{Ask, FromMaster, FromNode, VERSION, hear, tell};
use cias_firstboot::enrol::{service, tag};
use cias_firstboot::files;
use cias_firstboot::hello::MachineId;
use cias_firstboot::hello::ledger::{Ledger, State};
use cias_firstboot::log::Log;
use cias_firstboot::node::load_site;
use cias_firstboot::runner::Host;
use cias_firstboot::site::{Site, Who};
use cias_firstboot::system::{Sysroot, System};
use nix::fcntl::Flock;

const LISTEN: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PROGRAM: &str = env!("CARGO_BIN_EXE_cias-firstboot");
/// What the Master's waits are divided by.
const HURRY: u32 = 10;
const DEADLINE: Duration = Duration::from_mins(1);

/// The cluster's configuration with the Master and `more`.
const CONF: &str =
    "<cluster name=\"DLLL-CIAS\">\n<clusternodes>\n<clusternode name=\"pve-rack-a-0-1\" nodeid=\"1\"/>\n";

/// A Master whose enrolment listens; both go with the value.
pub struct Master {
    folder: tempfile::TempDir,
    /// Its files.
    pub root: Sysroot,
    port: u16,
    hurry: u32,
}

/// May this process run an sshd for root?
pub fn allowed() -> bool {
    if std::env::var_os("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUNNER").is_some() {
        eprintln!(
            "skipped: OpenSSH of Debian 12 does not live under the filter of ci/old-target (docs/target.md)"
        );
        return false;
    }
    let allowed = nix::unistd::geteuid().is_root();
    if !allowed {
        eprintln!("skipped: an sshd that lets root in needs root");
    }
    allowed
}

/// Waits until `what`.
pub fn wait(why: &str, mut what: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !what() {
        assert!(Instant::now() < end, "waited too long for {why}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Master {
    /// One with this `enrol.mode`, and this at the end of its site file.
    pub fn new(mode: &str, at_its_end: &str) -> Self {
        Self::in_a_hurry(mode, at_its_end, HURRY)
    }

    /// The same, all of whose waits are divided by `hurry`.
    pub fn in_a_hurry(mode: &str, at_its_end: &str, hurry: u32) -> Self {
        // sshd takes no keys from below a folder that others may write to, as /tmp is; and it locks itself in /run/sshd.
        fs::create_dir_all("/run/sshd").unwrap();
        let folder = tempfile::tempdir_in("/run").unwrap();
        let port = TcpListener::bind((LISTEN, 0)).unwrap().local_addr().unwrap().port();
        let master = Self { root: Sysroot::new(folder.path().join("root")), folder, port, hurry };
        for name in ["join", "host", "other", "node1", "node2"] {
            let path = master.key(name);
            let kind = ["-q", "-t", "ecdsa", "-b", "256", "-m", "PEM", "-N", "", "-C", name, "-f"];
            assert!(Command::new("ssh-keygen").args(kind).arg(&path).status().unwrap().success());
        }
        master.write_site(mode, at_its_end);
        let status = "Package: pve-manager\nStatus: install ok installed\nVersion: 3.2-4\n";
        master.put("var/lib/dpkg/status", status);
        master.put("etc/hostname", "pve-rack-a-0-1\n");
        master.put("etc/ssh/ssh_host_ecdsa_key.pub", &fs::read_to_string(master.key("host.pub")).unwrap());
        master.put("etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA unknown-to-wheezy\n");
        master.put("etc/pve/priv/authorized_keys", "ssh-rsa AAAA admin\n");
        symlink("nodes/pve-rack-a-0-1", master.path("etc/pve/local")).unwrap();
        symlink("/proc", master.path("proc")).unwrap();
        master.shim(
            "pvecm",
            "test \"$1\" != delnode || /bin/sed -i \"/\\\"$2\\\"/d\" $ROOT/etc/pve/cluster.conf",
        );
        master.shim("sendmail", "/bin/cat >> $ROOT/mails");
        master.cluster(true, &[], &[]);
        let site = master.site();
        register::change(&master.root, |ledger| {
            for number in 1..=2 {
                ledger.grant(machine(number), &who(number), &site)?;
            }
            Ok(())
        })
        .unwrap();
        master.keep();
        master
    }

    /// Replaces the site file.
    pub fn write_site(&self, mode: &str, at_its_end: &str) {
        let text = include_str!("site.toml");
        let (before, rest) = text.split_once("join_key = ").unwrap();
        let (_, after) = rest.split_once("vrrp_password").unwrap();
        let read = |name: &str| fs::read_to_string(self.key(name)).unwrap();
        let pair = |key: &str, name: &str| {
            let public = read(&format!("{name}.pub"));
            format!("{key} = \"\"\"\n{}\"\"\"\n{key}_public = \"{}\"\n", read(name), public.trim())
        };
        let keys = pair("join_key", "join") + &pair("enrol_host_key", "host");
        let enrol = format!("[enrol]\nmode = \"{mode}\"\nport = {}\n{at_its_end}", self.port);
        self.put("etc/cias/site.toml", &format!("{before}{keys}vrrp_password{after}{enrol}"));
        fs::set_permissions(self.path("etc/cias/site.toml"), PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Has the service run, as the agent does.
    pub fn keep(&self) {
        let shims = self.folder.path().join("shims");
        let command = format!(
            "ROOT={root} PATH={} {PROGRAM} --root {root} enrol serve --hurry {}",
            shims.display(),
            self.hurry,
            root = self.root.path("/").display()
        );
        self.as_system(|system| service::keep_for(system, &self.site(), LISTEN, &command).unwrap());
    }

    fn as_system(&self, what: impl FnOnce(&System)) {
        let log = Log::silent();
        let host = Host::new(|_| ());
        what(&System { root: self.root.clone(), runner: &host, log: &log });
    }

    /// The site as the program reads it.
    pub fn site(&self) -> Site {
        load_site(&self.root).unwrap()
    }

    /// Where a file is.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path(relative)
    }

    /// Writes a file at once.
    pub fn put(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// A file's text, empty if it is not there.
    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap_or_default()
    }

    fn shim(&self, name: &str, script: &str) {
        let path = self.folder.path().join("shims").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >> $ROOT/calls\n{script}\n")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// A private key; with `.pub` its public half.
    pub fn key(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the cluster is: whether it has quorum, which nodes besides the Master it counts, and which of them are online.
    pub fn cluster(&self, quorate: bool, counted: &[&str], online: &[&str]) {
        let counts = |name: &&str| format!("<clusternode name=\"{name}\"/>\n");
        let lists = |name: &&str| {
            format!(r#", "{name}": {{"id": 2, "online": {}}}"#, u8::from(online.contains(name)))
        };
        let conf = CONF.to_owned() + &counted.iter().map(counts).collect::<String>();
        let own = r#""pve-rack-a-0-1": {"id": 1, "online": 1, "ip": "10.254.0.1"}"#.to_owned();
        let nodes = own + &counted.iter().map(lists).collect::<String>();
        self.put("etc/pve/cluster.conf", &(conf + "</clusternodes></cluster>\n"));
        let cluster = format!(r#"{{"name": "DLLL-CIAS", "quorate": {}}}"#, u8::from(quorate));
        let members =
            format!(r#"{{"nodename": "pve-rack-a-0-1", "cluster": {cluster}, "nodelist": {{{nodes}}}}}"#);
        self.put("etc/pve/.members", &members);
    }

    /// The ledger as it is.
    pub fn ledger(&self) -> Ledger {
        register::read(&self.root).unwrap()
    }

    /// What became of the place of that machine.
    pub fn state(&self, number: u8) -> State {
        self.ledger().of(machine(number)).unwrap().state
    }

    /// The mails' subjects so far.
    pub fn subjects(&self) -> Vec<String> {
        let mails = self.read("mails");
        let subjects = mails.lines().filter_map(|line| line.strip_prefix("Subject: [DLLL-CIAS] "));
        subjects.map(ToOwned::to_owned).collect()
    }

    /// The enrolment's log.
    pub fn log(&self) -> String {
        self.read("var/log/cias/enrol.log")
    }

    /// Takes all these slots but the first, as other sessions would.
    pub fn fill(&self, kind: &str, count: usize) -> Vec<Flock<fs::File>> {
        let folder = self.path("run/cias").join(kind);
        fs::create_dir_all(&folder).unwrap();
        (1..count).map(|number| files::lock(&folder.join(number.to_string()), String::new).unwrap()).collect()
    }

    /// Runs `cias` there and wants `code`; returns both streams.
    pub fn cias(&self, code: i32, args: &[&str]) -> String {
        let output =
            Command::new(PROGRAM).arg("--root").arg(self.root.path("/")).args(args).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.code(), Some(code), "cias {args:?}: {said}");
        said
    }

    /// An ssh with that key and these options and words.
    pub fn ssh(&self, key: &str, options: &[&str], words: &[&str]) -> Command {
        let known = self.key("known_hosts");
        let host = fs::read_to_string(self.key("host.pub")).unwrap();
        fs::write(&known, format!("[{LISTEN}]:{} {host}", self.port)).unwrap();
        let mut command = Command::new("ssh");
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "LogLevel=INFO",
        ]);
        command
            .args(["-o", "StrictHostKeyChecking=yes", "-o"])
            .arg(format!("UserKnownHostsFile={}", known.display()));
        command.arg("-i").arg(self.key(key)).args(["-p", &self.port.to_string()]);
        command.args(options).arg(format!("root@{LISTEN}")).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn ssh_ends(&self, key: &str, options: &[&str], words: &[&str]) -> Output {
        self.ssh(key, options, words).output().unwrap()
    }

    /// What machine `number` asks when all is well.
    pub fn ask(&self, number: u8) -> Ask {
        Ask {
            version: VERSION,
            site: tag(&self.site().secrets.key).unwrap(),
            machine: machine(number),
            who: who(number),
            release: "3.2-4".into(),
            address: [10, 254, 1, number].into(),
            name: name(number),
            key: fs::read_to_string(self.key(&format!("node{number}.pub"))).unwrap().trim().into(),
        }
    }

    /// A session in which this is asked.
    pub fn asks(&self, ask: Ask) -> Session {
        self.begins(&FromNode::Ask(ask))
    }

    /// A session that begins with this word.
    pub fn begins(&self, word: &FromNode) -> Session {
        let mut child = self.ssh("join", &[], &[]).stdin(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut session = Session { child, input, output };
        session.says(word);
        session
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.as_system(|system| service::end(system).unwrap());
        // What still takes a join back writes below the folder, which is to go.
        let own = self.folder.path().display().to_string();
        let end = Instant::now() + DEADLINE;
        while is_named_by_a_process(&own) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Does the command line of any process name this folder?
fn is_named_by_a_process(folder: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(folder))
}

/// The host name of machine `number`.
pub fn name(number: u8) -> String {
    format!("pve-rack-a-1-{number}")
}

fn who(number: u8) -> Who {
    Who { macs: vec![format!("52:54:00:00:00:{number:02x}")], serial: None }
}

/// The id of machine `number`.
pub fn machine(number: u8) -> MachineId {
    MachineId::of(&who(number).macs).unwrap()
}

/// One session of ssh, the node's side.
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Session {
    /// Says it.
    pub fn says(&mut self, what: &FromNode) {
        tell(self.input.as_mut().unwrap(), what).unwrap();
    }

    /// The next line.
    pub fn hears(&mut self) -> FromMaster {
        if let Some(line) = hear(&mut self.output).unwrap() {
            return line;
        }
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("the session ended: {said}");
    }

    /// The next line, which must be the welcome.
    pub fn is_welcome(&mut self) -> cias_firstboot::enrol::protocol::Welcome {
        loop {
            match self.hears() {
                FromMaster::Welcome(welcome) => return welcome,
                FromMaster::Wait(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next line, which must be a refusal; and whether it is for good.
    pub fn is_refused(&mut self) -> (String, bool) {
        match self.hears() {
            FromMaster::Refused(refused) => (refused.reason, refused.is_final),
            other => panic!("{other:?}"),
        }
    }

    /// As when the node's power goes: nothing is said any more, and nothing closed in order.
    pub fn dies(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process id of the enrolment's sshd.
pub fn pid(root: &Path) -> String {
    fs::read_to_string(root.join("run/cias/enrol-sshd.pid")).unwrap_or_default()
}
