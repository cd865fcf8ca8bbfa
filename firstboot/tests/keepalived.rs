//! Two real keepalived with our configurations on one wire: the one whose health script passes gets the Master's addresses, and no other.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]

#[path = "support/node.rs"]
mod node;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/wire.rs"]
mod wire;

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use cias_firstboot::cluster::register;
use cias_firstboot::hello::MachineId;
use cias_firstboot::hello::ledger::{Entry, State};
use cias_firstboot::journal::{Journal, Role};
use cias_firstboot::keepalived::conf::{Mode, conf};
use cias_firstboot::node::load_site;
use cias_firstboot::site::Place;
use cias_firstboot::system::Sysroot;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode as Bits;
use nix::unistd::{Pid, mkfifo};
use node::Node;
use wire::{Space, Wire, wait_telling};

const WAN: &str = "[network]\nwan_address = \"192.168.56.101/24\"\nwan_gateway = \"192.168.56.1\"\n";

const VIP: &str = "10.254.0.254/32";

/// All that 2.2.7 has to say of our files, with exit code 6 for it: what would silence it are keywords that 1.2.2 does not know.
const SECURITY: &str = "SECURITY VIOLATION - scripts are being executed but script_security not enabled.";

/// Longer than any node waits after the last advert.
const DOWN_TIMER: Duration = Duration::from_secs(4);

/// A node in a folder, with a settled place.
fn settled(number: u8, role: Role) -> Node {
    let node = Node::new("fresh-node", WAN);
    let place = Place {
        address: Ipv4Addr::new(10, 254, 0, number),
        name: format!("pve-rack-a-0-{number}"),
        fqdn: format!("pve-rack-a-0-{number}.example.com"),
    };
    let set = |state: &mut cias_firstboot::journal::State| {
        state.role = Some(role);
        state.place = Some(place);
    };
    Journal::open(&root(&node)).unwrap().update(set).unwrap();
    node
}

fn root(node: &Node) -> Sysroot {
    Sysroot::new(node.path(""))
}

/// Makes a node the ledger's Master in a cluster with quorum.
fn crown(node: &Node) {
    let root = root(node);
    let mut journal = Journal::open(&root).unwrap();
    journal.update(|state| state.role = Some(Role::Founder)).unwrap();
    let place = journal.state().place.clone().unwrap();
    std::fs::create_dir_all(node.path("etc/pve/nodes/me")).unwrap();
    std::fs::create_dir_all(node.path("run/cias")).unwrap();
    if !node.path("etc/pve/local").is_symlink() {
        std::os::unix::fs::symlink("nodes/me", node.path("etc/pve/local")).unwrap();
    }
    let members = r#"{"nodename": "me", "cluster": {"name": "DLLL-CIAS", "quorate": 1}, "nodelist": {"me": {"online": 1}}}"#;
    std::fs::write(node.path("etc/pve/.members"), members).unwrap();
    let machine = machine(node);
    register::change(&root, |ledger| {
        ledger.enter(Entry { machine, state: State::Member, place, serial: None })
    })
    .unwrap();
}

/// As the node's program knows its machine: by the lowest address of its ports.
fn machine(node: &Node) -> MachineId {
    let ports =
        ["eth0", "eth1"].map(|name| node.read(&format!("sys/class/net/{name}/address")).trim().to_owned());
    MachineId::of(&ports).unwrap()
}

/// A node with a bridge, a bond and a keepalived.
struct Machine {
    node: Node,
    space: Space,
    daemon: Option<Pid>,
}

impl Machine {
    fn new(wire: &mut Wire, number: u8, role: Role) -> Self {
        let mut space = Space::new();
        wire.plug(space.id(), "bond0");
        space.run(&format!(
            "ip link set lo up && ip link add vmbr0 type bridge forward_delay 0 mcast_snooping 0 && ip link set bond0 master vmbr0 && ip link set bond0 up && \
             ip link set vmbr0 up && ip addr add 10.254.0.{number}/8 dev vmbr0"
        ));
        Self { node: settled(number, role), space, daemon: None }
    }

    /// Writes its configuration.
    fn configure(&self, mode: Mode) -> String {
        let program =
            format!("{} --root {}", env!("CARGO_BIN_EXE_cias-firstboot"), self.node.path("").display());
        let text = conf(&load_site(&root(&self.node)).unwrap(), "me", mode, &program).unwrap();
        let path = self.node.path("keepalived.conf");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn start(&mut self, mode: Mode) {
        let conf = self.configure(mode);
        let at = |name: &str| self.node.path(name).display().to_string();
        let line = format!(
            "exec keepalived -n -l -D -P -f {conf} -p {} -r {} 2>{}",
            at("keepalived.pid"),
            at("vrrp.pid"),
            at("keepalived.log")
        );
        self.daemon = Some(self.space.start(&line));
    }

    fn signal(&self, signal: Signal) {
        kill(self.daemon.unwrap(), signal).unwrap();
    }

    /// Ends it gracefully.
    fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        let daemon = self.daemon.take().unwrap();
        self.space.reap(daemon);
    }

    /// The output of a command on one line.
    fn sees(&mut self, command: &str) -> String {
        self.space.run(&format!("{command} 2>&1 | tr '\\n' ';'"))
    }

    fn has_addresses(&mut self) -> bool {
        let all = self.sees("ip -o -4 addr show dev vmbr0");
        let (vip, wan) = (all.contains(VIP), all.contains("192.168.56.101/24"));
        vip && wan
    }

    fn has_an_address(&mut self) -> bool {
        let all = self.sees("ip -o -4 addr show dev vmbr0");
        all.contains(VIP) || all.contains("192.168.56.101/24")
    }

    /// Has it the whole way out, and each part once?
    fn has_way(&mut self) -> bool {
        let routes = self.sees("ip route show table 7322");
        let wanted =
            ["default via 192.168.56.1 dev vmbr0", "192.168.56.0/24 dev vmbr0", "10.0.0.0/8 dev vmbr0"];
        self.rules() == 1 && wanted.iter().all(|route| routes.contains(route))
    }

    fn has_no_way(&mut self) -> bool {
        let routes = self.sees("ip route show table 7322");
        self.rules() == 0 && !routes.contains("dev vmbr0")
    }

    fn rules(&mut self) -> usize {
        self.sees("ip rule show").matches("from 192.168.56.101 lookup 7322").count()
    }

    fn log(&self) -> String {
        ["keepalived.log", "var/log/cias/keepalived.log"].map(|path| self.node.read(path)).join("\n")
    }

    fn waits_for(&mut self, what: &str, holds: impl Fn(&mut Self) -> bool) {
        let log = self.node.path("keepalived.log");
        let own = self.node.path("var/log/cias/keepalived.log");
        let tell = || {
            let read = |path| std::fs::read_to_string(path).unwrap_or_default();
            format!("{what}:\n{}\n{}", read(&log), read(&own))
        };
        wait_telling(tell, || holds(self).then_some(()));
    }

    /// Runs `cias` in its network.
    fn cias(&mut self, words: &str) -> String {
        let line = format!(
            "{} --root {} {words}",
            env!("CARGO_BIN_EXE_cias-firstboot"),
            self.node.path("").display()
        );
        self.space.run(&format!("{{ {line} 2>&1; echo exit $?; }} | tr '\\n' ' '"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.end();
        }
    }
}

#[test]
fn the_addresses_go_to_the_one_that_may_have_them_and_to_nobody_else() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut master = Machine::new(&mut wire, 1, Role::Founder);
    crown(&master.node);
    // What it may not have is not a matter of its priority.
    let mut other = Machine::new(&mut wire, 2, Role::Node);
    other.start(Mode::Usual(90));
    other.waits_for("FAULT", |other| other.log().contains("VRRP_Script(cias_master) failed"));
    master.start(Mode::Usual(50));
    master.waits_for("the addresses", Machine::has_addresses);
    master.waits_for("the way out", Machine::has_way);
    assert!(!other.has_an_address(), "{}", other.log());

    assert!(master.cias("status").contains("the Master's address 10.254.0.254 is here"));
    assert!(other.cias("status").contains("the Master's address 10.254.0.254 is not here"));

    // keepalived runs it at each change; a person may, too.
    assert!(master.cias("promote").contains("leaves by 192.168.56.1 exit 0"));
    assert!(master.has_way());
    let refused = master.cias("demote");
    assert!(refused.contains("this node has 10.254.0.254") && refused.ends_with("exit 5"), "{refused}");
    assert!(master.has_way());

    master.end();
    let end = Instant::now() + DOWN_TIMER;
    assert!(!master.has_an_address(), "{}", master.log());
    master.waits_for("no way out", Machine::has_no_way);
    while Instant::now() < end {
        assert!(!other.has_an_address(), "{}", other.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!other.log().contains("Entering MASTER STATE"), "{}", other.log());

    // It was ready to all along.
    crown(&other.node);
    other.waits_for("the addresses", Machine::has_addresses);
    other.waits_for("the way out", Machine::has_way);
}

#[test]
fn a_master_that_loses_quorum_gives_its_addresses_up_and_they_are_not_pulled_back() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut first = Machine::new(&mut wire, 1, Role::Founder);
    let mut second = Machine::new(&mut wire, 2, Role::Node);
    crown(&first.node);
    crown(&second.node);
    first.start(Mode::Usual(50));
    first.waits_for("the addresses", Machine::has_addresses);
    second.start(Mode::Usual(49));
    second.waits_for("BACKUP", |second| second.log().contains("Entering BACKUP STATE"));
    let members = first.node.path("etc/pve/.members");
    let quorate = std::fs::read_to_string(&members).unwrap();
    std::fs::write(&members, quorate.replace("\"quorate\": 1", "\"quorate\": 0")).unwrap();
    first.waits_for("no addresses", |first| !first.has_an_address());
    first.waits_for("no way out", Machine::has_no_way);
    second.waits_for("the addresses", Machine::has_addresses);

    // Well again, and of a higher priority.
    std::fs::write(&members, quorate).unwrap();
    first.waits_for("BACKUP", |first| first.log().matches("Entering BACKUP STATE").count() >= 2);
    assert!(second.has_addresses() && !first.has_an_address());

    // A manual switch pulls them.
    first.configure(Mode::Manual);
    first.signal(Signal::SIGHUP);
    first.waits_for("the addresses", Machine::has_addresses);
    second.waits_for("no addresses", |second| !second.has_an_address());
    second.waits_for("no way out", Machine::has_no_way);
    first.waits_for("the way out", Machine::has_way);
}

#[test]
fn keepalived_takes_each_file_without_a_complaint() {
    if !wire::allowed() {
        return;
    }
    let mut wire = Wire::new();
    let mut machine = Machine::new(&mut wire, 1, Role::Founder);
    for mode in [Mode::Usual(1), Mode::Usual(50), Mode::Manual] {
        for more in [WAN, ""] {
            machine.node.site(more);
            let conf = machine.configure(mode);
            let said = machine
                .space
                .run(&format!("{{ keepalived -t -f {conf} 2>&1; echo exit $?; }} | tr '\\n' ' '"));
            assert_eq!(said, format!("{SECURITY} exit 6"), "{mode:?}");
        }
    }
    // It does complain.
    let conf = machine.configure(Mode::Usual(50));
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text.replace("priority 50", "priority 300")).unwrap();
    let said =
        machine.space.run(&format!("{{ keepalived -t -f {conf} 2>&1; echo exit $?; }} | tr '\\n' ' '"));
    assert!(said.contains("Priority not valid"), "{said}");
}

#[test]
fn a_cluster_file_system_that_does_not_answer_keeps_nobody_waiting() {
    let node = settled(1, Role::Founder);
    crown(&node);
    let (_, said) = node.wants(0, &["check-master"]);
    assert_eq!(said, "");
    // Whoever opens it waits for a writer that never comes.
    let members = node.path("etc/pve/.members");
    std::fs::remove_file(&members).unwrap();
    mkfifo(&members, Bits::from_bits_truncate(0o600)).unwrap();
    let begin = Instant::now();
    // What was found a moment ago holds, and no longer than a moment.
    node.wants(0, &["check-master"]);
    std::fs::write(node.path("run/cias/check-master.passed"), "0").unwrap();
    let (_, said) = node.wants(6, &["check-master"]);
    assert!(said.contains("did not end within"), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // One that cannot be killed holds the lock, and the next gives up at once: it does not even come to the pipe.
    let program = env!("CARGO_BIN_EXE_cias-firstboot");
    let mut looks = Command::new(program)
        .arg("--root")
        .arg(node.path(""))
        .args(["check-master", "--look"])
        .env_clear()
        .spawn()
        .unwrap();
    // Opened without waiting, a pipe has a writer only once it has a reader. We write nothing, so that it reads on.
    let writer = wire::wait("the first look", || {
        File::options().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&members).ok()
    });
    let (_, said) = node.wants(6, &["check-master"]);
    assert!(said.contains("still waits"), "{said}");
    drop(writer);
    looks.kill().unwrap();
    looks.wait().unwrap();
}
