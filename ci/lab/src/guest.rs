//! One virtual server: QEMU under emulation, with its console in a file.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cias_firstboot::runner::{Call, Output};
use serde_json::json;

use crate::net::Net;
use crate::qmp::Qmp;
use crate::wait;

/// A disk of a server.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Raw image file.
    pub image: PathBuf,
    /// Serial number that the server sees.
    pub serial: String,
    /// Does the firmware boot from it?
    pub boot: bool,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It takes no writes.
    ReadOnly,
    /// Every read fails.
    Unreadable,
}

impl Disk {
    /// What `-drive` says of it, but for the id.
    fn drive(&self) -> String {
        let image = self.image.display();
        match self.fault {
            Fault::None => format!("format=raw,cache=unsafe,file={image}"),
            Fault::ReadOnly => format!("format=raw,readonly=on,file={image}"),
            Fault::Unreadable => format!(
                "driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={image},\
                 file.inject-error.0.event=read_aio,file.inject-error.0.errno=5,file.inject-error.0.once=off"
            ),
        }
    }
}

/// What a server is made of.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Name for files and messages.
    pub name: String,
    /// Serial number in the firmware.
    pub serial: String,
    /// Memory in MiB.
    pub memory: u32,
    /// Disks in the order of the bus.
    pub disks: Vec<Disk>,
    /// MAC addresses, one for each NIC.
    pub nics: Vec<String>,
    /// Is there a video card?
    pub video: bool,
    /// Are cables in the NICs?
    pub link: bool,
}

/// What stands first in the boot order, before the disks.
#[derive(Clone, Copy, Debug)]
pub enum Medium<'a> {
    /// A CD in the drive.
    Cd(&'a Path),
    /// A stick at a USB port.
    Stick(&'a Path),
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
    /// Switches a server on; with a medium, a reboot ends QEMU, so that its end says "installed".
    pub fn start(net: &'n Net, machine: &Machine, medium: Option<Medium<'_>>, folder: &Path) -> Result<Self> {
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
        command.args([
            "-M",
            "pc",
            "-cpu",
            "qemu64",
            "-accel",
            "tcg,thread=multi,tb-size=256",
            "-smp",
            "1",
            "-display",
            "none",
        ]);
        command.args(["-m", &machine.memory.to_string(), "-vga", if machine.video { "std" } else { "none" }]);
        command.args(["-device", "virtio-rng-pci", "-smbios", &format!("type=1,serial={}", machine.serial)]);
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
        for (index, disk) in machine.disks.iter().enumerate() {
            let boot = if disk.boot { ",bootindex=1" } else { "" };
            command.arg("-drive").arg(format!("if=none,id=d{index},{}", disk.drive()));
            command.arg("-device").arg(format!("virtio-blk-pci,drive=d{index},serial={}{boot}", disk.serial));
        }
        if let Some(medium) = medium {
            let drive = |kind: &str, image: &Path| {
                format!("if=none,id=medium,format=raw,readonly=on{kind},file={}", image.display())
            };
            match medium {
                Medium::Cd(image) => command
                    .args(["-drive", &drive(",media=cdrom", image)])
                    .args(["-device", "ide-cd,drive=medium,bootindex=0"]),
                Medium::Stick(image) => command
                    .args(["-drive", &drive("", image), "-device", "qemu-xhci"])
                    .args(["-device", "usb-storage,drive=medium,bootindex=0"]),
            };
            command.arg("-no-reboot");
        }
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

    /// Waits for anything; past `limit`, when QEMU ends or the guest runs out of memory, the error ends with the last lines.
    pub fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let found = wait::until(limit, || {
            if let Some(value) = condition(self)? {
                return Ok(Some(value));
            }
            if self.qemu.try_wait()?.is_some() {
                bail!("{}: QEMU ended while the lab waited for {what}\n{}", self.name, self.tail());
            }
            if self.console().contains("Out of memory") {
                bail!("{}: out of memory while the lab waited for {what}\n{}", self.name, self.tail());
            }
            Ok(None)
        })?;
        let Some(value) = found else {
            let picture = self.screenshot();
            let said =
                format!("{}: no {what} within {} s ({picture})\n{}", self.name, limit.as_secs(), self.tail());
            return Err(wait::Late(said).into());
        };
        Ok(value)
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

    /// Runs a command in the guest as root, over ssh from the lab's address.
    pub fn ssh(&self, address: &str, key: &Path, command: &str) -> Result<Output> {
        let options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "ConnectTimeout=30",
            "LogLevel=ERROR",
        ];
        let mut call = Call::new("ssh").args(["-i", &key.display().to_string()]);
        for option in options {
            call = call.args(["-o", option]);
        }
        self.net.outcome(&call.args([&format!("root@{address}"), command]).limit(Duration::from_mins(4)))
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
