//! Stand-in: a machine whose `MooseFS` is a few flags, and does what docs/facts.md 18 says of the real one, in both dialects. For tests only.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};

use super::super::{DATA, detect, metadata};
use super::*;
use crate::runner::Output;
use crate::runner::fake::Fake;
use crate::tree::Tree;

pub(super) const VIP: Ipv4Addr = Ipv4Addr::new(10, 254, 0, 254);

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact of the machine")]
pub(super) struct State {
    pub(super) running: BTreeSet<&'static str>,
    pub(super) is_immutable: bool,
    pub(super) has_address: bool,
    /// The role address goes while the web view is started.
    pub(super) is_fickle: bool,
    /// The process behind the mount has ended.
    pub(super) is_dead: bool,
    /// The metadata server does not take its chunkserver.
    pub(super) is_refused: bool,
    /// On another machine, for a node that is no founder.
    pub(super) has_remote: bool,
    pub(super) remote_base: bool,
    pub(super) web: bool,
    pub(super) changes: u64,
    pub(super) goal: u8,
    pub(super) trash: u32,
    /// How often it closes a connection.
    pub(super) refusals: u32,
    pub(super) others: Vec<Chunkserver>,
}

pub(super) struct World {
    pub(super) tree: Tree,
    pub(super) dialect: &'static dyn Dialect,
    pub(super) state: Mutex<State>,
}

fn output(code: i32, stdout: &str, stderr: &str) -> Output {
    Output { code, stdout: stdout.into(), stderr: stderr.into() }
}

impl World {
    fn is_old(&self) -> bool {
        self.dialect.version() == "1.6.27"
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.tree.root().path(&format!("{DATA}/{name}")), bytes).unwrap();
    }

    fn of_version(&self, version: u64) -> Vec<u8> {
        match (self.is_old(), version) {
            (true, _) => [b"MFSM 1.5\0\0\0\x01", &version.to_be_bytes()[..], &[0; 75]].concat(),
            (false, 0) => metadata::EMPTY.to_vec(),
            (false, _) => [b"MFSM 2.0", &version.to_be_bytes()[..], &[0; 59], b"[MFS EOF MARKER]"].concat(),
        }
    }

    pub(super) fn master(&self, word: &str, state: &mut State) -> Output {
        let at = |name: &str| self.tree.root().path(&format!("{DATA}/{name}"));
        match word {
            "start" if !at(metadata::ENDED).exists() => {
                return output(1, "", "can't find metadata.mfs - try using option '-a'");
            }
            "start" => {
                fs::rename(at(metadata::ENDED), at(metadata::RUNNING)).unwrap();
                if state.changes == 0 {
                    self.write(metadata::RUNNING, &self.of_version(0));
                }
                state.running.insert("mfsmaster");
            }
            "stop" => {
                state.running.remove("mfsmaster");
                let folders = self.tree.root().names("/mnt/mfs").len();
                state.changes += u64::try_from(folders).unwrap();
                self.write(metadata::ENDED, &self.of_version(state.changes));
            }
            _ => {}
        }
        Output::default()
    }

    /// It fetches when it connects, and 3.0 does not take an empty file system for a base.
    fn metalogger(&self, state: &mut State) {
        state.running.insert("mfsmetalogger");
        let running = self.tree.root().path(&format!("{DATA}/{}", metadata::RUNNING));
        let is_here = state.running.contains("mfsmaster");
        let base = if is_here { fs::read(running).ok() } else { None };
        let base = base.or_else(|| state.remote_base.then(|| self.of_version(7)));
        if let Some(base) = base.filter(|base| self.is_old() || base != metadata::EMPTY) {
            self.write(metadata::FETCHED, &base);
        }
    }

    fn answer(&self, line: &str) -> Output {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let words: Vec<&str> = line.split(' ').collect();
        let last = *words.last().unwrap();
        match (words[0], last) {
            (name @ ("mfsmaster" | "mfsmetalogger" | "mfschunkserver"), "test") => {
                let runs = state.running.contains(name);
                let said = if runs { format!("{name} pid: 77") } else { format!("{name} is not running") };
                return output(i32::from(runs == self.is_old()), "", &said);
            }
            ("mfsmaster", word) => return self.master(word, state),
            ("mfsmetalogger", "start" | "restart") => self.metalogger(state),
            ("mfschunkserver", "start") => drop(state.running.insert("mfschunkserver")),
            ("chattr", _) => state.is_immutable = true,
            ("lsattr", path) => {
                let flags = if state.is_immutable { "----i--------e--" } else { "-------------e--" };
                return output(0, &format!("{flags} {path}\n"), "");
            }
            ("mfsmount", _) if state.refusals > 0 => {
                state.refusals -= 1;
                return output(1, "", "error receiving data from mfsmaster: Unknown error");
            }
            ("mfsmount", _) => {
                assert!(state.is_immutable, "{line}");
                let mounts = self.tree.root().text("/proc/mounts").unwrap();
                let new = format!("{mounts}mfs#10.254.0.254:9421 /mnt/mfs fuse.mfs rw 0 0\n");
                fs::write(self.tree.root().path("/proc/mounts"), new).unwrap();
            }
            ("mfsgetgoal", path) => return output(0, &format!("{path}: {}\n", state.goal), ""),
            ("mfsgettrashtime", path) => return output(0, &format!("{path}: {}\n", state.trash), ""),
            ("mfssetgoal", _) => (state.goal, state.changes) = (words[2].parse().unwrap(), state.changes + 1),
            ("mfssettrashtime", _) => {
                (state.trash, state.changes) = (words[2].parse().unwrap(), state.changes + 1);
            }
            ("umount", _) => {
                state.is_dead = false;
                let mounts = self.tree.root().text("/proc/mounts").unwrap();
                let left: String =
                    mounts.split_inclusive('\n').filter(|line| !line.contains(" fuse.mfs ")).collect();
                fs::write(self.tree.root().path("/proc/mounts"), left).unwrap();
            }
            ("mfscgiserv", _) => state.web = false,
            ("start-stop-daemon", _) => {
                state.web = true;
                state.has_address &= !state.is_fickle;
            }
            _ => {}
        }
        Output::default()
    }
}

impl Net for World {
    fn has(&self, address: Ipv4Addr) -> Result<bool> {
        Ok(address == VIP && self.state.lock().unwrap().has_address)
    }

    fn answers(&self, address: Ipv4Addr, port: u16) -> bool {
        let state = self.state.lock().unwrap();
        match port {
            9425 => address == Ipv4Addr::LOCALHOST && state.web,
            9421 => address == VIP && (state.running.contains("mfsmaster") || state.has_remote),
            _ => false,
        }
    }

    fn is_dead(&self, path: &Path) -> bool {
        assert_eq!(path, self.tree.root().path(POINT));
        self.state.lock().unwrap().is_dead
    }

    fn chunkservers(&self, dialect: &dyn Dialect, address: Ipv4Addr) -> Result<Vec<Chunkserver>> {
        assert_eq!((dialect.version(), address), (self.dialect.version(), VIP));
        let state = self.state.lock().unwrap();
        let mut all = state.others.clone();
        if state.running.contains("mfschunkserver") && !state.is_refused {
            all.push(Chunkserver { address: [10, 254, 0, 1].into(), is_connected: true });
        }
        Ok(all)
    }
}

/// What is mounted before `MooseFS` is: the data disks.
pub(super) const DISKS: &str = "/dev/vdb /data/disk1 ext3 rw 0 0\n/dev/vdc /data/disk2 ext3 rw 0 0\n";

/// A machine with the packages of a dialect and two data disks, in a cluster.
pub(super) fn world(dialect: &'static dyn Dialect) -> Arc<World> {
    let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
    let tree = Tree::from_text(&format!(
        "/etc/passwd = root:x:0:0:::\\nmfs:x:{user}:{group}::/var/lib/mfs:/bin/false\n\
         /etc/hosts = 127.0.0.1 localhost\\n10.254.0.254 cias-pve-master\n\
         /proc/self/mountinfo = 15 1 253:1 / / rw - ext3 /dev/vda1 rw\\n16 15 253:16 / /data/disk1 rw - ext3 /dev/vdb rw\\n17 15 253:32 / /data/disk2 rw - ext3 /dev/vdc rw\n\
         /proc/swaps = Filename\n\
         /sys/block/vdb/device -> ../../devices/pci0000:00/0000:00:05.0/virtio2\n/sys/devices/pci0000:00/0000:00:05.0/virtio2/\n\
         /sys/block/vdb/dev = 253:16\n/sys/block/vdb/size = 209715200\n\
         /sys/block/vdc/device -> ../../devices/pci0000:00/0000:00:06.0/virtio3\n/sys/devices/pci0000:00/0000:00:06.0/virtio3/\n\
         /sys/block/vdc/dev = 253:32\n/sys/block/vdc/size = 104857600\n\
         /dev/\n/data/disk1/\n/data/disk2/\n/var/lib/cias/\n\
         /var/lib/mfs/metadata.mfs.empty = MFSM NEW\n/usr/sbin/mfsmaster = x\n/usr/sbin/mfscgiserv = x\n\
         /etc/init.d/{script} = x\n/etc/rc2.d/S20{script} -> ../init.d/{script}\n\
         /etc/pve/local -> nodes/me\n\
         /etc/pve/.members = {{\"nodename\": \"pve-rack-a-0-1\", \"nodelist\": {{\"pve-rack-a-0-1\": {{\"online\": 1}}}}}}\n",
        script = dialect.scripts()[0]
    ));
    let status =
        detect::tests::status(dialect, if dialect.version() == "3.0." { "3.0.117-1" } else { "1.6.27-5" });
    fs::create_dir_all(tree.root().path("/var/lib/dpkg")).unwrap();
    fs::write(tree.root().path("/var/lib/dpkg/status"), status).unwrap();
    fs::write(tree.root().path("/proc/mounts"), DISKS).unwrap();
    // What a new file system begins with.
    let goal = if dialect.version() == "3.0." { 2 } else { 1 };
    let state = State { goal, trash: 604_800, has_address: true, ..State::default() };
    Arc::new(World { tree, dialect, state: Mutex::new(state) })
}

pub(super) fn fake(world: &Arc<World>) -> Fake {
    let (all, root) = (world.clone(), world.tree.root());
    let script = world.dialect.scripts()[0];
    Fake::default()
        .does("update-rc.d", move || {
            let at = |name: &str| root.path(&format!("/etc/rc2.d/{name}{script}"));
            let _ = fs::rename(at("S20"), at("K80"));
        })
        .answers("", move |line| all.answer(line))
}
