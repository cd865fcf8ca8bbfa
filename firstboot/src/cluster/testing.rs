//! Stand-in: a node whose `pvecm`, cman and cluster file system are a few files in a folder. For tests only.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::log::Log;
use crate::runner::fake::Fake;
use crate::site::{Place, Site, from_text, tests::example};
use crate::step::Step;
use crate::system::{Sysroot, System};
use crate::tree::Tree;

pub(super) const NAME: &str = "DLLL-CIAS";
pub(super) const ADMIN: &str = "ssh-rsa ADMIN admin";

/// What the node is like outside of itself.
#[derive(Clone)]
pub(super) struct World {
    root: Sysroot,
    /// Do the others answer, so that there is quorum?
    pub(super) has_others: Arc<AtomicBool>,
}

impl World {
    fn write(&self, path: &str, text: &str) {
        let path = self.root.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.root.path(path);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }

    fn has(&self, path: &str) -> bool {
        self.root.has(path)
    }

    /// `/etc/pve/.members` as it would be now.
    fn show(&self) {
        if !self.has("/etc/pve/local") {
            return self.remove("/etc/pve/.members");
        }
        let quorate = self.has("/run/cman") && self.has_others.load(Ordering::SeqCst);
        let cluster = format!("\"cluster\": {{\"name\": \"{NAME}\", \"quorate\": {}}},", u8::from(quorate));
        let cluster = if self.has("/etc/pve/cluster.conf") { cluster } else { String::new() };
        let online = u8::from(quorate);
        self.write(
            "/etc/pve/.members",
            &format!("{{\"nodename\": \"me\", {cluster} \"nodelist\": {{\"me\": {{\"online\": {online}}}, \"m\": {{\"online\": {online}}}}}}}"),
        );
    }

    pub(super) fn start_filesystem(&self) {
        if !self.has("/var/lib/pve-cluster/config.db") {
            self.remove("/etc/pve");
            self.write("/var/lib/pve-cluster/config.db", "");
            if let Some(conf) = self.root.attribute("/etc/cluster/cluster.conf") {
                self.write("/etc/pve/cluster.conf", &conf);
            }
            self.write("/etc/pve/priv/authorized_keys", "ssh-rsa OWN me\n");
        }
        if !self.has("/etc/pve/local") {
            std::os::unix::fs::symlink("nodes/me", self.root.path("/etc/pve/local")).unwrap();
        }
        self.show();
    }

    fn stop_filesystem(&self) {
        self.remove("/etc/pve/local");
        self.show();
    }

    pub(super) fn start_cman(&self) {
        if self.has("/etc/cluster/cluster.conf") {
            self.write("/run/cman", "");
        }
        self.show();
    }

    fn stop_cman(&self) {
        self.remove("/run/cman");
        self.show();
    }

    /// What create and add have in common.
    fn configure(&self) {
        let own = self.root.path("/root/.ssh/authorized_keys");
        if !own.is_symlink() {
            fs::remove_file(&own).unwrap();
            // Without importing what was in it, which is the worst that can happen.
            std::os::unix::fs::symlink(self.root.path("/etc/pve/priv/authorized_keys"), own).unwrap();
        }
        self.write("/var/lib/pve-cluster/corosync.authkey", "k");
        self.write("/etc/cluster/cluster.conf", &format!("<cluster name=\"{NAME}\" config_version=\"1\">"));
    }

    fn create(&self) {
        if self.has("/etc/pve/cluster.conf") || self.has("/var/lib/pve-cluster/corosync.authkey") {
            return;
        }
        self.configure();
        self.write("/etc/pve/cluster.conf", &format!("<cluster name=\"{NAME}\" config_version=\"1\">"));
        self.start_cman();
    }

    fn add(&self) {
        if ["/etc/pve/cluster.conf", "/var/lib/pve-cluster/corosync.authkey", "/run/cman"]
            .iter()
            .any(|path| self.has(path))
        {
            return;
        }
        self.configure();
        self.stop_filesystem();
        self.remove("/var/lib/pve-cluster/config.db");
        self.start_filesystem();
        self.start_cman();
    }

    /// The power comes back.
    pub(super) fn boot(&self) {
        self.stop_cman();
        self.stop_filesystem();
        self.start_filesystem();
        self.start_cman();
    }
}

/// The node.
pub(super) struct Node {
    tree: Tree,
    pub(super) world: World,
    pub(super) site: Site,
    pub(super) place: Place,
}

impl Node {
    pub(super) fn new() -> Self {
        let tree = Tree::from_text(&format!(
            "/etc/hosts = 127.0.0.1 localhost\\n10.254.1.1 me.example.com me pvelocalhost\n\
             /root/.ssh/authorized_keys = {ADMIN}\n\
             /var/lib/pve-cluster/config.db = x\n/etc/pve/priv/authorized_keys = ssh-rsa OWN me\n\
             /sys/class/net/eth0/device -> ../../../devices/pci0000:00/0000:00:03.0/virtio0\n\
             /sys/class/net/eth0/type = 1\n/sys/class/net/eth0/address = 52:54:00:00:00:01\n"
        ));
        let world = World { root: tree.root(), has_others: Arc::new(AtomicBool::new(true)) };
        world.boot();
        let place =
            Place { address: [10, 254, 1, 1].into(), name: "me".into(), fqdn: "me.example.com".into() };
        Self { tree, world, site: from_text(&example()).unwrap(), place }
    }

    pub(super) fn root(&self) -> Sysroot {
        self.tree.root()
    }

    /// Its commands.
    pub(super) fn commands(&self) -> Fake {
        let does = |world: &World, deed: fn(&World)| {
            let world = world.clone();
            move || deed(&world)
        };
        let key = self.root().path("/root/.ssh/.id_rsa.cias-new");
        Fake::default()
            .fails("ethtool", 71, "no")
            .does("pvecm create", does(&self.world, World::create))
            .does("pvecm add 10.254.0.1", does(&self.world, World::add))
            .does("service pve-cluster start", does(&self.world, World::start_filesystem))
            .does("service pve-cluster stop", does(&self.world, World::stop_filesystem))
            .does(
                "service pve-cluster restart",
                does(&self.world, |world| {
                    world.stop_filesystem();
                    world.start_filesystem();
                }),
            )
            .does("service cman start", does(&self.world, World::start_cman))
            .does("service cman stop remove", does(&self.world, World::stop_cman))
            .does("ssh-keygen -q", move || {
                fs::write(&key, "private").unwrap();
                fs::write(key.with_file_name(".id_rsa.cias-new.pub"), "ssh-rsa OWN me\n").unwrap();
            })
    }

    /// Runs a step once with those commands, as the engine does.
    pub(super) fn run(&self, step: &dyn Step, commands: &Fake) -> anyhow::Result<()> {
        let log = Log::silent();
        let system = System { root: self.root(), runner: commands, log: &log };
        if !step.check(&system)?.todo.is_empty() {
            step.apply(&system)?;
            let after = step.check(&system)?;
            assert_eq!(after.todo, [""; 0], "it was applied and is to be done");
        }
        Ok(())
    }

    /// Holds what a member must be.
    pub(super) fn is_member(&self, context: &str) {
        let root = self.root();
        let found = super::stand::stand(&super::stand::Seen::look(&root), NAME);
        assert_eq!(found, super::stand::Stand::Done, "{context}");
        let keys = root.text("/etc/pve/priv/authorized_keys").unwrap();
        assert!(keys.lines().any(|line| line == ADMIN), "{context}: {keys}");
        assert_eq!(super::record::read(&root).as_deref(), Some(NAME), "{context}");
    }

    /// Cuts the power before and after each command of `step` in turn; the next boot must make a member of the node.
    pub(super) fn survives_cuts(step: impl Fn(&Self) -> Box<dyn Step>, commands: impl Fn(&Self) -> Fake) {
        let whole = Self::new();
        let undisturbed = commands(&whole);
        whole.run(step(&whole).as_ref(), &undisturbed).unwrap();
        whole.is_member("undisturbed");
        let count = undisturbed.lines().len();
        assert!(count >= 1);
        for at in 0..2 * count {
            let node = Self::new();
            let cut = node.run(step(&node).as_ref(), &commands(&node).cut_at(at));
            let context = format!("cut at {at} of {:?}", undisturbed.lines());
            assert!(cut.is_err(), "{context}");
            node.world.boot();
            let next = commands(&node);
            node.run(step(&node).as_ref(), &next)
                .unwrap_or_else(|error| panic!("{context}: {error:#}; {:?}", next.lines()));
            node.is_member(&context);
        }
    }
}
