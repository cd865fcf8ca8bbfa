//! A machine as the installer sees it, on loop devices.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its machine up must stop")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use cias_firstboot::console::Console;
use cias_firstboot::outcome::Class;
use cias_firstboot::preinstall::{self, Decision, Options};
use cias_firstboot::region::{self, Payload};
use cias_firstboot::site::Who;

use crate::loops::Machine;

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
/// Sectors of the partition that the tests make, 100 MiB.
pub const PARTITION: u32 = 100 * 2048;
pub const BUILD: &str = "0123456789abcdef";

/// A machine as the installer sees it; `site` is added to the test site.
pub fn installer(site: &str) -> Machine {
    let mut machine = Machine::new();
    let write = |path: &str, text: &[u8]| {
        let path = machine.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("proc/cmdline", b"cias.auto cias.countdown=0\n");
    write(
        "proxmox/country.dat",
        b"map:en-us:U.S. English:en-us:us.kmap:us::\nmap:de:German:de:de.kmap:de::\nde:Germany:de::\n",
    );
    write("usr/share/zoneinfo/zone.tab", b"DE\t+5230+01322\tEurope/Berlin\n");
    let site_toml = format!("{}{site}", include_str!("site.toml"));
    let payload = Payload { build_id: BUILD.into(), manifest_sha256: String::new(), site_toml };
    write("site.bin", &region::encode(&payload).unwrap());
    // LVM would look at all disks of this machine; what it would say is told in its place.
    machine.answers.push(("vgs ".into(), 0, String::new()));
    machine
}

pub fn options(machine: &Machine) -> Options {
    let at = |name: &str| machine.root().join(name);
    Options {
        region: at("site.bin"),
        answers: at("work/answers.json"),
        look: at("work/look"),
        dry_run: false,
    }
}

pub fn preinstall(machine: &Machine, terminals: &Path) -> Result<()> {
    apply(machine, terminals, &decide(machine)?)
}

pub fn decide(machine: &Machine) -> Result<Decision> {
    preinstall::decide(&machine.system(), &machine.source(), &Who::default(), &options(machine))
}

pub fn apply(machine: &Machine, terminals: &Path, decision: &Decision) -> Result<()> {
    let (system, source, options) = (machine.system(), machine.source(), options(machine));
    let mut console = Console::open(terminals, "");
    preinstall::apply(&system, &source, &Who::default(), &mut console, decision, &options).map(drop)
}

/// Wants a refusal with that in its text, and every disk as it was.
pub fn refuses(machine: &Machine, wanted: &str) {
    let before = machine.fingerprints();
    refused(machine, preinstall(machine, machine.root()), &before, wanted);
}

/// Wants a decision, then lets `change` happen, and wants a refusal with that in its text and no byte written.
pub fn refuses_after(machine: &mut Machine, change: impl FnOnce(&mut Machine), wanted: &str) {
    let decision = decide(machine).unwrap();
    change(machine);
    let before = machine.fingerprints();
    refused(machine, apply(machine, machine.root(), &decision), &before, wanted);
}

fn refused(machine: &Machine, result: Result<()>, before: &[String], wanted: &str) {
    let error = result.expect_err(wanted);
    assert_eq!(Class::of(&error), Class::Refused, "{error:#}");
    assert!(format!("{error:#}").contains(wanted), "{error:#}");
    assert_eq!(machine.fingerprints(), before, "{wanted}");
    assert!(!options(machine).answers.exists());
}

/// An ext3 partition with that file in it.
pub fn put_boot_partition(machine: &Machine, disk: &str, marker: &str) -> String {
    prepare_boot_partition(machine, disk, |folder| {
        fs::write(folder.join(marker), "{\"site\": \"elsewhere\"}").unwrap();
    })
}

/// An ext3 partition with what `prepare` puts into it.
pub fn prepare_boot_partition(machine: &Machine, disk: &str, prepare: impl FnOnce(&Path)) -> String {
    let partition = machine.add_partition(disk, PARTITION);
    let folder = machine.root().join("prepare");
    fs::create_dir_all(&folder).unwrap();
    tool("mkfs.ext3", &["-q", "-F", &partition]);
    tool("mount", &[&partition, folder.to_str().unwrap()]);
    prepare(&folder);
    machine.unmount_all();
    partition
}

/// Runs a program that must succeed.
pub fn tool(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}
