//! A stand-in for `pvecm` (pve-3.2-tools.md 4): the same checks, steps, texts and exit codes.

mod add;
mod certs;
mod create;
mod nodes;
mod options;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::clusterconf::{ClusterConf, KEY};
use crate::db::store;
use crate::host::Host;
use options::Given;

/// cluster.conf in the cluster file system.
pub const CONF: &str = "/etc/pve/cluster.conf";

/// One run of pvecm.
pub struct Run {
    host: Host,
    me: String,
    given: Given,
}

/// Runs one command.
pub fn run(mut args: Args) -> Result<u8> {
    if !nix::unistd::geteuid().is_root() {
        bail!("please run as root");
    }
    let command = args.next().unwrap_or_default();
    let Some(form) = options::form(&command).filter(|form| form.name != "help") else {
        let help = "help".starts_with(&command) && !command.is_empty();
        let lines: Vec<String> = options::FORMS.iter().map(options::usage).collect();
        let text = format!("USAGE: pvecm <COMMAND> [ARGS] [OPTIONS]\n       {}", lines.join("\n       "));
        if help {
            println!("{text}");
            return Ok(0);
        }
        bail!("ERROR: unknown command '{command}'\n{text}");
    };
    let given = options::read(form, &args.words)?;
    let host = Host::new();
    let run = Run { me: host.name(), host, given };
    if form.name == "keygen" {
        return Run::keygen(Path::new(&run.given.word)).map(|()| 0);
    }
    if !run.host.path("/etc/pve/local").is_symlink() {
        bail!("pve configuration filesystem not mounted");
    }
    match form.name {
        "create" => run.create(),
        "add" => run.add(),
        "addnode" => run.addnode(),
        "delnode" => run.delnode(),
        "expected" => {
            let votes: Option<u32> = run.given.word.parse().ok().filter(|votes| *votes > 0);
            let votes = votes.with_context(|| {
                format!(
                    "400 Parameter verification failed.\nexpected: type check ('integer') failed - got '{}'",
                    run.given.word
                )
            })?;
            run.cman_tool(&["expected", "-e", &votes.to_string()])
        }
        "updatecerts" => run.updatecerts(),
        name => run.cman_tool(&[name]),
    }
}

impl Run {
    fn cman_tool(&self, words: &[&str]) -> Result<u8> {
        let status = self.host.command("cman_tool").args(words).status().context("running cman_tool")?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
    }

    /// PVE's own test: the owner may write to the link.
    fn quorate(&self) -> bool {
        let link = self.host.path("/etc/pve/local").symlink_metadata();
        link.is_ok_and(|found| found.permissions().mode() & 0o200 != 0)
    }

    fn need_quorum(&self) -> Result<()> {
        if !self.quorate() {
            bail!("cluster not ready - no quorum?");
        }
        Ok(())
    }

    /// 128 random bytes.
    fn keygen(path: &Path) -> Result<()> {
        let mut key = [0; 128];
        getrandom::fill(&mut key).ok().context("no random numbers")?;
        store::replace(path, &key, 0o400)
    }

    fn conf(&self) -> Result<ClusterConf> {
        let path = self.host.path(CONF);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {CONF}"))?;
        ClusterConf::parse(&text)
    }

    /// The safe way to write in /etc/pve: a file beside it, then a rename.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.host.path(path);
        let mut aside = path.clone().into_os_string();
        aside.push(format!(".tmp.{}", std::process::id()));
        let done = std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, &path));
        done.with_context(|| format!("writing {}", path.display()))
    }

    /// Runs a service's script; an error is the caller's to judge.
    fn service(&self, name: &str, word: &str) -> Result<()> {
        self.host.run(&format!("/etc/init.d/{name}"), &[word])
    }

    /// Starts what may be missing or may fail, as the vendor's does.
    fn service_if_there(&self, name: &str, word: &str) {
        if self.host.path(&format!("/etc/init.d/{name}")).exists() {
            let _ = self.service(name, word);
        }
    }

    fn key_exists(&self) -> bool {
        self.host.path(KEY).exists()
    }
}
