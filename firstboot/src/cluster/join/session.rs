//! The session with the Master: one ssh to the enrolment's own sshd, with the site's join key and that sshd's host key pinned. It lasts as
//! long as the join.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::enrol::protocol::{self, Ask, FromMaster, FromNode, Welcome};
use crate::files;
use crate::outcome::Class;
use crate::runner::{Call, Conversation, Stop};
use crate::site::Site;
use crate::system::System;

/// In memory: what is in it goes with the power.
const FOLDER: &str = "/run/cias/join";

/// The Master's name in our list of host keys, whatever its address.
const ALIAS: &str = "cias-enrol";

/// The longest that a join may take, with all that join before it.
const LIMIT: Duration = Duration::from_hours(2);

/// The session.
pub struct Session {
    conversation: Conversation,
    master: Ipv4Addr,
    _key: KeyFile,
}

/// The join key's file, which goes with the session.
struct KeyFile(PathBuf);

impl Drop for KeyFile {
    fn drop(&mut self) {
        // In memory, below a folder for root alone: the next session replaces it.
        let _ = files::remove(&self.0);
    }
}

impl Session {
    /// Opens it to the Master at `master`.
    pub fn open(system: &System, site: &Site, master: Ipv4Addr) -> Result<Self> {
        let path = |name: &str| system.root.path(&format!("{FOLDER}/{name}"));
        let (key, known) = (path("key"), path("known_hosts"));
        files::make_folder(&system.root.path(FOLDER), 0o700)?;
        files::write(&key, format!("{}\n", site.secrets.join_key.trim()), 0o600)?;
        files::write(&known, format!("{ALIAS} {}\n", site.secrets.enrol_host_key_public.trim()), 0o600)?;
        let mut call = Call::new("ssh").args(["-T", "-p", &site.enrol.port.to_string(), "-i"]);
        call = call.arg(key.display().to_string());
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            &format!("UserKnownHostsFile={}", known.display()),
            "GlobalKnownHostsFile=/dev/null",
            &format!("HostKeyAlias={ALIAS}"),
            "ConnectTimeout=30",
            "ServerAliveInterval=10",
            "ServerAliveCountMax=3",
        ] {
            call = call.args(["-o", option]);
        }
        let call = call.arg(format!("root@{master}")).env("HOME", "/root").inside("/").limit(LIMIT);
        Ok(Self { conversation: system.runner.converse(&call)?, master, _key: KeyFile(key) })
    }

    /// Asks, and waits until the Master lets this node in. What the Master says meanwhile goes to `wait`.
    pub fn ask(mut self, ask: Ask, wait: impl Fn(&str) -> Result<()>) -> Result<(Self, Welcome)> {
        // If it is gone already, its end tells why.
        let _ = self.tell(&FromNode::Ask(ask));
        loop {
            match self.hear()? {
                Some(FromMaster::Wait(reason)) => wait(&crate::site::visible(&reason))?,
                Some(FromMaster::Welcome(welcome)) => return Ok((self, welcome)),
                Some(FromMaster::Refused(refused)) => {
                    let class = if refused.is_final { Class::Refused } else { Class::TryLater };
                    let reason = crate::site::visible(&refused.reason);
                    return Err(
                        class.error(format!("the Master at {} refused this node: {reason}", self.master))
                    );
                }
                Some(FromMaster::Confirmed) => {
                    return Err(Class::BadInput.error(format!(
                        "the Master at {} confirmed a join that was not begun: use the same version of cias-firstboot on both",
                        self.master
                    )));
                }
                None => return Err(self.ended()),
            }
        }
    }

    /// Is asked for once the session has ended.
    pub fn gone(&self) -> Stop {
        self.conversation.gone()
    }

    /// Tells the Master something.
    pub fn tell(&mut self, what: &FromNode) -> Result<()> {
        protocol::tell(&mut self.conversation.input(), what)
    }

    /// Waits until the Master sees this node, too. Whether the session still stands is of no matter: `.members` counts.
    pub fn confirmed(mut self) -> bool {
        self.tell(&FromNode::Joined).is_ok() && matches!(self.hear(), Ok(Some(FromMaster::Confirmed)))
    }

    fn hear(&mut self) -> Result<Option<FromMaster>> {
        protocol::hear(&mut self.conversation.output())
            .with_context(|| format!("talking with the Master at {}", self.master))
    }

    /// Why there is nothing more to hear.
    fn ended(self) -> anyhow::Error {
        let master = self.master;
        match self.conversation.end() {
            Ok(output) => Class::TryLater.error(format!(
                "the Master at {master} ended the session (ssh's exit code {}: {}): it may be down or be another node by now, and it is tried again",
                output.code,
                output.complaint()
            )),
            Err(error) => error,
        }
    }
}
