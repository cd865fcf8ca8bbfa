//! Several servers on one segment, all from one installed disk: each has a layer of its own over it, own MAC addresses and an
//! own serial number.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::runner::{Call, Host, Runner};
use toml_edit::DocumentMut;

use super::Lab;
use super::asserts::Node;
use super::formed;
use super::road;
use super::services_formed;
use crate::guest::{Guest, Start};
use crate::kept;
use crate::machine::{Disk, Fault, Machine, OVERLAY};
use crate::net::Net;
use crate::site::{LabSite, SYSTEM};
use crate::volume::Inside;

/// The site's file on an installed node.
pub const SITE: &str = "/etc/cias/site.toml";

/// Serial number of the one data disk of each server, and its size in GiB.
const DATA: (&str, u32) = ("DATA1", 1);

/// Memory of a server in MiB: Proxmox VE's stand-ins and corosync, no storage of its own.
const MEMORY: u32 = 768;

/// What the servers of a fleet and their saved states are made from, besides the installation.
const RECIPE: [&str; 3] = [include_str!("fleet.rs"), formed::RECIPE, services_formed::RECIPE];

/// An installed system disk, from which servers are made.
#[derive(Clone, Debug)]
pub struct Mould {
    /// Its image, which nobody writes to any more.
    image: PathBuf,
    /// The key for root on its nodes.
    key: PathBuf,
    /// Memory of each server in MiB.
    memory: u32,
}

impl Mould {
    /// Of the lab's site, but nobody is pinned as the founder.
    pub fn unpinned(lab: &Lab) -> Result<Self> {
        Self::changed(lab, "unpinned", unpin)
    }

    /// Of the lab's site with what `change` does to its file; `name` is for that change alone.
    pub fn changed(lab: &Lab, name: &str, change: impl FnOnce(&mut DocumentMut)) -> Result<Self> {
        let installed = road::installation(lab)?;
        let folder = lab.folder.join(name);
        let image = folder.join(format!("{SYSTEM}.raw"));
        let original = installed.join(format!("{SYSTEM}.raw"));
        let text = Inside::find(&original, SITE)?.read()?;
        let mut document: DocumentMut = text.parse().with_context(|| format!("parsing {SITE}"))?;
        change(&mut document);
        let text = document.to_string();
        let mut parts = road::of_installation(lab)?;
        // The site has keys of its own, so it also tells one installation from another.
        parts.push(text.clone().into_bytes());
        kept::ensure(&folder, &parts, || {
            road::copy(&original, &image)?;
            Inside::find(&image, SITE)?.write(&text)
        })?;
        Ok(Self { image, key: LabSite::in_folder(&installed).key, memory: MEMORY })
    }

    /// For servers with so many MiB of memory.
    pub fn with_memory(self, memory: u32) -> Self {
        Self { memory, ..self }
    }
}

/// Takes the pin out of a site.
pub fn unpin(site: &mut DocumentMut) {
    if let Some(role) = site["role"].as_table_like_mut() {
        role.remove("founder");
    }
}

/// A server of a fleet.
#[derive(Clone, Debug)]
pub struct Server {
    /// What it is made of.
    pub machine: Machine,
    /// The state that it goes on from, if it was saved.
    state: Option<PathBuf>,
}

/// Servers on one segment.
pub struct Fleet {
    /// Folder of this scenario.
    pub folder: PathBuf,
    /// The key for root on every node.
    pub key: PathBuf,
    /// The servers.
    pub servers: Vec<Server>,
    /// The segment.
    pub net: Net,
}

impl Fleet {
    /// `count` servers that were installed and never started.
    pub fn new(lab: &Lab, name: &str, mould: &Mould, count: usize) -> Result<Self> {
        let folder = lab.folder.join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let mut fleet = Self { folder, key: mould.key.clone(), servers: Vec::new(), net: Net::new()? };
        for _ in 0..count {
            fleet.add(mould)?;
        }
        Ok(fleet)
    }

    /// One more server that was installed and never started.
    pub fn add(&mut self, mould: &Mould) -> Result<()> {
        let number = self.servers.len() + 1;
        let name = server_name(number);
        let machine = Machine {
            serial: format!("LAB-{}", name.to_uppercase()),
            memory: mould.memory,
            disks: [(SYSTEM, true), (DATA.0, false)]
                .map(|(serial, boot)| self.disk(&name, serial, boot))
                .into(),
            nics: (1..=2).map(|nic| format!("52:54:00:cb:{number:02x}:{nic:02x}")).collect(),
            name,
            video: false,
            link: true,
            clock: None,
        };
        self.servers.push(Server { machine, state: None });
        self.renew(number - 1, mould)
    }

    /// The same server, as if it had just been installed again, and its data disk were new.
    pub fn renew(&self, index: usize, mould: &Mould) -> Result<()> {
        for disk in &self.servers[index].machine.disks {
            match disk.serial.as_str() {
                SYSTEM => layer(&mould.image, "raw", &disk.image)?,
                _ => create(&disk.image, &[], &format!("{}G", DATA.1))?,
            }
        }
        Ok(())
    }

    fn disk(&self, name: &str, serial: &str, boot: bool) -> Disk {
        let image = self.folder.join(format!("{name}-{serial}.{OVERLAY}"));
        Disk { image, serial: serial.to_owned(), boot, fault: Fault::None }
    }

    /// Switches servers on in the same second: those that were saved go on where they were.
    pub fn start(&self, which: Range<usize>) -> Result<Vec<Guest<'_>>> {
        let servers = &self.servers[which];
        let start = |server: &Server| {
            let how = server.state.as_deref().map_or(Start::On, Start::Saved);
            Guest::start(&self.net, &server.machine, how, &self.folder.join("boot"))
        };
        let mut guests = servers.iter().map(start).collect::<Result<Vec<_>>>()?;
        let saved = || servers.iter().enumerate().filter(|(_, server)| server.state.is_some());
        for (index, _) in saved() {
            guests[index].loaded()?;
        }
        // One right after the other: a pause between them would look like a dead node.
        for (index, _) in saved() {
            guests[index].run(true)?;
        }
        Ok(guests)
    }

    /// Switches one server on, from its disks.
    pub fn boot(&self, index: usize) -> Result<Guest<'_>> {
        Guest::start(&self.net, &self.servers[index].machine, Start::On, &self.folder.join("boot"))
    }

    /// Which server has an address.
    pub fn at(&self, address: &str) -> Result<usize> {
        let serial = self.node(address).ask("cat /sys/class/dmi/id/product_serial")?;
        let found = self.servers.iter().position(|server| server.machine.serial == serial);
        found.with_context(|| {
            format!("{address}: found the serial number {serial:?}, wanted one of the fleet's")
        })
    }

    /// The node at an address, over ssh.
    pub fn node<'a>(&'a self, address: &'a str) -> Node<'a> {
        Node { net: &self.net, key: &self.key, address }
    }

    /// Servers in the state that `form` brings them to. It is saved, so that it is formed once for the same programs, and every
    /// scenario that begins there goes on from its own layers over it.
    pub fn saved(
        lab: &Lab,
        mould: &Mould,
        name: &str,
        (state, count): (&str, usize),
        form: impl FnOnce(&Fleet, &mut Vec<Guest<'_>>) -> Result<()>,
    ) -> Result<Self> {
        let folder = lab.folder.join(state);
        kept::ensure(&folder, &of_saved(lab, count)?, || {
            let fleet = Self::new(lab, state, mould, count)?;
            let mut guests = fleet.start(0..count)?;
            form(&fleet, &mut guests)?;
            fleet.save(guests)
        })?;
        let mut fleet = Self::new(lab, name, mould, count)?;
        for server in &mut fleet.servers {
            for disk in &server.machine.disks {
                let file = disk.image.file_name().context("finding a disk")?;
                layer(&folder.join(file), OVERLAY, &disk.image)?;
            }
            server.state = Some(state_file(&folder, &server.machine.name));
        }
        Ok(fleet)
    }

    /// Saves the state of all servers at one instant; then they are off, and their disks stay as they are.
    fn save(&self, mut guests: Vec<Guest<'_>>) -> Result<()> {
        guests.iter().try_for_each(|guest| guest.run(false))?;
        guests.iter_mut().try_for_each(|guest| {
            let file = state_file(&self.folder, guest.name());
            guest.save(&file)
        })
    }
}

fn state_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.state"))
}

/// What a saved state is made from; another QEMU may not understand it.
fn of_saved(lab: &Lab, count: usize) -> Result<Vec<Vec<u8>>> {
    let qemu = Host::unchecked(|_| ()).run(&Call::new("qemu-system-x86_64").arg("--version"))?.stdout;
    let mut parts = road::of_installation(lab)?;
    // The keys of the site are not the same after another installation.
    let site = LabSite::in_folder(&road::installation(lab)?).file;
    parts.push(std::fs::read(&site).with_context(|| format!("reading {}", site.display()))?);
    parts.extend(RECIPE.map(|text| text.as_bytes().to_vec()));
    parts.extend([qemu, count.to_string()].map(String::into_bytes));
    Ok(parts)
}

/// An empty layer over an image that nobody writes to any more.
fn layer(over: &Path, format: &str, image: &Path) -> Result<()> {
    create(image, &["-F", format, "-b", &over.display().to_string()], "")
}

fn create(image: &Path, options: &[&str], size: &str) -> Result<()> {
    let call = Call::new("qemu-img").args(["create", "-q", "-f", OVERLAY]).args(options.iter().copied());
    let call = call.arg(image.display().to_string()).args(Some(size).filter(|size| !size.is_empty()));
    Host::unchecked(|_| ()).run(&call).map(drop)
}

/// `a`, `b`, `c`: the names of network ports are short.
fn server_name(number: usize) -> String {
    let letter = u8::try_from(number).ok().and_then(|number| b'a'.checked_add(number - 1));
    letter.map_or_else(|| number.to_string(), |letter| char::from(letter).to_string())
}
