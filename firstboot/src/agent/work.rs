//! The agent at work: one thread, one loop. Frames, the time and the ports go in; what comes out is carried out in its order.

mod deeds;
mod doubt;
mod serve;

use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::desk::{Clerk, Desk};
use super::errand::Errand;
use super::link::{Link, Received, Sent};
use super::memory::Memory;
use super::patience::Patience;
use super::port;
use super::post::{News, Postman};
use super::published::{Dropped as Counts, Leader, Published};
use super::voice::Voice;
use super::watch::{Watch, Watchman};
use crate::hello::Draw;
use crate::hello::frame::{Codec, Dropped, Frame};
use crate::hello::machine::{Machine, Me};
use crate::hello::rank::{Phase, Progress};
use crate::hello::timing::Timing;
use crate::interrupt::Interrupt;
use crate::log::Log;
use crate::notify::Mailed;
use crate::system::Sysroot;

/// How often it looks at the ports and publishes.
const LOOK: Duration = Duration::from_secs(1);

/// The least pause between two answers to neighbours of another version.
const VERSIONS: Duration = Duration::from_secs(1);

/// Frames that are read before the time is looked at again: a flood must not keep it from speaking.
const AT_ONCE: usize = 256;

/// What an agent is made of besides its memory.
pub(super) struct Parts {
    pub codec: Codec,
    pub draw: Draw,
    pub is_pinned: bool,
    pub obstacles: Vec<String>,
    pub clerk: Clerk,
    pub postman: Postman,
    pub watchman: Watchman,
    /// The address that it has as a node.
    pub held: Option<Ipv4Addr>,
}

/// The agent.
pub(super) struct Agent<'a> {
    root: &'a Sysroot,
    hurry: u32,
    voice: Voice<'a>,
    log: Arc<Log>,
    clock: Instant,
    codec: Codec,
    machine: Machine,
    memory: Memory,
    /// What is remembered is not on the disk yet, for this reason.
    unwritten: Option<String>,
    is_pinned: bool,
    obstacles: Vec<String>,
    link: Option<Link>,
    desk: Desk,
    news: Sender<News>,
    watch: Watch,
    /// When it looked last how it stands to the cluster.
    stood: Option<Duration>,
    errand: Option<Errand>,
    /// It is not to go on as founder if nothing was begun, and then this is said.
    doubt: Option<String>,
    /// When `cias run` is to be tried again.
    again: Option<Duration>,
    patience: Patience,
    /// The refusals that were mailed, by the time of the clock above.
    mailed: Mailed,
    woken: UnixStream,
    wake: UnixStream,
    looked: Option<Duration>,
    answered: Option<Duration>,
    counts: Counts,
    shown: Published,
    written: Published,
}

impl<'a> Agent<'a> {
    pub(super) fn new(
        root: &'a Sysroot,
        hurry: u32,
        voice: Voice<'a>,
        log: Arc<Log>,
        me: Me,
        memory: Memory,
        parts: Parts,
    ) -> Result<Self> {
        let (woken, wake) = UnixStream::pair().context("making a pair of sockets")?;
        woken.set_nonblocking(true).context("setting a socket up")?;
        let shown =
            Published { id: me.id.to_string(), priority: me.priority, ..Published::of_this_process() };
        let timing = Timing::default().hurried(hurry);
        let mut machine = Machine::new(me, timing, parts.draw, fastrand::u64(..), Duration::ZERO);
        if let Some(held) = parts.held {
            machine.set_offered(held);
        }
        if memory.stopped.is_some() {
            machine.set_stopped();
        }
        let desk = Desk::open(parts.clerk, wake.try_clone().context("copying a socket")?);
        Ok(Self {
            root,
            hurry,
            voice,
            log,
            clock: Instant::now(),
            codec: parts.codec,
            machine,
            memory,
            unwritten: None,
            is_pinned: parts.is_pinned,
            obstacles: parts.obstacles,
            link: None,
            desk,
            news: parts.postman.start(),
            watch: parts.watchman.start(),
            stood: None,
            errand: None,
            doubt: None,
            again: None,
            patience: Patience::default(),
            mailed: Mailed::default(),
            woken,
            wake,
            looked: None,
            answered: None,
            counts: Counts::default(),
            shown,
            written: Published::default(),
        })
    }

    /// Goes on until the interrupt.
    pub(super) fn work(&mut self, interrupt: &Interrupt) -> Result<()> {
        let mut wake = self.wake.try_clone().context("copying a socket")?;
        // A socket that takes no more has woken the loop already.
        interrupt.stop().when_asked(move || drop(std::io::Write::write(&mut wake, b"x")));
        let rank = self.machine.rank();
        self.voice.say(&format!("begins as {} with priority {}", rank.phase.name(), rank.priority));
        if let Some(stopped) = self.memory.stopped.clone() {
            self.voice.say(&format!("does nothing: {}", stopped.reason));
            self.step_back(stopped.is_retired)?;
        } else if rank.phase == Phase::Offered {
            self.begin()?;
        } else if self.memory.elected && self.memory.progress == Progress::Nothing {
            self.doubt("was elected before it was started anew, and nothing was begun".to_owned())?;
        }
        while !interrupt.stop().asked() {
            if self.is_replaced() {
                self.voice.say("ends, because its program was replaced: init starts the new one");
                return Ok(());
            }
            let now = self.clock.elapsed();
            if self.looked.is_none_or(|looked| now >= looked + LOOK / self.hurry) {
                self.looked = Some(now);
                self.look(now)?;
            }
            let out = self.machine.tick(now);
            self.carry_out(out)?;
            self.wait(now)?;
            self.hear()?;
            self.take_answers()?;
            self.end_errand()?;
            self.publish(false);
        }
        if let Some(errand) = &self.errand {
            errand.stop();
        }
        self.voice.say("ends, because it was told to");
        Ok(())
    }

    /// Was the program upgraded? What it has begun comes to its end first.
    fn is_replaced(&self) -> bool {
        let is_due = self.looked.is_none_or(|looked| self.clock.elapsed() >= looked + LOOK / self.hurry);
        is_due && self.errand.is_none() && is_gone(Path::new("/proc/self/exe"))
    }

    /// Ports, carrier, what is to be tried again, and what silence means.
    fn look(&mut self, now: Duration) -> Result<()> {
        self.choose_port()?;
        let carrier = self.link.as_ref().is_some_and(|link| port::has_carrier(self.root, link.name()));
        if carrier != self.shown.carrier {
            self.voice.say(if carrier { "the link is there" } else { "the link is gone" });
        }
        self.shown.carrier = carrier;
        self.machine.set_carrier(carrier, now);
        if self.unwritten.is_some() {
            self.remember()?;
        }
        self.note_begun()?;
        self.resolve()?;
        // One that has stopped enters nothing in the ledger and starts nothing.
        let may_stand = self.memory.stopped.is_none();
        if may_stand && self.stood.is_none_or(|stood| now >= stood + serve::STAND / self.hurry) {
            self.stood = Some(now);
            self.desk.look();
        }
        if self.again.is_some_and(|again| now >= again) {
            self.begin()?;
        }
        if let Some(lost) = self.watch.lost() {
            self.mend(&lost)?;
        }
        let hopeless = self.machine.is_hopeless(now);
        if hopeless && self.shown.hopeless.is_empty() {
            self.voice.say(&format!(
                "nobody here may found a cluster; this machine may not because {}",
                self.obstacles.join("; ")
            ));
        }
        self.shown.hopeless = if hopeless { self.obstacles.clone() } else { Vec::new() };
        self.publish(true);
        Ok(())
    }

    fn choose_port(&mut self) -> Result<()> {
        let silent = match port::choose(self.root) {
            Ok(name) if self.link.as_ref().is_some_and(|link| link.name() == name) => None,
            Ok(name) => {
                self.link = Link::open(name)?;
                if self.link.is_some() {
                    self.voice.say(&format!("speaks on {name}"));
                }
                self.link.is_none().then(|| format!("{name} went away"))
            }
            Err(reason) => {
                self.link = None;
                Some(reason)
            }
        };
        if let Some(reason) = silent.as_ref().filter(|reason| Some(*reason) != self.shown.silent.as_ref()) {
            self.voice.say(&format!("waits: {reason}"));
        }
        self.shown.silent = silent;
        self.shown.port = self.link.as_ref().map(|link| link.name().to_owned());
        Ok(())
    }

    /// Until a frame comes, something is due, or something else woke it.
    fn wait(&mut self, now: Duration) -> Result<()> {
        let look = self.looked.unwrap_or(now) + LOOK / self.hurry;
        let left = self.machine.due().min(look).saturating_sub(self.clock.elapsed());
        // Rounded up, so that a rest below a millisecond does not spin.
        let timeout = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
        let mut polled = vec![PollFd::new(self.woken.as_fd(), PollFlags::POLLIN)];
        polled.extend(self.link.as_ref().map(|link| PollFd::new(link.as_fd(), PollFlags::POLLIN)));
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("waiting for frames"),
        }
        while matches!((&self.woken).read(&mut [0; 64]), Ok(1..)) {}
        Ok(())
    }

    fn hear(&mut self) -> Result<()> {
        for _ in 0..AT_ONCE {
            let Some(link) = &self.link else { return Ok(()) };
            let now = self.clock.elapsed();
            match link.receive()? {
                Received::Nothing => return Ok(()),
                Received::Lost => self.lose(),
                Received::Frame(bytes) => match self.codec.decode(&bytes) {
                    Ok(frame) => {
                        let out = self.machine.receive(&frame, now);
                        self.carry_out(out)?;
                    }
                    Err(reason) => self.drop_frame(reason, now)?,
                },
            }
        }
        Ok(())
    }

    /// The next look opens another one.
    fn lose(&mut self) {
        if let Some(link) = self.link.take() {
            self.voice.say(&format!("{} went away or down", link.name()));
        }
    }

    fn drop_frame(&mut self, reason: Dropped, now: Duration) -> Result<()> {
        let counts = &mut self.counts;
        match reason {
            Dropped::Malformed => counts.malformed += 1,
            Dropped::Foreign => counts.foreign += 1,
            Dropped::Forged => counts.forged += 1,
            Dropped::Version(_) => counts.version += 1,
        }
        let may_answer = self.answered.is_none_or(|last| now >= last + VERSIONS);
        if let (Dropped::Version(version), true) = (reason, may_answer) {
            if self.answered.is_none() {
                self.voice.say(&format!("another machine of the site speaks version {version} of the protocol, which this one does not know"));
            }
            self.answered = Some(now);
            let frame = self.machine.versions(now);
            self.send(&frame)?;
        }
        Ok(())
    }

    fn send(&mut self, frame: &Frame) -> Result<()> {
        let Some(link) = &self.link else { return Ok(()) };
        if link.send(&self.codec.encode(frame)?)? == Sent::Lost {
            self.lose();
        }
        Ok(())
    }

    /// Lets everybody know what changed; counters alone wait for the next look.
    fn publish(&mut self, counters: bool) {
        let now = self.clock.elapsed();
        let (rank, heard) = (self.machine.rank(), self.machine.counters());
        rank.phase.name().clone_into(&mut self.shown.phase);
        let role = match (self.memory.offer.is_some(), self.memory.elected || self.is_pinned) {
            (true, _) => "node",
            (_, true) => "founder",
            _ => "waiting",
        };
        role.clone_into(&mut self.shown.role);
        self.shown.heard = self.machine.heard();
        self.shown.stopped = self.memory.stopped.as_ref().map(|stopped| stopped.reason.clone());
        self.shown.leader = self.machine.leader(now).map(|leader| Leader {
            id: leader.id.to_string(),
            priority: leader.priority,
            phase: leader.phase.name().to_owned(),
        });
        if counters {
            let (stale, own, twins) = (heard.stale, heard.own, heard.twins);
            self.shown.dropped = Counts { stale, own, twins, ..self.counts };
        }
        if self.shown != self.written {
            if let Err(error) = self.shown.write(self.root) {
                // A full /run must not silence a founder.
                self.log.note(&format!("warning: {error:#}"));
            }
            crate::banner::refresh(self.root);
            self.written = self.shown.clone();
        }
    }
}

/// Is the file that this link of proc(5) leads to no more in its folder?
fn is_gone(link: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    std::fs::read_link(link).is_ok_and(|target| target.as_os_str().as_bytes().ends_with(b" (deleted)"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("program"), folder.path().join("new"));
        for path in [&old, &new] {
            std::fs::copy("/bin/sleep", path).unwrap();
        }
        let mut child = std::process::Command::new(&old).arg("60").spawn().unwrap();
        let link = PathBuf::from(format!("/proc/{}/exe", child.id()));
        let before = is_gone(&link);
        // As dpkg does it.
        std::fs::rename(&new, &old).unwrap();
        let after = is_gone(&link);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((before, after), (false, true));
    }
}
