//! A wire in network namespaces: a bridge in one, agents in others, and a port of it in a thread of the test. Needs root.
//!
//! Nobody enters a namespace that is there already, which the target's kernel cannot do either: a shell is born in each and runs what it
//! is told.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cias_firstboot::agent::link::{Link, Received};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// All waits of the agents are divided by this.
pub const HURRY: u32 = 10;

/// The longest that anything may take.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// May this process make network namespaces?
pub fn allowed() -> bool {
    let allowed = nix::unistd::geteuid().is_root();
    if !allowed {
        eprintln!("skipped: network namespaces need root");
    }
    allowed
}

/// Waits until `what` gives something.
pub fn wait<T>(why: &str, what: impl FnMut() -> Option<T>) -> T {
    wait_telling(|| why.to_owned(), what)
}

/// As [`wait`], with more to tell if it takes too long.
pub fn wait_telling<T>(tell: impl Fn() -> String, mut what: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(Instant::now() < end, "waited too long for {}", tell());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A network namespace with a shell in it; it goes with the value.
pub struct Space {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Space {
    /// A new one, with its own `/sys`.
    pub fn new() -> Self {
        let mut shell = Command::new("unshare")
            .args(["-n", "-m", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let mut space = Self { shell, input, output: BufReader::new(output) };
        space.run("mount -t sysfs sysfs /sys");
        space
    }

    /// Its name for `ip link set ... netns`.
    pub fn id(&self) -> u32 {
        self.shell.id()
    }

    /// Runs a line, which must succeed, and returns its last word.
    pub fn run(&mut self, line: &str) -> String {
        writeln!(self.input, "last=$({line}) && echo \"ok $last\" || echo failed").unwrap();
        self.answer(line)
    }

    /// Starts a program and returns its process id.
    pub fn start(&mut self, line: &str) -> Pid {
        writeln!(self.input, "{line} </dev/null >/dev/null & echo \"ok $!\"").unwrap();
        Pid::from_raw(self.answer(line).parse().unwrap())
    }

    /// Waits for a program that has ended or is about to, and returns its exit code.
    pub fn reap(&mut self, pid: Pid) -> i32 {
        writeln!(self.input, "wait {pid}; echo \"ok $?\"").unwrap();
        self.answer("wait").parse().unwrap()
    }

    fn answer(&mut self, line: &str) -> String {
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.strip_prefix("ok").unwrap_or_else(|| panic!("{line}: {answer}")).trim().to_owned()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.shell.id()).unwrap()), Signal::SIGKILL);
        let _ = self.shell.wait();
    }
}

/// The site's key, as in the test's site file.
pub const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// The wire itself.
pub struct Wire {
    hub: Space,
    ports: usize,
}

impl Wire {
    /// A new one with nobody on it.
    pub fn new() -> Self {
        let mut hub = Space::new();
        // Forwards at once, as a switch without spanning tree does.
        hub.run("ip link add wire type bridge forward_delay 0 mcast_snooping 0 && ip link set wire up");
        Self { hub, ports: 0 }
    }

    /// Has the port that was plugged in as the `number`-th (from 1) get no multicast, as a switch that snoops without a querier.
    pub fn drops_multicast(&mut self, number: usize) {
        self.hub.run(&format!("bridge link set dev p{number} mcast_flood off"));
    }

    /// Makes one wire of this and another one, as when an uplink comes back.
    pub fn meets(&mut self, other: &mut Self) {
        self.plug(other.hub.id(), "uplink");
        other.hub.run("ip link set uplink master wire && ip link set uplink up");
    }

    /// Gives the namespace of the task `id` a port `name` on the wire, which is down there.
    pub fn plug(&mut self, id: u32, name: &str) {
        self.ports += 1;
        let port = format!("p{}", self.ports);
        self.hub.run(&format!(
            "ip link add {port} type veth peer name {name} netns {id} && ip link set {port} master wire && ip link set {port} up"
        ));
    }
}

/// A port of the wire in the hands of the test.
pub struct Tap {
    to_send: Option<Sender<Vec<u8>>>,
    heard: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

impl Tap {
    /// On this wire.
    pub fn new(wire: &mut Wire) -> Self {
        let (to_send, sending) = channel::<Vec<u8>>();
        let (hear, heard) = channel();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            tell.send(u32::try_from(nix::unistd::gettid().as_raw()).unwrap()).unwrap();
            let link = wait("the tap's port", || Link::open("tap").unwrap());
            assert!(Command::new("ip").args(["link", "set", "tap", "up"]).status().unwrap().success());
            // What came of its being down.
            let _ = link.receive();
            loop {
                match sending.try_recv() {
                    Ok(bytes) => drop(link.send(&bytes).unwrap()),
                    Err(std::sync::mpsc::TryRecvError::Empty) => {}
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
                match link.receive().unwrap() {
                    Received::Frame(bytes) => drop(hear.send(bytes)),
                    _ => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        wire.plug(told.recv_timeout(DEADLINE).unwrap(), "tap");
        Self { to_send: Some(to_send), heard, thread: Some(thread) }
    }

    /// Sends a frame's bytes.
    pub fn send(&self, bytes: &[u8]) {
        self.to_send.as_ref().unwrap().send(bytes.to_vec()).unwrap();
    }

    /// The next frame's bytes, if one comes soon.
    pub fn hear(&self) -> Option<Vec<u8>> {
        self.heard.recv_timeout(Duration::from_millis(20)).ok()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.to_send = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
