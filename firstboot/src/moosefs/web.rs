//! The web view. It is a script that goes to the background by itself, and writes to no file that would tell whether it runs.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;

use super::dialect::Dialect;
use super::{USER, steps};
use crate::cluster::wait::await_until;
use crate::files;
use crate::outcome::Class;
use crate::runner::Call;
use crate::system::System;

/// Its program.
const PROGRAM: &str = "/usr/sbin/mfscgiserv";

/// Where it listens.
pub const PORT: u16 = 9425;

/// Where it is looked for.
pub const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The lock that it takes as the daemons' account. Whoever calls it as root, be it to end it, leaves one of root's, with which it does not start.
const TURN: &str = "/var/lib/mfs/.mfscgiserv.lock";

/// How long it may take to listen.
const START: Duration = Duration::from_secs(15);

/// How long it may take to end: it waits a minute for one that does not.
const END: Duration = Duration::from_secs(90);

/// Starts it, and waits until it `listens`.
pub fn start(system: &System, dialect: &dyn Dialect, listens: impl Fn() -> bool) -> Result<()> {
    if system.root.has(TURN) {
        let account = steps::account(&system.root)?;
        if !steps::is_owned(&system.root, TURN, account) {
            files::give(&system.root.path(TURN), account)?;
        }
    }
    let call = Call::new("start-stop-daemon")
        .args(["--start", "--oknodo", "--chuid", &format!("{USER}:{USER}"), "--exec", PROGRAM, "--"])
        .args(["-P", &PORT.to_string(), "-R", dialect.pages(), "start"]);
    let said = system.runner.outcome(&call)?.failure();
    await_until(system.runner, START, || listens().then_some(()))?.ok_or_else(|| {
        let said = if said.is_empty() { "no error" } else { &said };
        Class::Failed.error(format!(
            "mfscgiserv does not listen on port {PORT} (it said: {said}), wanted the web view there"
        ))
    })
}

/// Ends it, if it is installed. Where it does not run it says so, and ends well.
pub fn end(system: &System) -> Result<()> {
    if !system.root.has(PROGRAM) {
        return Ok(());
    }
    system.runner.run(&Call::new("mfscgiserv").arg("stop").limit(END)).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, chown};

    use super::super::dialect::New;
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::tree::Tree;

    #[test]
    fn a_lock_that_root_left_becomes_the_accounts() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: only root gives a file away");
            return;
        }
        let account = 420;
        let tree = Tree::from_text(&format!(
            "/etc/passwd = mfs:x:{account}:{account}::/var/lib/mfs:/bin/false\n{TURN} = 7\n"
        ));
        let lock = tree.root().path(TURN);
        chown(&lock, Some(0), Some(0)).unwrap();
        let (fake, log) = (Fake::default(), Log::silent());
        start(&System { root: tree.root(), runner: &fake, log: &log }, &New, || true).unwrap();
        let found = std::fs::metadata(&lock).unwrap();
        assert_eq!((found.uid(), found.gid()), (account, account));
    }
}
