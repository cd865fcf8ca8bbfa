//! The web view. It is a script that goes to the background by itself, and writes to no file that would tell whether it runs.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;

use super::USER;
use super::dialect::Dialect;
use crate::cluster::wait::await_until;
use crate::outcome::Class;
use crate::runner::Call;
use crate::system::System;

/// Its program.
const PROGRAM: &str = "/usr/sbin/mfscgiserv";

/// Where it listens.
pub const PORT: u16 = 9425;

/// Where it is looked for.
pub const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(15);

/// How long it may take to end: it waits a minute for one that does not.
const END: Duration = Duration::from_secs(90);

/// Starts it, and waits until it `listens`.
pub fn start(system: &System, dialect: &dyn Dialect, listens: impl Fn() -> bool) -> Result<()> {
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
