//! Who trusts whom: root's own key, which the Master takes, and the Master's host keys, which root knows from then on. Nothing is taken from
//! the wire unseen.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::enrol::protocol::Welcome;
use crate::files;
use crate::outcome::Class;
use crate::runner::Call;
use crate::site::values;
use crate::system::System;

const FOLDER: &str = "/root/.ssh";
const KEY: &str = "/root/.ssh/id_rsa";
const PUBLIC: &str = "/root/.ssh/id_rsa.pub";
const KNOWN: &str = "/root/.ssh/known_hosts";

/// Where a key is made; the power may go meanwhile.
const HALF: &str = "/root/.ssh/.id_rsa.cias-new";

/// The public key of this node's root, made unless it is there; `pvecm` looks for it under this name.
pub fn own_key(system: &System) -> Result<String> {
    let root = &system.root;
    let shown = |path: &str| root.path(path).display().to_string();
    if !root.has(KEY) {
        files::make_folder(&root.path(FOLDER), 0o700)?;
        let half_public = format!("{HALF}.pub");
        files::remove(&root.path(HALF))?;
        files::remove(&root.path(&half_public))?;
        let make = Call::new("ssh-keygen").args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"]);
        system.runner.run(&make.arg(shown(HALF)))?;
        // The private one last: with it the pair counts as there.
        files::rename(&root.path(&half_public), &root.path(PUBLIC))?;
        files::rename(&root.path(HALF), &root.path(KEY))?;
    }
    let found = root.attribute(PUBLIC).filter(|key| key.starts_with("ssh-") && !key.contains('\n'));
    if let Some(key) = found {
        return Ok(key);
    }
    let told = system.runner.run(&Call::new("ssh-keygen").args(["-y", "-f"]).arg(shown(KEY)))?;
    let key = told.stdout.trim().to_owned();
    files::write(&root.path(PUBLIC), format!("{key}\n"), 0o644)?;
    Ok(key)
}

/// Has root know the Master by the keys of its welcome and by no other, and tries whether the Master lets root in.
pub fn know(system: &System, welcome: &Welcome) -> Result<()> {
    let lines = lines(welcome)?;
    let known = system.root.path(KNOWN);
    if known.exists() {
        for name in [welcome.address.to_string(), welcome.master.clone()] {
            // That it knows no such host is no error.
            let call = Call::new("ssh-keygen").args(["-R", &name, "-f"]).arg(known.display().to_string());
            system.runner.outcome(&call)?;
        }
    }
    files::make_folder(&system.root.path(FOLDER), 0o700)?;
    let mut text = std::fs::read_to_string(&known).unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    files::write(&known, text + &lines, 0o600)?;
    try_ssh(system, welcome.address)
}

fn try_ssh(system: &System, address: Ipv4Addr) -> Result<()> {
    let call = Call::new("ssh")
        .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=30"])
        .arg(format!("root@{address}"))
        .arg("true")
        .env("HOME", "/root")
        .limit(Duration::from_mins(2));
    system.runner.run(&call).with_context(|| {
        format!("the Master at {address} does not let root of this node in, although it took its key")
    })?;
    Ok(())
}

/// The lines for the Master. What comes from the other side must not smuggle in another line.
fn lines(welcome: &Welcome) -> Result<String> {
    let bad = |what: String| Class::BadInput.error(format!("the Master's welcome: {what}"));
    values::label(&welcome.master)
        .map_err(|wanted| bad(format!("found the name {:?}, {wanted}", welcome.master)))?;
    let mut text = String::new();
    for key in &welcome.host_keys {
        if key.chars().any(char::is_control) || key.split(' ').count() < 2 || key.starts_with(['@', '#', ' '])
        {
            return Err(bad("found a host key that is none, wanted `TYPE BASE64`".to_owned()));
        }
        text.extend([&welcome.address.to_string(), ",", &welcome.master, " ", key, "\n"]);
    }
    if text.is_empty() {
        return Err(bad("found no host key, wanted at least one".to_owned()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_welcome_makes_lines_for_this_master_only() {
        let welcome = |master: &str, keys: &[&str]| Welcome {
            master: master.into(),
            address: [10, 254, 0, 1].into(),
            host_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            cluster: "A".into(),
        };
        let text = lines(&welcome("m", &["ssh-rsa AAAA", "ssh-dss BBBB c"])).unwrap();
        assert_eq!(text, "10.254.0.1,m ssh-rsa AAAA\n10.254.0.1,m ssh-dss BBBB c\n");
        for (master, keys) in [
            ("m", &[][..]),
            ("m", &["ssh-rsa AAAA\nevil ssh-rsa BBBB"]),
            ("m", &["@cert-authority x"]),
            ("m", &["ssh-rsa"]),
            ("m,evil", &["ssh-rsa AAAA"]),
        ] {
            assert_eq!(Class::of(&lines(&welcome(master, keys)).unwrap_err()), Class::BadInput, "{keys:?}");
        }
    }
}
