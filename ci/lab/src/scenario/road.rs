//! The road itself: a server is switched on with the image in its drive, installs itself, and boots from its disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cias_firstboot::runner::{Call, Host, Runner};
use toml_edit::DocumentMut;

use super::Lab;
use super::asserts::Node;
use crate::guest::{Guest, Start};
use crate::kept;
use crate::machine::{Disk, Fault, Machine, Medium};
use crate::net::Net;
use crate::phases::Phases;
use crate::site::{self, FOUNDER, LabSite, SYSTEM};

/// The founder's address, by the plan.
pub const ADDRESS: &str = "10.254.0.1";

/// How long each part of a scenario took, in its folder.
pub const PHASES: &str = "phases.json";

/// Five times what an installation takes here at most.
pub const INSTALL: Duration = Duration::from_mins(12);

/// Five times what a boot takes here at most.
pub const BOOT: Duration = Duration::from_mins(6);

const GIB: u64 = 1 << 30;

/// The remastered image in a scenario's folder.
const ISO: &str = "cluster.iso";

/// The disks of a server in the order of the bus, with their sizes in GiB.
const DISKS: [(&str, u64); 4] = [("DATA1", 2), (SYSTEM, 8), ("DATA2", 3), ("FOREIGN", 2)];

/// An empty disk of `gib` GiB in `folder`; `boot` makes the firmware start from it.
pub fn disk(folder: &Path, serial: &str, gib: u64, boot: bool) -> Result<Disk> {
    let image = folder.join(format!("{serial}.raw"));
    crate::base::remove(&image)?;
    File::create(&image).and_then(|file| file.set_len(gib * GIB)).context("making a disk")?;
    Ok(Disk { image, serial: serial.to_owned(), boot, fault: Fault::None })
}

/// What the disks of an installed server are made from, besides the programs and the image.
const RECIPE: [&str; 4] = [
    include_str!("road.rs"),
    include_str!("../site.rs"),
    include_str!("../machine.rs"),
    include_str!("../guest.rs"),
];

/// The folder with the site, the image and the disks of a server that was installed and never started.
pub fn installation(lab: &Lab) -> Result<PathBuf> {
    let folder = lab.folder.join("installed");
    kept::ensure(&folder, &of_installation(lab)?, || {
        let road = Road::prepare(lab, "installed", FOUNDER, |_| ())?;
        road.put_foreign_data()?;
        let mut phases = Phases::begin();
        road.install()?;
        phases.note("installed (one server, alone)");
        phases.end(&folder.join(PHASES))
    })?;
    Ok(folder)
}

/// What an installation is made from.
pub fn of_installation(lab: &Lab) -> Result<Vec<Vec<u8>>> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
    let mut parts = vec![read(&lab.programs.builder)?, read(&lab.programs.firstboot)?];
    // These are named by what they were made from.
    parts.extend([&lab.base.iso, &lab.base.added].map(|path| path.display().to_string().into_bytes()));
    parts.extend(RECIPE.map(|text| text.as_bytes().to_vec()));
    Ok(parts)
}

/// A copy that takes no more room than the original.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let call = Call::new("cp").args(["--sparse=always", "--reflink=auto", "--"]);
    let call = call.args([from, to].map(|path| path.display().to_string()));
    Host::unchecked(|_| ()).run(&call.limit(INSTALL)).map(drop)
}

/// A server with two NICs.
fn machine(serial: &str, disks: Vec<Disk>) -> Machine {
    Machine {
        name: "node".into(),
        serial: serial.into(),
        memory: 1024,
        disks,
        nics: vec!["52:54:00:ca:00:01".into(), "52:54:00:ca:00:02".into()],
        video: true,
        link: true,
        clock: None,
    }
}

/// A site, its image, and a server that can be switched on.
pub struct Road<'l> {
    lab: &'l Lab,
    /// Folder of this scenario.
    pub folder: PathBuf,
    /// The site.
    pub site: LabSite,
    /// The remastered image.
    pub iso: PathBuf,
    /// The server.
    pub machine: Machine,
    /// The network.
    pub net: Net,
}

impl<'l> Road<'l> {
    /// Makes the site and its image, and a server with two NICs, two blank data disks and one with foreign data; the
    /// disk that becomes the system's is the second one.
    pub fn prepare(
        lab: &'l Lab,
        name: &str,
        serial: &str,
        change: impl FnOnce(&mut DocumentMut),
    ) -> Result<Self> {
        let folder = lab.folder.join(name);
        let start = Instant::now();
        let site = site::make(&lab.programs, &folder, change)?;
        let iso = folder.join(ISO);
        site::remaster(&lab.programs, &lab.base, &site, &iso)?;
        eprintln!("lab: {name}: image made in {:.1} s", start.elapsed().as_secs_f32());
        let disks = DISKS
            .map(|(serial, gib)| disk(&folder, serial, gib, serial == SYSTEM))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { lab, folder, site, iso, machine: machine(serial, disks), net: Net::new()? })
    }

    /// A server that was installed and never started since, with disks of its own. All scenarios that begin there share
    /// one installation.
    pub fn installed(lab: &'l Lab, name: &str) -> Result<Self> {
        let shared = installation(lab)?;
        let folder = lab.folder.join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let mut disks = Vec::new();
        for (serial, _) in DISKS {
            let image = folder.join(format!("{serial}.raw"));
            copy(&shared.join(format!("{serial}.raw")), &image)?;
            disks.push(Disk { image, serial: serial.to_owned(), boot: serial == SYSTEM, fault: Fault::None });
        }
        let (site, iso) = (LabSite::in_folder(&shared), shared.join(ISO));
        Ok(Self { lab, folder, site, iso, machine: machine(FOUNDER, disks), net: Net::new()? })
    }

    /// The founder, over ssh.
    pub fn node(&self) -> Node<'_> {
        Node { net: &self.net, key: &self.site.key, address: ADDRESS }
    }

    /// The image of the disk with this serial number.
    pub fn disk(&self, serial: &str) -> Result<&Path> {
        let found = self.machine.disks.iter().find(|disk| disk.serial == serial);
        found.map(|disk| disk.image.as_path()).with_context(|| format!("finding the disk {serial}"))
    }

    /// Writes bytes into a disk at an offset.
    pub fn scribble(&self, serial: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let path = self.disk(serial)?;
        let file =
            File::options().write(true).open(path).with_context(|| format!("opening {}", path.display()))?;
        file.write_all_at(bytes, offset).with_context(|| format!("writing to {}", path.display()))
    }

    /// Somebody's data, in the middle of a disk without any table or file system.
    pub fn put_foreign_data(&self) -> Result<()> {
        self.scribble("FOREIGN", 0, &[0xa5; 4096])?;
        self.scribble("FOREIGN", 700 << 20, b"somebody's data")
    }

    /// Installs the server: from power-on to the vendor's reboot, with nobody at the keyboard.
    pub fn install(&self) -> Result<()> {
        let start = Instant::now();
        let mut guest = self.boot_image()?;
        guest.wait_for("cias: installation done", INSTALL)?;
        guest.wait_for_end(Duration::from_mins(5))?;
        eprintln!("lab: installed in {} s", start.elapsed().as_secs());
        Ok(())
    }

    /// Switches the server on; it starts from its disk.
    pub fn start(&self) -> Result<Guest<'_>> {
        Guest::start(&self.net, &self.machine, Start::On, &self.folder.join("boot"))
    }

    /// Boots the server from its disk up to the login prompt.
    pub fn boot(&self) -> Result<Guest<'_>> {
        let start = Instant::now();
        let mut guest = self.start()?;
        guest.wait_for_login(BOOT)?;
        eprintln!("lab: login prompt after {} s", start.elapsed().as_secs());
        Ok(guest)
    }

    /// Boots the image; what happens then is the scenario's.
    pub fn boot_image(&self) -> Result<Guest<'_>> {
        self.boot_medium(Medium::Cd(&self.iso))
    }

    /// Boots a medium that comes before the disks; what happens then is the scenario's.
    pub fn boot_medium(&self, medium: Medium<'_>) -> Result<Guest<'_>> {
        Guest::start(&self.net, &self.machine, Start::From(medium), &self.folder.join("install"))
    }

    /// The lab that this road runs in.
    pub fn lab(&self) -> &Lab {
        self.lab
    }
}
