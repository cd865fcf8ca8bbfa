//! Loop devices in place of disks, and a root in which only they can be seen.
//!
//! They are called `eda`, `edb`, ..., names that the vendor's code takes and no machine of today has; the runner turns
//! them into the loop devices. Everything goes with the value: mounts, loop devices, files. Needs root.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use cias_firstboot::facts::disks::Source;
use cias_firstboot::log::Log;
use cias_firstboot::outcome::Class;
use cias_firstboot::runner::{Call, Host, Output, Runner};
use cias_firstboot::system::{Sysroot, System};
use nix::unistd::{Whence, lseek};
use sha2::{Digest, Sha256};

/// May this process make loop devices?
pub fn allowed() -> bool {
    let allowed = nix::unistd::geteuid().is_root();
    if !allowed {
        eprintln!("skipped: loop devices need root");
    }
    allowed
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Something that happens on the machine.
pub type Event = Box<dyn FnOnce() + Send>;

/// One loop device with its file.
struct Loop {
    device: String,
    image: PathBuf,
    /// Another process will detach it.
    lent: bool,
}

impl Drop for Loop {
    fn drop(&mut self) {
        if !self.lent {
            let _ = Command::new("losetup").args(["-d", &self.device]).status();
        }
    }
}

/// A machine whose disks are loop devices.
pub struct Machine {
    /// What commands are answered with instead of being run: the beginning of the line, exit code, output.
    pub answers: Vec<(String, i32, String)>,
    /// Commands that can't be run to their end: the beginning of the line, and the class of the error.
    pub errors: Vec<(String, Class)>,
    /// Calls whose line begins so wait until that many of them run.
    pub together: Option<(String, Barrier)>,
    /// What happens once, before the first call whose line begins so.
    pub meanwhile: Mutex<Option<(String, Event)>>,
    /// The lines of all calls.
    pub calls: Mutex<Vec<String>>,
    loops: BTreeMap<String, Loop>,
    root: PathBuf,
    /// Nothing if another process made the machine.
    own: Option<tempfile::TempDir>,
    log: Log,
}

impl Machine {
    /// A machine without a disk.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["sys/block", "proc", "dev", "etc", "var/lib/cias", "images"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for name in ["self", "swaps"] {
            symlink(Path::new("/proc").join(name), root.join("proc").join(name)).unwrap();
        }
        Self {
            answers: Vec::new(),
            errors: Vec::new(),
            together: None,
            meanwhile: Mutex::default(),
            calls: Mutex::default(),
            loops: BTreeMap::new(),
            root: root.to_owned(),
            own: Some(folder),
            log: Log::silent(),
        }
    }

    /// The machine that another process made at `root`, which takes it away, too.
    pub fn lent(root: &Path) -> Self {
        let entries = fs::read_dir(root.join("images")).unwrap();
        let lent = |image: PathBuf| {
            let name = image.file_name().unwrap().to_str().unwrap().to_owned();
            let device = fs::read_link(root.join("dev").join(&name)).unwrap().to_str().unwrap().to_owned();
            (name, Loop { device, image, lent: true })
        };
        Self {
            answers: Vec::new(),
            errors: Vec::new(),
            together: None,
            meanwhile: Mutex::default(),
            calls: Mutex::default(),
            loops: entries.map(|entry| lent(entry.unwrap().path())).collect(),
            root: root.to_owned(),
            own: None,
            log: Log::silent(),
        }
    }

    /// The machine's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Adds a disk of so many bytes; `prepare` writes to its image first.
    pub fn add(&mut self, name: &str, size: u64, prepare: impl FnOnce(&mut File)) {
        self.attach(name, size, prepare, &["-P"]);
    }

    /// Adds a disk that the kernel does not write to.
    pub fn add_read_only(&mut self, name: &str, size: u64) {
        self.attach(name, size, |_| (), &["-r"]);
    }

    fn attach(&mut self, name: &str, size: u64, prepare: impl FnOnce(&mut File), options: &[&str]) {
        let image = self.root().join("images").join(name);
        let mut file = File::options().read(true).write(true).create_new(true).open(&image).unwrap();
        file.set_len(size).unwrap();
        prepare(&mut file);
        drop(file);
        let device = run("losetup", &[&["-f", "--show"], options, &[image.to_str().unwrap()]].concat());
        let kernel_name = device.strip_prefix("/dev/").unwrap();
        symlink(Path::new("/sys/block").join(kernel_name), self.root().join("sys/block").join(name)).unwrap();
        symlink(&device, self.root().join("dev").join(name)).unwrap();
        for part in 1..=4 {
            let part = format!("{kernel_name}p{part}");
            symlink(Path::new("/dev").join(&part), self.root().join("dev").join(&part)).unwrap();
        }
        self.loops.insert(name.to_owned(), Loop { device, image, lent: false });
    }

    /// Makes a disk look, to whoever asks sysfs, as if `device` with the attributes `files` were built on it and on
    /// `others`. No kernel stands behind it: a stand-in.
    pub fn hold(&self, device: &str, files: &[(&str, &str)], disks: &[&str]) {
        let block = self.root().join("sys/block");
        for (file, text) in files {
            let path = block.join(device).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for disk in disks {
            let (entry, slave) = (block.join(disk), block.join(device).join("slaves").join(disk));
            fs::create_dir_all(slave).unwrap();
            if let Ok(kernel) = fs::read_link(&entry) {
                fs::remove_file(&entry).unwrap();
                fs::create_dir(&entry).unwrap();
                for found in fs::read_dir(&kernel).unwrap().map(|found| found.unwrap().file_name()) {
                    if found != "holders" {
                        symlink(kernel.join(&found), entry.join(&found)).unwrap();
                    }
                }
            }
            fs::create_dir_all(entry.join("holders").join(device)).unwrap();
        }
    }

    /// The real device of a disk.
    pub fn device(&self, name: &str) -> &str {
        &self.loops[name].device
    }

    /// Where its disks are looked for.
    pub fn source(&self) -> Source<'_> {
        Source { also: self.names(), ..Source::machine(self).below(&Sysroot::new(self.root())) }
    }

    /// Names of the disks.
    pub fn names(&self) -> Vec<String> {
        self.loops.keys().cloned().collect()
    }

    /// What a step works on.
    pub fn system(&self) -> System<'_> {
        System { root: Sysroot::new(self.root()), runner: self, log: &self.log }
    }

    /// Makes the kernel know the first partition of a disk, sectors from [`put_table`]; some kernels read no tables.
    pub fn add_partition(&self, name: &str, sectors: u32) -> String {
        let partition = format!("{}p1", self.device(name));
        if !Path::new(&partition).exists() {
            run("addpart", &[self.device(name), "1", "2048", &sectors.to_string()]);
        }
        partition
    }

    /// A number that changes with any byte of the disk; holes, which are zero, need not be read for it.
    pub fn fingerprint(&self, name: &str) -> String {
        const BLOCK: usize = 1 << 16;
        File::open(self.device(name)).unwrap().sync_all().unwrap();
        let mut file = File::open(&self.loops[name].image).unwrap();
        let (size, mut at) = (file.metadata().unwrap().len(), 0);
        let mut hash = Sha256::new();
        // Blocks of zeroes count as holes, wherever they are kept.
        while let Ok(data) = lseek(&file, at, Whence::SeekData) {
            let block = u64::try_from(data).unwrap() / BLOCK as u64 * BLOCK as u64;
            let length = usize::try_from((size - block).min(BLOCK as u64)).unwrap();
            let mut bytes = vec![0; length];
            file.seek(SeekFrom::Start(block)).unwrap();
            file.read_exact(&mut bytes).unwrap();
            if bytes.iter().any(|byte| *byte != 0) {
                hash.update(block.to_le_bytes());
                hash.update(&bytes);
            }
            at = i64::try_from(block + length as u64).unwrap();
        }
        format!("{:x}", hash.finalize())
    }

    /// Fingerprints of all disks.
    pub fn fingerprints(&self) -> Vec<String> {
        self.loops.keys().map(|name| self.fingerprint(name)).collect()
    }

    /// Bytes of a disk, as its device shows them.
    pub fn bytes(&self, name: &str, at: u64, length: usize) -> Vec<u8> {
        let mut file = File::open(self.device(name)).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// What is mounted below the machine's root, the innermost last.
    fn mounts(&self) -> Vec<String> {
        let text = fs::read_to_string("/proc/mounts").unwrap();
        let points = text.lines().filter_map(|line| line.split(' ').nth(1)).map(ToOwned::to_owned);
        points.filter(|point| Path::new(point).starts_with(self.root())).collect()
    }

    /// Unmounts everything, as a shutdown does.
    pub fn unmount_all(&self) {
        assert!(self.unmounted(), "busy: {:?}", self.mounts());
    }

    /// A program that another test starts at this moment has our open files, too, until it runs.
    fn unmounted(&self) -> bool {
        let end = Instant::now() + Duration::from_secs(30);
        self.mounts().iter().rev().all(|point| {
            let mut umount = Command::new("umount");
            umount.arg(point).stderr(Stdio::null());
            while !umount.status().is_ok_and(|status| status.success()) {
                if Instant::now() > end {
                    return false;
                }
                std::thread::yield_now();
            }
            true
        })
    }
}

/// Mounts a file system for a look. What ended a moment ago may still hold the device.
pub fn mount_read_only(device: &str, folder: &Path) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let output = Command::new("mount").args(["-r", device]).arg(folder).output().unwrap();
        if output.status.success() {
            return;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let partitions = fs::read_to_string("/proc/partitions").unwrap_or_default();
        assert!(Instant::now() < end, "{device}: {said}; the kernel has:\n{partitions}");
        std::thread::yield_now();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.own.is_none() {
            return;
        }
        if !self.unmounted() {
            eprintln!("left behind, because it is busy: {:?}", self.mounts());
        }
    }
}

impl Runner for Machine {
    fn outcome(&self, call: &Call) -> Result<Output> {
        let line = call.line();
        self.calls.lock().unwrap().push(line.clone());
        let event = self.meanwhile.lock().unwrap().take_if(|(start, _)| line.starts_with(start.as_str()));
        if let Some((_, event)) = event {
            event();
        }
        if let Some((start, barrier)) = &self.together
            && line.starts_with(start)
        {
            barrier.wait();
        }
        if let Some((_, class)) = self.errors.iter().find(|(start, _)| line.starts_with(start)) {
            return Err(class.error("it did not come to its end"));
        }
        if let Some((_, code, text)) = self.answers.iter().find(|(start, _, _)| line.starts_with(start)) {
            return Ok(Output { code: *code, stdout: text.clone(), stderr: text.clone() });
        }
        let real = |arg: &String| match arg.strip_prefix("/dev/") {
            Some(name) if self.loops.contains_key(name) => self.device(name).to_owned(),
            Some(name) => {
                let own = |disk: &Loop| arg.starts_with(&format!("{}p", disk.device));
                assert!(self.loops.values().any(own), "{name} is no disk of this machine: {line}");
                arg.clone()
            }
            None => arg.clone(),
        };
        let args: Vec<String> = call.arguments().iter().map(real).collect();
        Host::new(|_| ()).outcome(&Call::new(call.program()).args(args))
    }
}

/// Writes bytes into an image.
pub fn put(file: &mut File, at: u64, bytes: &[u8]) {
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Writes what a real tool wrote: a listing of tests/fixtures/signatures.
pub fn put_signature(file: &mut File, name: &str) {
    let path = format!("{}/tests/fixtures/signatures/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    for line in fs::read_to_string(path).unwrap().lines().skip(1) {
        let (offset, hex) = line.split_once(' ').unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        put(file, offset.parse().unwrap(), &bytes);
    }
}

/// A DOS partition table with one partition of `sectors` from sector 2048 on.
pub fn put_table(file: &mut File, sectors: u32) {
    let mut entry = [0; 16];
    entry[4] = 0x83;
    entry[8..12].copy_from_slice(&2048_u32.to_le_bytes());
    entry[12..].copy_from_slice(&sectors.to_le_bytes());
    put(file, 446, &entry);
    put(file, 510, &[0x55, 0xaa]);
}
