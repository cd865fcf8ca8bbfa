//! A NAS on the segment: an NFS server (nfs-ganesha) with one export, and the portmapper that Proxmox VE asks first.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cias_firstboot::runner::Call;

use crate::net::Net;
use crate::wait;

/// How long it may take to come up.
const START: Duration = Duration::from_mins(1);

/// Its configuration's file in its folder.
const CONFIG: &str = "ganesha.conf";

/// A server that is off when this is dropped.
pub struct Nas<'n> {
    net: &'n Net,
    folder: PathBuf,
    name: String,
    address: String,
    server: Option<Child>,
    /// The folder that it exports.
    pub export: PathBuf,
}

impl<'n> Nas<'n> {
    /// Starts one at `address` whose export is `/NAME`; what it keeps is below `folder`, and what is there stays: servers that were saved have
    /// mounted it.
    pub fn start(net: &'n Net, folder: &Path, name: &str, address: &str) -> Result<Self> {
        let (folder, export) = (folder.join(name), folder.join(name).join("export"));
        for made in [&export, &folder.join("clients")] {
            std::fs::create_dir_all(made).with_context(|| format!("making {}", made.display()))?;
        }
        std::fs::write(folder.join(CONFIG), text(name, &folder))
            .context("writing the NAS's configuration")?;
        let (name, address) = (name.to_owned(), address.to_owned());
        let mut nas = Self { net, folder, name, address, server: None, export };
        nas.on()?;
        Ok(nas)
    }

    /// Switches it on, and waits until it answers.
    pub fn on(&mut self) -> Result<()> {
        self.address("add")?;
        let log = self.folder.join("log");
        let output = std::fs::File::create(self.folder.join("output")).context("making the NAS's log")?;
        // Sockets of the portmapper lie in /run, which is the server's own here; with the first process all others end.
        let line = format!(
            "mount -t tmpfs tmpfs /run && mkdir /run/ganesha /run/rpcbind && {{ rpcbind -f & exec ganesha.nfsd -F -f {} -L {} -p /run/ganesha.pid; }}",
            self.folder.join(CONFIG).display(),
            log.display()
        );
        let [first, rest @ ..] = self.net.inside();
        let mut server = Command::new(first)
            .args(rest)
            .args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &line])
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("sharing the NAS's log")?)
            .stderr(output)
            .spawn()
            .context("starting the NAS")?;
        let asked = Call::new("showmount").args(["--exports", "--no-headers", &self.address]);
        let up = wait::until(START, || {
            if let Some(status) = server.try_wait()? {
                bail!("the NAS ended ({status}): {} tells why", log.display());
            }
            let output = self.net.outcome(&asked.clone())?;
            Ok(output.stdout.contains(&format!("/{} ", self.name)).then_some(()))
        });
        self.server = Some(server);
        ensure!(
            up?.is_some(),
            "no NAS at {} within {} s: {} tells why",
            self.address,
            START.as_secs(),
            log.display()
        );
        Ok(())
    }

    /// Switches it off: nobody answers at its address any more.
    pub fn off(&mut self) -> Result<()> {
        self.end();
        self.address("delete")
    }

    fn address(&self, verb: &str) -> Result<()> {
        let address = format!("{}/8", self.address);
        self.net.run(&Call::new("ip").args(["address", verb, &address, "dev", "lan"])).map(drop)
    }

    fn end(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It may have ended by itself.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for Nas<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The configuration: root of every node is root on it, and nobody waits for clients of an earlier run.
fn text(name: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "NFS_CORE_PARAM {{ Protocols = 3, 4; Enable_NLM = false; Enable_RQUOTA = false; mount_path_pseudo = true; }}\n\
         NFSV4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = \"{folder}/clients\"; }}\n\
         EXPORT {{ Export_Id = 1; Path = \"{folder}/export\"; Pseudo = \"/{name}\"; Access_Type = RW; Squash = No_root_squash; SecType = sys; \
         Protocols = 3, 4; Transports = TCP; FSAL {{ Name = VFS; }} }}\n\
         LOG {{ Default_Log_Level = EVENT; }}\n"
    )
}
