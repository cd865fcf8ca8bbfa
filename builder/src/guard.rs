//! The guard: a GRUB image that isolinux starts as if it were a kernel, and that looks for this build's marker on all
//! disks. A server that was installed already starts its own system, although the medium comes first in the boot
//! order; otherwise the installer's kernel starts. A started kernel could not hand over to a disk (docs/facts.md 13).

use std::path::Path;

use crate::bootmenu::{self, AUTO_WORD, DIRECT, Label, REINSTALL_WORD};
use crate::iso9660::Image;
use crate::plan::BootFiles;
use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use cias_firstboot::preinstall::marker;
use cias_firstboot::render::render;
use cias_firstboot::runner::{Call, Runner};
use serde::Serialize;

/// Where Debian's package `grub-pc-bin` has what GRUB is made of.
const PARTS: &str = "/usr/lib/grub/i386-pc";
/// The package's head that makes a GRUB image look like a Linux kernel.
const HEAD: &str = "lnxboot.img";
/// Where GRUB finds its configuration in the archive that it carries.
const CONFIG: &str = "boot/grub/grub.cfg";
/// All that the configuration uses.
const MODULES: [&str; 20] = [
    "memdisk",
    "tar",
    "normal",
    "configfile",
    "regexp",
    "test",
    "echo",
    "serial",
    "terminal",
    "biosdisk",
    "part_msdos",
    "part_gpt",
    "ext2",
    "iso9660",
    "linux16",
    "chain",
    "boot",
    "reboot",
    "minicmd",
    "sleep",
];
/// Seconds in which a person can choose another entry.
const TIMEOUT: u32 = 10;
/// How to get the missing programs.
const INSTALL: &str = "install it with `apt-get install grub-common grub-pc-bin`";

/// Where the guard finds its own medium again: a file that no other build's medium has.
pub fn medium(build_id: &str) -> String {
    format!("/cias/medium-{build_id}")
}

/// What GRUB calls itself; fails if it is not installed.
pub fn version(runner: &dyn Runner) -> Result<String> {
    let missing = |what: String| Class::MissingTool.error(format!("{what}; {INSTALL}"));
    if !Path::new(PARTS).join(HEAD).exists() {
        return Err(missing(format!("found no {PARTS}/{HEAD}")));
    }
    let output = runner
        .run(&Call::new("grub-mkimage").arg("--version"))
        .map_err(|error| missing(format!("{error:#}")))?;
    Ok(output.stdout.trim().to_owned())
}

/// The serial console of the vendor's menu.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Serial {
    unit: u8,
    speed: u32,
}

/// Reads the value of isolinux's `serial`: port, speed (9600 unless given), flow control. A port above 3 is an I/O address,
/// which GRUB's `--unit` does not know.
fn serial(vendor: &str) -> Option<Serial> {
    let value = bootmenu::value_of(vendor, "serial")?;
    let mut words = value.split_whitespace();
    let unit = words.next()?.parse().ok().filter(|unit| *unit < 4)?;
    Some(Serial { unit, speed: words.next().map_or(Some(9600), |speed| speed.parse().ok())? })
}

/// One word for GRUB's script: in single quotes, so that nothing in it is expanded.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// GRUB's configuration. `path` gives the place on the medium of a file that the menu names.
fn config(build_id: &str, vendor: &str, normal: &Label, path: impl Fn(&str) -> String) -> Result<String> {
    #[derive(Serialize)]
    struct Values {
        serial: Option<Serial>,
        marker: String,
        medium: String,
        kernel: String,
        initrds: Vec<String>,
        words: String,
        reinstall: &'static str,
        direct: &'static str,
        timeout: u32,
    }
    let words = normal.append.iter().flat_map(|text| text.split_whitespace());
    let words = words.filter(|word| !word.starts_with("initrd=")).chain([AUTO_WORD]);
    let values = Values {
        serial: serial(vendor),
        marker: format!("{}{build_id}", marker::PREFIX),
        medium: medium(build_id),
        kernel: quoted(&path(normal.kernel.as_deref().unwrap_or_default())),
        initrds: normal.initrds().into_iter().map(|name| quoted(&path(name))).collect(),
        words: words.map(quoted).collect::<Vec<_>>().join(" "),
        reinstall: REINSTALL_WORD,
        direct: DIRECT,
        timeout: TIMEOUT,
    };
    render("guard.cfg", include_str!("../../overlay/templates/guard.cfg.j2"), values)
}

/// The guard of one build. `folder` is an empty folder that only we can read.
pub fn image(
    runner: &dyn Runner,
    source: &Image,
    boot: &BootFiles,
    vendor: &str,
    build_id: &str,
    folder: &Path,
) -> Result<Vec<u8>> {
    let menu = bootmenu::parse(vendor);
    // The name by which Linux and GRUB know the file; isolinux takes others, too.
    let path = |name: &str| {
        let path = boot.resolve(name);
        source.resolve(&path).map_or(path, |entry| entry.path.clone())
    };
    let config = config(build_id, vendor, menu.normal()?, path)?;
    let (memdisk, core) = (folder.join("guard.tar"), folder.join("guard.img"));
    let archive = archive(&config).context("packing GRUB's configuration")?;
    cias_firstboot::files::write(&memdisk, archive, 0o600)?;
    let prefix = format!("(memdisk)/{}", CONFIG.rsplit_once('/').map_or("", |(folder, _)| folder));
    let call = Call::new("grub-mkimage")
        .args(["-O", "i386-pc", "-d", PARTS, "-p", &prefix, "-m"])
        .arg(memdisk.to_string_lossy())
        .arg("-o")
        .arg(core.to_string_lossy())
        .args(MODULES);
    runner.run(&call).context("making the guard")?;
    let mut bytes = Vec::new();
    for part in [Path::new(PARTS).join(HEAD), core.clone()] {
        bytes.extend(std::fs::read(&part).with_context(|| format!("reading {}", part.display()))?);
    }
    cias_firstboot::files::remove(&memdisk)?;
    cias_firstboot::files::remove(&core)?;
    Ok(bytes)
}

/// A tar with nothing but the configuration, the same at every time and for every user.
fn archive(config: &str) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(config.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, CONFIG, config.as_bytes())?;
    Ok(archive.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    const VENDOR: &str = "serial 0 115200\ndefault linux\nlabel linux\nkernel linux26\nappend initrd=a.img,b.img rw x='$(y)'\n";

    fn example(vendor: &str) -> String {
        let menu = bootmenu::parse(vendor);
        config("00ff", vendor, menu.normal().unwrap(), |name| format!("/boot/{name}")).unwrap()
    }

    #[test]
    fn the_configuration_is_a_grub_script() {
        for vendor in [VENDOR, "label linux\nkernel k\nappend initrd=i\n"] {
            let mut check = Command::new("grub-script-check").stdin(Stdio::piped()).spawn().unwrap();
            check.stdin.take().unwrap().write_all(example(vendor).as_bytes()).unwrap();
            assert!(check.wait().unwrap().success(), "{}", example(vendor));
        }
    }

    #[test]
    fn it_names_marker_medium_and_what_the_normal_label_starts() {
        let text = example(VENDOR);
        for wanted in [
            "serial --unit=0 --speed=115200\n",
            "\"$device/cias-installed-00ff\"",
            "\"$device/boot/cias-installed-00ff\"",
            "\"$device/cias/medium-00ff\"",
            r#"linux16 "$medium"'/boot/linux26' 'rw' 'x='\''$(y)'\''' 'cias.auto' $1"#,
            "initrd16 \"$medium\"'/boot/a.img' \"$medium\"'/boot/b.img'\n",
            "{ install cias.reinstall; }",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in {text}");
        }
    }

    #[test]
    fn the_serial_console_is_the_vendors() {
        for (line, wanted) in [
            ("serial 1", Some(Serial { unit: 1, speed: 9600 })),
            ("SERIAL 0 115200 0x3", Some(Serial { unit: 0, speed: 115_200 })),
            ("serial 0x3f8 9600", None),
            ("serial 0 fast", None),
            ("label x\nkernel serial", None),
        ] {
            assert_eq!(serial(line), wanted, "{line}");
        }
    }
}
