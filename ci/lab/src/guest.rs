//! One virtual server: QEMU under emulation, with its console in a file.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::machine::{Machine, Medium};
use crate::net::Net;
use crate::qmp::Qmp;
use crate::wait;

/// Five times what saving and taking in a state take here at most.
const SAVE: Duration = Duration::from_mins(1);

/// What getty shows.
const LOGIN: &str = "login: ";

/// What init says before it starts getty.
const GETTY_FOLLOWS: &str = "INIT: Entering runlevel";

/// How long to wait for a prompt before Enter is pressed for it.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How a server is switched on.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// From its disks.
    On,
    /// From a medium that comes before them.
    From(Medium<'a>),
    /// From a file with its state, in which it then stands still until it is told to go on.
    Saved(&'a Path),
}

/// A running server; dropped, it is switched off as by a power cut.
pub struct Guest<'n> {
    net: &'n Net,
    taps: Vec<String>,
    qemu: Child,
    console: UnixStream,
    folder: PathBuf,
    name: String,
}

impl<'n> Guest<'n> {
    /// Switches a server on.
    pub fn start(net: &'n Net, machine: &Machine, how: Start<'_>, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let file = |what: &str| folder.join(format!("{}.{what}", machine.name));
        for old in ["console", "tty", "qmp"] {
            crate::base::remove(&file(old))?;
        }
        let taps: Vec<String> =
            (0..machine.nics.len()).map(|index| format!("{}{index}", machine.name)).collect();
        let [first, rest @ ..] = net.inside();
        let mut command = Command::new(first);
        command.args(rest).arg("qemu-system-x86_64");
        command.args(machine.words());
        let (tty, log) = (file("tty"), file("console"));
        command.arg("-chardev").arg(format!(
            "socket,id=tty,path={},server=on,wait=off,logfile={}",
            tty.display(),
            log.display()
        ));
        command.args([
            "-serial",
            "chardev:tty",
            "-qmp",
            &format!("unix:{},server=on,wait=off", file("qmp").display()),
        ]);
        command.args(match how {
            Start::On => Vec::new(),
            Start::From(medium) => medium.words(),
            Start::Saved(state) => {
                ["-S", "-incoming", &format!("exec:cat {}", state.display())].map(str::to_owned).into()
            }
        });
        for ((index, mac), tap) in machine.nics.iter().enumerate().zip(&taps) {
            net.tap(tap)?;
            command.args(["-netdev", &format!("tap,id=n{index},ifname={tap},script=no,downscript=no")]);
            command.args([
                "-device",
                &format!("virtio-net-pci,id=nic{index},netdev=n{index},mac={mac},romfile="),
            ]);
        }
        if taps.is_empty() {
            command.args(["-nic", "none"]);
        }
        let errors = std::fs::File::create(file("qemu")).context("making QEMU's log")?;
        let mut qemu = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .context("starting QEMU")?;
        let connected = wait::until(Duration::from_secs(30), || {
            if qemu.try_wait()?.is_some() {
                bail!(
                    "QEMU did not start: {}",
                    std::fs::read_to_string(file("qemu")).unwrap_or_default().trim()
                );
            }
            Ok(UnixStream::connect(&tty).ok())
        })?;
        let console = connected.context("QEMU opened no console within 30 s")?;
        drain(&console)?;
        let guest = Self { net, taps, qemu, console, folder: folder.to_owned(), name: machine.name.clone() };
        for nic in 0..if machine.link { 0 } else { machine.nics.len() } {
            guest.link(nic, false)?;
        }
        Ok(guest)
    }

    /// What the console showed so far, without colours and control characters.
    pub fn console(&self) -> String {
        let bytes = std::fs::read(self.file("console")).unwrap_or_default();
        plain(&String::from_utf8_lossy(&bytes))
    }

    /// Waits until the console shows `text`; past `limit` the error ends with its last lines.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<()> {
        self.wait(&format!("{text:?} on the console"), limit, |guest| {
            Ok(guest.console().contains(text).then_some(()))
        })
    }

    /// Waits for the login prompt. The agent writes to the same console, and what it says may stand in the middle of that word; then Enter has it
    /// shown again.
    pub fn wait_for_login(&mut self, limit: Duration) -> Result<()> {
        let mut asked = Instant::now();
        self.wait(&format!("{LOGIN:?} on the console"), limit, |guest| {
            let said = guest.console();
            if said.contains(LOGIN) {
                return Ok(Some(()));
            }
            if said.contains(GETTY_FOLLOWS) && asked.elapsed() >= ASK_AGAIN {
                asked = Instant::now();
                (&guest.console).write_all(b"\r").context("pressing Enter")?;
            }
            Ok(None)
        })
    }

    /// Waits for anything; past `limit`, when QEMU ends or the guest runs out of memory, the error ends with the last lines.
    pub fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        all(std::slice::from_mut(self), what, limit, |guests| condition(&guests[0]))
    }

    /// What its end or its lack of memory say against it.
    fn healthy(&mut self, what: &str) -> Result<()> {
        if self.qemu.try_wait()?.is_some() {
            bail!("{}: QEMU ended while the lab waited for {what}\n{}", self.name, self.tail());
        }
        if self.console().contains("Out of memory") {
            bail!("{}: out of memory while the lab waited for {what}\n{}", self.name, self.tail());
        }
        Ok(())
    }

    /// Waits until QEMU ends by itself, as it does when the guest switches off, or reboots with the image in the drive.
    pub fn wait_for_end(&mut self, limit: Duration) -> Result<()> {
        if wait::until(limit, || Ok(self.qemu.try_wait()?))?.is_none() {
            let picture = self.screenshot();
            let said = format!(
                "{}: still running after {} s ({picture})\n{}",
                self.name,
                limit.as_secs(),
                self.tail()
            );
            return Err(wait::Late(said).into());
        }
        Ok(())
    }

    /// Types on the console.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.console
            .write_all(text.as_bytes())
            .with_context(|| format!("typing on the console of {}", self.name))
    }

    /// Pulls the cable of a NIC, or puts it back. A switch sees that, too, and forgets what was behind that port.
    pub fn link(&self, nic: usize, up: bool) -> Result<()> {
        self.qmp("set_link", &json!({"name": format!("nic{nic}"), "up": up}))?;
        self.net.link(&self.taps[nic], up)
    }

    /// Lets each disk do so many operations a second; 0 is as many as it can. A slow disk makes short moments long
    /// enough to be hit.
    pub fn slow_disks(&self, count: usize, operations: u32) -> Result<()> {
        for index in 0..count {
            let limits = json!({"device": format!("d{index}"), "bps": 0, "bps_rd": 0, "bps_wr": 0,
                "iops": operations, "iops_rd": 0, "iops_wr": 0});
            self.qmp("block_set_io_throttle", &limits)?;
        }
        Ok(())
    }

    /// Runs a QMP command.
    pub fn qmp(&self, command: &str, arguments: &serde_json::Value) -> Result<serde_json::Value> {
        Qmp::connect(&self.file("qmp"))?.run(command, arguments)
    }

    /// What the video card shows in its text mode: 25 lines of 80 characters, each a byte with another for its colour.
    pub fn screen(&self) -> Result<String> {
        let memory = self.file("screen");
        self.qmp("pmemsave", &json!({"val": 0xb8000, "size": 80 * 25 * 2, "filename": memory}))?;
        let bytes = std::fs::read(&memory).context("reading the screen")?;
        let text: String = bytes.iter().step_by(2).map(|byte| char::from(*byte)).collect();
        let lines: Vec<String> =
            (0..25).map(|line| text.chars().skip(line * 80).take(80).collect()).collect();
        Ok(lines.join("\n"))
    }

    /// Its name in files and messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lab's ends of its cables.
    pub fn ports(&self) -> impl Iterator<Item = &str> {
        self.taps.iter().map(String::as_str)
    }

    /// Lets it go on, or stand still: nothing in it notices.
    pub fn run(&self, on: bool) -> Result<()> {
        self.qmp(if on { "cont" } else { "stop" }, &json!({})).map(drop)
    }

    /// Writes the state of a server that stands still to a file. Its disks belong to that state, so it must not go on.
    pub fn save(&mut self, state: &Path) -> Result<()> {
        self.qmp("migrate-set-parameters", &json!({"max-bandwidth": 10_000_000_000_u64}))?;
        self.qmp("migrate", &json!({"uri": format!("exec:cat > {}", state.display())}))?;
        self.wait("saved state", SAVE, |guest| {
            let found = guest.qmp("query-migrate", &json!({}))?;
            match found["status"].as_str() {
                Some("completed") => Ok(Some(())),
                Some("failed" | "cancelled") => bail!("{}: saving its state failed: {found}", guest.name),
                _ => Ok(None),
            }
        })
    }

    /// Waits until it has taken in the state that it was started with.
    pub fn loaded(&mut self) -> Result<()> {
        self.wait("state taken in", SAVE, |guest| {
            let found = guest.qmp("query-status", &json!({}))?;
            Ok((found["status"] != "inmigrate").then_some(()))
        })
    }

    fn file(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{}.{what}", self.name))
    }

    fn screenshot(&self) -> String {
        let picture = self.file("png");
        match self.qmp("screendump", &json!({"filename": picture, "format": "png"})) {
            Ok(_) => format!("screen in {}", picture.display()),
            Err(error) => format!("no screenshot: {error:#}"),
        }
    }

    fn tail(&self) -> String {
        let console = self.console();
        let lines: Vec<&str> = console.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut text = format!("last lines of {}:", self.file("console").display());
        for line in &lines[lines.len().saturating_sub(30)..] {
            let _ = write!(text, "\n  | {line}");
        }
        text
    }
}

/// Waits for anything of several servers; the error of a wait in vain ends with the last lines of each.
pub fn all<'n, T>(
    guests: &mut [Guest<'n>],
    what: &str,
    limit: Duration,
    mut condition: impl FnMut(&[Guest<'n>]) -> Result<Option<T>>,
) -> Result<T> {
    let found = wait::until(limit, || {
        if let Some(value) = condition(guests)? {
            return Ok(Some(value));
        }
        guests.iter_mut().try_for_each(|guest| guest.healthy(what))?;
        Ok(None)
    })?;
    if let Some(value) = found {
        return Ok(value);
    }
    let mut said = format!("no {what} within {} s", limit.as_secs());
    for guest in guests {
        let picture = guest.screenshot();
        let _ = write!(said, "\n{} ({picture}): {}", guest.name, guest.tail());
    }
    Err(wait::Late(said).into())
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        for tap in &self.taps {
            if let Err(error) = self.net.untap(tap) {
                eprintln!("lab: {error:#}");
            }
        }
    }
}

/// Reads what the guest prints and throws it away: QEMU keeps it in the log, and a full socket would block the guest.
fn drain(console: &UnixStream) -> Result<()> {
    let mut reader = console.try_clone().context("sharing the console")?;
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while reader.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    Ok(())
}

/// Text without escape sequences and control characters, but with its lines.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            }
        } else if c == '\n' || !c.is_control() {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_control_characters_are_dropped() {
        assert_eq!(plain("\u{1b}[33mwarn\u{1b}[0m\r\nnode login: \0LAB[1]"), "warn\nnode login: LAB[1]");
    }
}
