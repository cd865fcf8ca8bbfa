//! What follows from a decision on a node that is up already: the identity, then what a boot would have started under it, then the rest.
//!
//! A reboot would do the same and is no way out: meanwhile the others would take the founder for dead and elect another one.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::port;
use crate::identity::{HELD, conflict};
use crate::journal;
use crate::outcome::Class;
use crate::runner::{Call, Output};
use crate::system::{Sysroot, System};

/// Many and large disks are formatted in it.
const LIMIT: Duration = Duration::from_hours(24);

/// The longest that a service may take to start.
const START: Duration = Duration::from_mins(10);

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All is done.
    Done,
    /// It is too early, or another `cias run` is at work.
    TryLater(String),
    /// The services of the cluster were ended.
    Left,
    /// What another founder may have too was given up.
    Withdrawn,
    /// It failed, and may do better when it is tried again.
    Failed(String),
    /// It failed and would fail again; a person must look.
    Refused(String),
}

impl Ended {
    fn badly(is_final: bool, reason: String) -> Self {
        if is_final { Self::Refused(reason) } else { Self::Failed(reason) }
    }
}

/// Does all of it. What is done already is left as it is.
pub fn arrive(system: &System) -> Ended {
    let identity = judge(system.runner.outcome(&run(&system.root, "identity")));
    if identity != Ended::Done {
        return identity;
    }
    if let Err(error) =
        start(system, &port::addresses().into_iter().map(|own| own.address).collect::<Vec<_>>())
    {
        return failed(&error);
    }
    provision(system)
}

/// What follows on a node that has its address and its services.
pub fn provision(system: &System) -> Ended {
    judge(system.runner.outcome(&run(&system.root, "provision")))
}

/// Ends the services of the cluster: this node was removed from it, and must not confuse the others.
pub fn leave(system: &System) -> Ended {
    let mut failed = Vec::new();
    for service in HELD.into_iter().rev().filter(|service| system.root.has(&format!("/etc/init.d/{service}")))
    {
        match system.runner.outcome(&Call::new("invoke-rc.d").args([service, "stop"]).limit(START)) {
            Ok(output) if output.code == 0 => {}
            Ok(output) => failed.push(format!("{service}: {}", output.complaint())),
            Err(error) => failed.push(format!("{service}: {error:#}")),
        }
    }
    if failed.is_empty() { Ended::Left } else { Ended::Failed(failed.join("; ")) }
}

/// The program finds itself by its name, as everything else does.
fn run(root: &Sysroot, stage: &str) -> Call {
    let call = Call::new("cias-firstboot").limit(LIMIT);
    let call =
        if root.is_machine() { call } else { call.arg("--root").arg(root.path("/").display().to_string()) };
    call.args(["run", "--stage", stage])
}

fn judge(result: Result<Output>) -> Ended {
    let output = match result {
        Ok(output) => output,
        Err(error) => return failed(&error),
    };
    // Its last line is the error.
    let last = output.stderr.lines().last().unwrap_or_default();
    let sentence = last.strip_prefix("error: ").unwrap_or(last).to_owned();
    match output.code {
        0 => Ended::Done,
        code if code == Class::TryLater as i32 => Ended::TryLater(sentence),
        code => {
            let is_final = Class::FINAL.iter().any(|class| *class as i32 == code);
            Ended::badly(is_final, format!("exit code {code}: {sentence}"))
        }
    }
}

fn failed(error: &anyhow::Error) -> Ended {
    Ended::badly(Class::FINAL.contains(&Class::of(error)), format!("{error:#}"))
}

/// The address, if the machine does not have it, and then the services, each after those that it needs; one that runs stays as it is.
fn start(system: &System, addresses: &[Ipv4Addr]) -> Result<()> {
    let place =
        journal::read(&system.root)?.and_then(|state| state.place).context("reading the node's place")?;
    if !addresses.contains(&place.address) {
        // Before it is up: a second holder would disturb the first from the first moment on.
        if let Ok(port) = port::choose(&system.root)
            && let Some(other) = conflict::holder(port, place.address)?
        {
            return Err(Class::Refused.error(conflict::sentence(place.address, &other)));
        }
        // It may be down; what counts is that it comes up by the new file.
        system.runner.outcome(&Call::new("ifdown").arg("vmbr0"))?;
        system.runner.run(&Call::new("ifup").arg("vmbr0"))?;
    }
    for service in HELD.into_iter().filter(|service| system.root.has(&format!("/etc/init.d/{service}"))) {
        let output =
            system.runner.outcome(&Call::new("invoke-rc.d").args([service, "start"]).limit(START))?;
        if output.code != 0 {
            // As at a boot, which goes on, too: cman has nothing to do before there is a cluster.
            system.log.say(&format!("agent: warning: {service} did not start: {}", output.complaint()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::tree::Tree;

    #[test]
    fn the_exit_code_and_the_last_line_tell_what_became_of_it() {
        let output = |code, stderr: &str| Ok(Output { code, stdout: String::new(), stderr: stderr.into() });
        for (result, wanted) in [
            (output(0, "cias: step 1\n"), Ended::Done),
            (output(6, "cias: step 1\nerror: too early\n"), Ended::TryLater("too early".into())),
            (output(5, "error: no\n"), Ended::Refused("exit code 5: no".into())),
            (output(1, "error: no\n"), Ended::Failed("exit code 1: no".into())),
            (output(137, ""), Ended::Failed("exit code 137: ".into())),
            (Err(anyhow::anyhow!("gone")), Ended::Failed("gone".into())),
            (Err(Class::MissingTool.error("no ssh")), Ended::Refused("no ssh".into())),
        ] {
            assert_eq!(judge(result), wanted);
        }
    }

    #[test]
    fn only_a_test_names_a_root() {
        assert_eq!(run(&Sysroot::default(), "identity").line(), "cias-firstboot run --stage identity");
        let line = run(&Sysroot::new("/tmp/x"), "provision").line();
        assert_eq!(line, "cias-firstboot --root /tmp/x/ run --stage provision");
    }

    #[test]
    fn the_address_comes_first_and_services_in_their_order_and_one_that_fails_stops_nothing() {
        let journal = r#"{"schema": 1, "role": "node", "place": {"address": "10.254.1.7", "name": "n", "fqdn": "n.x"}, "stages": []}"#;
        let text = format!(
            "/var/lib/cias/journal.json = {journal}\n/etc/init.d/pveproxy = x\n/etc/init.d/cman = x\n/etc/init.d/pve-cluster = x\n"
        );
        let tree = Tree::from_text(&text);
        let services =
            ["invoke-rc.d pve-cluster start", "invoke-rc.d cman start", "invoke-rc.d pveproxy start"];
        let network = ["ifdown vmbr0", "ifup vmbr0"];
        for (addresses, wanted) in [
            (vec![[10, 254, 1, 8].into()], [&network[..], &services].concat()),
            (vec![[127, 0, 0, 1].into(), [10, 254, 1, 7].into()], services.to_vec()),
        ] {
            let log = Log::silent();
            let fake = Fake::default().fails("invoke-rc.d cman start", 1, "no cluster.conf");
            start(&System { root: tree.root(), runner: &fake, log: &log }, &addresses).unwrap();
            assert_eq!(fake.lines(), wanted);
        }
        let (fake, log) = (Fake::default().fails("ifup", 1, "no such port"), Log::silent());
        assert!(start(&System { root: tree.root(), runner: &fake, log: &log }, &[]).is_err());
        assert_eq!(fake.lines(), network, "no service starts without its address");
    }
}
