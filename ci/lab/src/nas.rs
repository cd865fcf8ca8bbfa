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

/// A server that is off when this is dropped.
pub struct Nas {
    server: Child,
    /// The folder that it exports.
    pub export: PathBuf,
}

impl Nas {
    /// Starts one at `address` whose export is `/NAME`; what it keeps is below `folder`.
    pub fn start(net: &Net, folder: &Path, name: &str, address: &str) -> Result<Self> {
        let (folder, export) = (folder.join(name), folder.join(name).join("export"));
        crate::base::remove(&folder)?;
        for made in [&export, &folder.join("clients")] {
            std::fs::create_dir_all(made).with_context(|| format!("making {}", made.display()))?;
        }
        let config = folder.join("ganesha.conf");
        std::fs::write(&config, text(name, &folder)).context("writing the NAS's configuration")?;
        net.run(&Call::new("ip").args(["address", "add", &format!("{address}/8"), "dev", "lan"]))?;
        let log = folder.join("log");
        let output = std::fs::File::create(folder.join("output")).context("making the NAS's log")?;
        // Sockets of the portmapper lie in /run, which is the server's own here; with the first process all others end.
        let line = format!(
            "mount -t tmpfs tmpfs /run && mkdir /run/ganesha /run/rpcbind && {{ rpcbind -f & exec ganesha.nfsd -F -f {} -L {} -p /run/ganesha.pid; }}",
            config.display(),
            log.display()
        );
        let [first, rest @ ..] = net.inside();
        let server = Command::new(first)
            .args(rest)
            .args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &line])
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("sharing the NAS's log")?)
            .stderr(output)
            .spawn()
            .context("starting the NAS")?;
        let mut nas = Self { server, export };
        let asked = Call::new("showmount").args(["--exports", "--no-headers", address]);
        let up = wait::until(START, || {
            if let Some(status) = nas.server.try_wait()? {
                bail!("the NAS ended ({status}): {} tells why", log.display());
            }
            let output = net.outcome(&asked.clone())?;
            Ok(output.stdout.contains(&format!("/{name} ")).then_some(()))
        })?;
        ensure!(
            up.is_some(),
            "no NAS at {address} within {} s: {} tells why",
            START.as_secs(),
            log.display()
        );
        Ok(nas)
    }
}

impl Drop for Nas {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
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
