//! The screens that a person in front of a server may look at: VGA and serial, at the same time.
//!
//! The installer runs with its output on a console that nobody sees, so these are opened by name.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, SetArg, Termios, cfmakeraw, tcflush, tcgetattr, tcsetattr};

use crate::outcome::Class;

/// One terminal that works.
struct Terminal {
    file: File,
    /// As it was found.
    settings: Termios,
}

/// All terminals that work; with none at all, everything said is dropped and no key ever comes.
pub struct Console {
    terminals: Vec<Terminal>,
}

impl Console {
    /// The visible virtual terminal, the first serial port, and what the kernel line names by `console=`; those of them
    /// that are there. `devices` is `/dev` on a machine.
    pub fn open(devices: &Path, kernel_line: &str) -> Self {
        let mut names = vec!["tty0", "ttyS0"];
        let words = kernel_line.split_whitespace().filter_map(|word| word.strip_prefix("console="));
        for name in words.filter_map(|value| value.split(',').next()) {
            if !names.contains(&name) && name.starts_with("tty") {
                names.push(name);
            }
        }
        Self { terminals: names.iter().filter_map(|name| terminal(&devices.join(name))).collect() }
    }

    /// Shows a line, or more, everywhere. A terminal that takes no more output must not stop the installation.
    pub fn say(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Writes as it stands; every newline also returns to the first column, raw terminals don't do that.
    pub fn write(&self, text: &str) {
        let text = text.replace('\n', "\r\n");
        for terminal in &self.terminals {
            let _ = (&terminal.file).write_all(text.as_bytes());
        }
    }

    /// Waits for a key on any terminal; which one it came from, and the key.
    pub fn key(&mut self, limit: Duration) -> Result<Option<(usize, u8)>> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // Rounded up, so that a rest below a millisecond does not spin.
            let timeout =
                PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
            let mut polled: Vec<PollFd> =
                self.terminals.iter().map(|it| PollFd::new(it.file.as_fd(), PollFlags::POLLIN)).collect();
            match poll(&mut polled, timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error).context("waiting for a key"),
            }
            let ready: Vec<bool> =
                polled.iter().map(|it| it.revents().is_some_and(|events| !events.is_empty())).collect();
            for (at, _) in ready.iter().enumerate().filter(|(_, ready)| **ready).rev() {
                let mut byte = [0];
                match (&self.terminals[at].file).read(&mut byte) {
                    Ok(1) => return Ok(Some((at, byte[0]))),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    // Hung up: it would be ready for ever.
                    _ => drop(self.terminals.remove(at)),
                }
            }
            if Instant::now() >= end {
                return Ok(None);
            }
        }
    }

    /// Counts down with `text` in front; any key is [`Class::Interrupted`].
    pub fn countdown(&mut self, text: &str, seconds: u16) -> Result<()> {
        self.raw(true);
        for terminal in &self.terminals {
            // What was typed before the question is no answer to it.
            let _ = tcflush(&terminal.file, FlushArg::TCIFLUSH);
        }
        let result =
            (0..seconds).rev().try_for_each(|left| {
                self.write(&format!("\r{text} {:>3} s ", left + 1));
                match self.key(Duration::from_secs(1))? {
                    None => Ok(()),
                    Some(_) => Err(Class::Interrupted
                        .error("a key was pressed during the countdown: nothing was written")),
                }
            });
        self.raw(false);
        self.write("\n");
        result
    }

    /// Offers a shell on each terminal until someone presses `r`.
    pub fn offer_shell(&mut self) -> Result<()> {
        loop {
            self.say(
                "Press Enter for a shell, or r to give up and go on (the vendor's script then reboots).",
            );
            self.raw(true);
            let key = self.key(Duration::from_hours(24));
            self.raw(false);
            match key? {
                Some((_, b'r')) => return Ok(()),
                Some((at, b'\r' | b'\n')) => shell(&self.terminals[at].file)?,
                // A machine without a usable terminal stays as it is, for the lights-out console or the reset button.
                _ => {}
            }
        }
    }

    /// Single keys without echo, or as the terminals were found.
    fn raw(&self, raw: bool) {
        for terminal in &self.terminals {
            let mut settings = terminal.settings.clone();
            if raw {
                cfmakeraw(&mut settings);
            }
            // A terminal that does not take it just echoes.
            let _ = tcsetattr(&terminal.file, SetArg::TCSANOW, &settings);
        }
    }
}

/// A serial port without hardware can be opened, but has no settings. Opened without blocking: a port that waits for
/// its modem, or whose other end holds back, must stop nothing.
fn terminal(path: &Path) -> Option<Terminal> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path).ok()?;
    let settings = tcgetattr(&file).ok()?;
    Some(Terminal { file, settings })
}

/// The one command that does not go through the runner, because it talks to a person.
fn shell(terminal: &File) -> Result<()> {
    let name = nix::unistd::ttyname(terminal).context("finding the terminal's name")?;
    let open = || OpenOptions::new().read(true).write(true).open(&name).context("opening the terminal");
    Command::new("/bin/bash")
        .arg("-l")
        .stdin(Stdio::from(open()?))
        .stdout(Stdio::from(open()?))
        .stderr(Stdio::from(open()?))
        .status()
        .context("starting /bin/bash")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;
    use std::os::fd::OwnedFd;

    fn pair() -> (OwnedFd, Console) {
        let pty = openpty(None, None).unwrap();
        let path = nix::unistd::ttyname(&pty.slave).unwrap();
        (pty.master, Console { terminals: vec![terminal(&path).unwrap()] })
    }

    fn shown(master: &OwnedFd) -> String {
        let mut bytes = [0; 4096];
        let count = nix::unistd::read(master, &mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn the_countdown_shows_its_text_and_a_key_stops_it() {
        let (master, mut console) = pair();
        let presser = master.try_clone().unwrap();
        let waiting = std::thread::spawn(move || console.countdown("erasing /dev/sdx in", 60));
        assert!(shown(&master).contains("erasing /dev/sdx in  60 s"));
        nix::unistd::write(&presser, b"\x03").unwrap();
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(Class::of(&error), Class::Interrupted);
    }

    #[test]
    fn an_untouched_countdown_ends_after_its_seconds() {
        let (_master, mut console) = pair();
        let start = Instant::now();
        console.countdown("x", 1).unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1));
        console.countdown("x", 0).unwrap();
    }

    #[test]
    fn a_terminal_that_hangs_up_is_dropped_and_the_time_still_passes() {
        let (master, mut console) = pair();
        drop(master);
        assert_eq!(console.key(Duration::from_millis(50)).unwrap(), None);
        assert!(console.terminals.is_empty());
    }

    #[test]
    fn what_is_no_terminal_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tty0"), "").unwrap();
        assert!(Console::open(folder.path(), "console=ttyS1,115200n8 quiet").terminals.is_empty());
    }

    #[test]
    fn a_shell_is_offered_until_r_is_pressed() {
        let (master, mut console) = pair();
        nix::unistd::write(&master, b"xr").unwrap();
        console.offer_shell().unwrap();
    }
}
