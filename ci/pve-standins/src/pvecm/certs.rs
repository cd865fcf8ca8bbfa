//! The stand-in's `pvecm updatecerts`: folders, ssh keys, certificates, the schedule (pve-3.2-tools.md 4.4 and 14).

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Run;
use crate::db::store;

const KEYS: &str = "/etc/pve/priv/authorized_keys";
const HOSTS: &str = "/etc/pve/priv/known_hosts";
const CRON: &str = "/etc/pve/vzdump.cron";
const SCHEDULE: &str = "# cluster wide vzdump cron schedule\n# Atomatically generated file - do not edit\n\n\
                        PATH=\"/usr/sbin:/usr/bin:/sbin:/bin\"\n\n";

impl Run {
    pub(super) fn updatecerts(&self) -> Result<u8> {
        self.prepare_client()?;
        let cron = self.host.path("/etc/cron.d/vzdump");
        if !cron.is_symlink() && cron.parent().is_some_and(Path::exists) {
            relink(Path::new(CRON), &cron)?;
        }
        if !self.quorate() {
            if self.given.silent {
                return Ok(0);
            }
            bail!("no quorum - unable to update files");
        }
        self.link_keys()?;
        self.folders(&self.me)?;
        self.merge_keys()?;
        self.certificates(self.given.force)?;
        if !self.host.path(CRON).exists() {
            self.write(CRON, SCHEDULE.as_bytes())?;
        }
        Ok(0)
    }

    /// Step 1 of create and add.
    pub(super) fn prepare_ssh(&self) -> Result<()> {
        self.prepare_client()?;
        self.link_keys()
    }

    fn prepare_client(&self) -> Result<()> {
        let (folder, key) = (self.host.path("/root/.ssh"), self.host.path("/root/.ssh/id_rsa"));
        std::fs::create_dir_all(&folder).context("making /root/.ssh")?;
        if !key.exists() {
            let words = ["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", &key.to_string_lossy()];
            self.host.run("ssh-keygen", &words)?;
        }
        let config = folder.join("config");
        if !config.exists() {
            // Today's ssh does not know the vendor's list of 2014 any more.
            store::replace(&config, b"Ciphers aes128-ctr,aes192-ctr,aes256-ctr\n", 0o600)?;
        }
        Ok(())
    }

    /// The file `authorized_keys` becomes a link into the cluster file system, with what was in it.
    fn link_keys(&self) -> Result<()> {
        let link = self.host.path("/root/.ssh/authorized_keys");
        if link.is_symlink() {
            return Ok(());
        }
        self.make_folder("priv")?;
        let old = std::fs::read_to_string(&link).unwrap_or_default();
        self.add_lines(KEYS, &old)?;
        relink(Path::new(KEYS), &link)
    }

    fn make_folder(&self, path: &str) -> Result<()> {
        let folder = self.host.path(&format!("/etc/pve/{path}"));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))
    }

    /// The folders of a node.
    pub(super) fn folders(&self, node: &str) -> Result<()> {
        self.make_folder("priv/lock")?;
        ["qemu-server", "openvz", "priv"]
            .iter()
            .try_for_each(|name| self.make_folder(&format!("nodes/{node}/{name}")))
    }

    /// Adds lines that are not there yet; doubles go.
    fn add_lines(&self, path: &str, more: &str) -> Result<()> {
        let old = std::fs::read_to_string(self.host.path(path)).unwrap_or_default();
        let mut lines: Vec<&str> = Vec::new();
        for line in old.lines().chain(more.lines()).filter(|line| !line.trim().is_empty()) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let new = lines.iter().fold(String::new(), |text, line| text + line + "\n");
        if new == old { Ok(()) } else { self.write(path, new.as_bytes()) }
    }

    /// The own key is always in the shared list.
    pub(super) fn merge_keys(&self) -> Result<()> {
        self.make_folder("priv")?;
        let own = std::fs::read_to_string(self.host.path("/root/.ssh/id_rsa.pub")).unwrap_or_default();
        self.add_lines(KEYS, &own)
    }

    /// The own host key, under name and address, hashed, in the shared list.
    pub(super) fn known_hosts(&self) -> Result<()> {
        let key = ["rsa", "ecdsa", "ed25519"].iter().find_map(|kind| {
            std::fs::read_to_string(self.host.path(&format!("/etc/ssh/ssh_host_{kind}_key.pub"))).ok()
        });
        let key = key.context("found no host key in /etc/ssh")?;
        let plain: Vec<&str> = key.split_whitespace().take(2).collect();
        let address = self.host.address(&self.me)?;
        let aside = self.host.path(&format!("/tmp/known_hosts.{}", std::process::id()));
        let file = aside.to_string_lossy().into_owned();
        let hashed = || -> Result<Vec<u8>> {
            let old = std::fs::read(self.host.path(HOSTS)).unwrap_or_default();
            store::replace(&aside, &old, 0o600)?;
            // Stale entries of this node go first: a hashed one can only be found by ssh-keygen.
            for name in [&self.me, &address] {
                self.host.quietly("ssh-keygen", &["-f", &file, "-R", name])?;
            }
            let mut lines = std::fs::read_to_string(&aside).context("reading the kept host keys")?;
            for name in [&address, &self.me] {
                let _ = writeln!(lines, "{name} {}", plain.join(" "));
            }
            store::replace(&aside, lines.as_bytes(), 0o600)?;
            self.host.quietly("ssh-keygen", &["-H", "-f", &file])?;
            std::fs::read(&aside).context("reading hashed host keys")
        };
        let hashed = hashed();
        for leftover in [aside.clone(), PathBuf::from(format!("{file}.old"))] {
            let _ = std::fs::remove_file(leftover);
        }
        self.write(HOSTS, &hashed?)?;
        relink(Path::new(HOSTS), &self.host.path("/etc/ssh/ssh_known_hosts"))
    }

    /// The cluster's authority, and this node's certificate by it: only what is missing.
    pub(super) fn certificates(&self, force: bool) -> Result<()> {
        let at = |path: &str| self.host.path(&format!("/etc/pve/{path}"));
        self.make_folder("priv")?;
        let own = |name: &str| format!("nodes/{}/{name}", self.me);
        for (path, name) in [
            ("pve-www.key".to_owned(), "pve-www.key"),
            ("priv/pve-root-ca.key".to_owned(), "authority"),
            (own("pve-ssl.key"), "node"),
        ] {
            if !at(&path).exists() {
                let key =
                    self.openssl(&["genrsa", "2048"]).with_context(|| format!("making the key of {name}"))?;
                self.write(&format!("/etc/pve/{path}"), &key)?;
            }
        }
        let (ca_key, ca) = (at("priv/pve-root-ca.key"), at("pve-root-ca.pem"));
        let (ca_key, shown) = (ca_key.to_string_lossy(), ca.to_string_lossy());
        if !ca.exists() {
            let subject = "/CN=Proxmox Virtual Environment/O=PVE Cluster Manager CA (stand-in)";
            let made = self.openssl(&[
                "req", "-batch", "-new", "-x509", "-days", "3650", "-key", &ca_key, "-subj", subject,
            ])?;
            self.write("/etc/pve/pve-root-ca.pem", &made)?;
        }
        let pem = own("pve-ssl.pem");
        if force || !at(&pem).exists() {
            let address = self.host.address(&self.me)?;
            let names = format!("subjectAltName=IP:127.0.0.1,DNS:localhost,IP:{address},DNS:{}", self.me);
            let (key, subject) = (at(&own("pve-ssl.key")), format!("/O=PVE Cluster Node/CN={}", self.me));
            let made = self.openssl(&[
                "req",
                "-batch",
                "-new",
                "-x509",
                "-days",
                "3650",
                "-key",
                &key.to_string_lossy(),
                "-CA",
                &shown,
                "-CAkey",
                &ca_key,
                "-subj",
                &subject,
                "-addext",
                &names,
            ])?;
            self.write(&format!("/etc/pve/{pem}"), &made)?;
        }
        Ok(())
    }

    fn openssl(&self, words: &[&str]) -> Result<Vec<u8>> {
        let output = self.host.command("openssl").args(words).output().context("running openssl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "openssl {}: {}", words[0], said.trim());
        Ok(output.stdout)
    }
}

/// Puts a link in the place of whatever is there.
fn relink(target: &Path, link: &Path) -> Result<()> {
    if std::fs::read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    let _ = std::fs::remove_file(link);
    symlink(target, link).with_context(|| format!("linking {}", link.display()))
}
