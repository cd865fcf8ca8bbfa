//! The stand-in's `pvecm add`, run on the new node (pve-3.2-tools.md 4.2). The numbers are those of its steps there.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use super::{CONF, Run};
use crate::clusterconf::KEY;
use crate::cman;
use crate::db::store;

const DATABASE: &str = "/var/lib/pve-cluster/config.db";
const BACKUP: &str = "/var/lib/pve-cluster/backup";
/// Backups that are kept.
const KEPT: usize = 10;

impl Run {
    pub(super) fn add(&self) -> Result<u8> {
        self.host.address(&self.me)?;
        if !self.given.force {
            self.check()?;
        }
        self.prepare_ssh()?;
        self.reach()?;
        println!("copy corosync auth key");
        let (key, conf) = self.fetch()?;
        store::replace(&self.folder_of(cman::CONF)?, &conf, 0o640)?;
        store::replace(&self.folder_of(KEY)?, &key, 0o400)?;
        self.change_over()?;
        println!("waiting for quorum...");
        while !self.quorate() || !self.host.path(CONF).exists() {
            std::thread::sleep(Duration::from_secs(1));
        }
        println!("OK");
        self.service_if_there("clvm", "start");
        println!("generating node certificates");
        self.folders(&self.me)?;
        self.merge_keys()?;
        self.certificates(false)?;
        println!("merge known_hosts file");
        self.known_hosts()?;
        println!("restart services");
        for service in ["pvedaemon", "pveproxy"] {
            self.service_if_there(service, "restart");
        }
        println!("successfully added node '{}' to cluster.", self.me);
        Ok(0)
    }

    fn check(&self) -> Result<()> {
        if self.key_exists() {
            bail!("authentication key already exists");
        }
        if self.host.path(CONF).exists() {
            bail!("cluster config '{CONF}' already exists");
        }
        let list = std::fs::read_to_string(self.host.path("/etc/pve/.vmlist")).unwrap_or_default();
        let list: serde_json::Value = serde_json::from_str(&list).unwrap_or_default();
        if list.get("ids").is_some() {
            bail!("this host already contains virtual machines - please remove the first");
        }
        if cman::ask(&self.host.path(cman::SOCKET), &cman::Question::Status).is_ok() {
            bail!("cman is already running");
        }
        Ok(())
    }

    /// Steps 2 and 3. ssh-copy-id asks at the terminal, if it must; nothing else of this command asks anything.
    fn reach(&self) -> Result<()> {
        let (target, identity) = (format!("root@{}", self.given.word), self.host.path("/root/.ssh/id_rsa"));
        let copied = self.host.quietly("ssh-copy-id", &["-i", &identity.to_string_lossy(), &target]);
        if copied.is_err() {
            bail!("unable to copy ssh ID");
        }
        let mut words: Vec<String> =
            [&self.given.word, "-o", "BatchMode=yes", "pvecm", "addnode", &self.me, "--force", "1"]
                .map(String::from)
                .into();
        for (name, value) in [("--nodeid", self.given.nodeid), ("--votes", self.given.votes)] {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value.to_string()]));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.host
            .run("ssh", &words)
            .map_err(|error| anyhow::anyhow!("unable to add node: command failed ({error:#})"))
    }

    /// Step 4; the vendor's calls rsync, which the lab's nodes do not have.
    fn fetch(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let folder = self.host.path(&format!("/tmp/pvecm-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        let (host, shown) = (&self.given.word, folder.to_string_lossy().into_owned());
        let sources = [KEY, CONF].map(|path| format!("root@{host}:{path}"));
        let copied = self.host.run("scp", &["-q", "-o", "BatchMode=yes", &sources[0], &sources[1], &shown]);
        let read = |name: &str| std::fs::read(folder.join(name));
        let files = copied.and_then(|()| Ok((read("corosync.authkey")?, read("cluster.conf")?)));
        // Whatever happened, the key must not lie about.
        let removed = std::fs::remove_dir_all(&folder);
        let files = files.map_err(|_| anyhow::anyhow!("can't rsync data from host '{host}'"))?;
        removed.with_context(|| format!("removing {}", folder.display()))?;
        Ok(files)
    }

    fn folder_of(&self, path: &str) -> Result<std::path::PathBuf> {
        let path = self.host.path(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        Ok(path)
    }

    /// Step 6: this node's own database goes, the cluster's comes.
    fn change_over(&self) -> Result<()> {
        println!("stopping pve-cluster service");
        self.service("pve-cluster", "stop").context("can't stop pve-cluster service")?;
        println!("backup old database");
        let database = self.host.path(DATABASE);
        if database.exists() {
            let folder = self.host.path(BACKUP);
            std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
            let now =
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
            // The vendor's is a dump of SQL; this one is the stand-in's database as it is.
            let copy = folder.join(format!("config-{now}.sql"));
            store::replace(&copy, &std::fs::read(&database)?, 0o600)?;
            self.host.quietly("gzip", &["-f", &copy.to_string_lossy()])?;
            let mut all: Vec<_> =
                std::fs::read_dir(&folder)?.filter_map(Result::ok).map(|entry| entry.path()).collect();
            all.sort();
            for old in all.iter().rev().skip(KEPT) {
                std::fs::remove_file(old).with_context(|| format!("removing {}", old.display()))?;
            }
            std::fs::remove_file(&database).with_context(|| format!("removing {}", database.display()))?;
        }
        self.service("pve-cluster", "start")?;
        self.service_if_there("cman", "start");
        Ok(())
    }
}
