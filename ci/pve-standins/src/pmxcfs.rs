//! A stand-in for pmxcfs, the cluster file system: its options, its start and its fatal errors (pve-3.2-tools.md 2.7).
//! The long options are the stand-in's own, for tests.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fuser::{Config as Mount, MountOption, SessionACL};

use crate::args::Args;
use crate::daemon::{self, Ready};
use crate::db::{Op, Stamp, Tree, store};
use crate::fs::Fs;
use crate::group::view::{Cman, FakeFile};
use crate::group::{Config, Group, LIFETIME};
use crate::wire::Secret;

/// Where the members' pmxcfs listen.
pub const PORT: u16 = 5407;
const FOLDER: &str = "/var/lib/pve-cluster";
/// How long a second instance waits for the first.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

struct Options {
    local: bool,
    mount: PathBuf,
    folder: PathBuf,
    cluster_conf: PathBuf,
    key: PathBuf,
    pid: PathBuf,
    name: String,
    address: Option<String>,
    listen: SocketAddr,
    membership: Option<PathBuf>,
    cman: PathBuf,
    lifetime: Duration,
}

/// Runs the daemon, in the background unless `-f`.
pub fn run(mut args: Args) -> Result<u8> {
    let foreground = args.flag("-f");
    args.flag("-d");
    if !foreground {
        return daemon::background(&args, "-f");
    }
    let folder = args.value("--folder").map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
    let path =
        |value: Option<String>, default: &str| PathBuf::from(value.unwrap_or_else(|| default.to_owned()));
    let options = Options {
        local: args.flag("-l"),
        mount: path(args.value("--mount"), "/etc/pve"),
        cluster_conf: path(args.value("--cluster-conf"), "/etc/cluster/cluster.conf"),
        key: folder.join("corosync.authkey"),
        pid: path(args.value("--pid-file"), "/var/run/pve-cluster.pid"),
        name: args.value("--name").unwrap_or_else(crate::node_name),
        address: args.value("--address"),
        listen: args
            .value("--listen")
            .map_or(Ok(SocketAddr::from(([0, 0, 0, 0], PORT))), |text| text.parse())
            .context("--listen")?,
        membership: args.value("--membership").map(PathBuf::from),
        cman: path(args.value("--cman"), crate::cman::SOCKET),
        lifetime: args
            .value("--lock-seconds")
            .map_or(Ok(LIFETIME), |text| text.parse().map(Duration::from_secs))
            .context("--lock-seconds")?,
        folder,
    };
    args.end()?;
    let ready = daemon::ready();
    let started = start(&options, ready);
    if let Err(error) = started {
        daemon::fatal(&format!("{error:#}"));
        return Ok(255);
    }
    Ok(0)
}

fn start(options: &Options, ready: Ready) -> Result<()> {
    own_address(options).context("Unable to get local IP address")?;
    std::fs::create_dir_all(&options.folder).context("making the folder of the database")?;
    let _lock = lock(&options.folder.join(".pmxcfs.lockfile"))?;
    let tree = database(options)?;
    let clustered = !options.local && tree.read("cluster.conf").is_some();
    let secret = clustered.then(|| secret(&options.key)).transpose()?;
    let group = Group::new(
        Config {
            database: options.folder.join("config.db"),
            cluster_conf: options.cluster_conf.clone(),
            lifetime: options.lifetime,
        },
        tree,
        secret,
    );
    if clustered {
        let listener =
            TcpListener::bind(options.listen).with_context(|| format!("listening at {}", options.listen))?;
        match &options.membership {
            Some(file) => group.join(listener, FakeFile(file.clone())),
            None => group.join(listener, Cman::new(options.cman.clone())),
        }
    }
    serve(options, &group, ready)
}

fn own_address(options: &Options) -> Result<IpAddr> {
    if let Some(address) = &options.address {
        return address.parse().context("--address");
    }
    let found = (options.name.as_str(), 0).to_socket_addrs().context("looking up the own name")?;
    let fits = |address: &IpAddr| address.is_ipv4() && !address.is_loopback();
    found.map(|found| found.ip()).find(fits).context("the own name has no address but 127.x")
}

fn lock(path: &Path) -> Result<nix::fcntl::Flock<File>> {
    use nix::fcntl::{Flock, FlockArg};
    let deadline = Instant::now() + LOCK_PATIENCE;
    let mut file = File::create(path).with_context(|| format!("opening {}", path.display()))?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, _)) if Instant::now() < deadline => file = back,
            Err(_) => anyhow::bail!("unable to aquire pmxcfs lock"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn database(options: &Options) -> Result<Tree> {
    let path = options.folder.join("config.db");
    let tree = if let Some(tree) = store::load(&path).context("memdb_open failed")? {
        tree
    } else {
        let mut tree = Tree::default();
        if let Ok(conf) = std::fs::read(&options.cluster_conf)
            && !options.local
        {
            import(&mut tree, "cluster.conf", conf)?;
        }
        store::save(&path, &tree)?;
        tree
    };
    if let Some(id) = tree.duplicate() {
        anyhow::bail!("detected duplicate VMID {id}\nmemdb_open failed");
    }
    Ok(tree)
}

/// Puts a file into the root of a database that no daemon has open.
pub fn import(tree: &mut Tree, name: &str, bytes: Vec<u8>) -> Result<()> {
    let time = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let stamp = Stamp { writer: 0, time: time.map_or(0, |time| time.as_secs()) };
    for op in [Op::Create(name.to_owned()), Op::Write(name.to_owned(), 0, bytes)] {
        tree.apply(&op, stamp).with_context(|| format!("memdb_create '{name}' failed"))?;
    }
    Ok(())
}

fn secret(path: &Path) -> Result<Secret> {
    let key = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    anyhow::ensure!(key.len() >= 128, "{}: found {} bytes, wanted 128", path.display(), key.len());
    Ok(Secret::new(key, "pmxcfs"))
}

fn serve(options: &Options, group: &Arc<Group>, ready: Ready) -> Result<()> {
    let signals = daemon::signals()?;
    // What a killed daemon left behind.
    let _ = std::fs::create_dir_all(&options.mount);
    if std::fs::metadata(&options.mount).is_err_and(|error| error.raw_os_error() == Some(107)) {
        let _ = nix::mount::umount2(&options.mount, nix::mount::MntFlags::MNT_DETACH);
    }
    let mut mount = Mount::default();
    mount.mount_options = vec![
        MountOption::FSName("/dev/fuse".to_owned()),
        MountOption::DefaultPermissions,
        MountOption::NoDev,
        MountOption::NoSuid,
    ];
    mount.acl = SessionACL::All;
    let fs = Fs::new(Arc::clone(group), &options.name);
    let session = fuser::spawn_mount(fs, &options.mount, &mount)
        .with_context(|| format!("fuse_mount error at {}", options.mount.display()))?;
    store::replace(&options.pid, format!("{}\n", std::process::id()).as_bytes(), 0o644)?;
    ready.say();
    signals.wait();
    let _ = std::fs::remove_file(&options.pid);
    // A process that still works in there must not keep the daemon: it is left with a dead folder.
    let _ = nix::mount::umount2(&options.mount, nix::mount::MntFlags::MNT_DETACH);
    drop(session);
    Ok(())
}
