//! What a build adds to the image and what it moves: pure, from what the image, the site and the packages are.

use crate::bootmenu;
use crate::iso9660::{BLOCK, Image, Kind};
use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;

/// Suffix of an original that was moved aside.
pub const VENDOR_SUFFIX: &str = ".vendor";
/// Folder of everything that is ours.
pub const FOLDER: &str = "/cias";
/// Where the vendor's installer takes its packages from.
pub const PACKAGES: &str = "/proxmox/packages";
/// The vendor's starter of X.
const XINIT: &str = "/usr/bin/xinit";
/// The network of the installer.
const INTERFACES: &str = "/etc/network/interfaces";
/// Bytes at the start of an image that a grow rewrites: xorriso's own constant (32 blocks).
pub const HEAD: u64 = 32 * BLOCK;
/// Largest tail behind the volume; vendors pad with some 300 KiB or to the next MiB.
const MAX_TAIL: u64 = 64 << 20;
/// Largest boot menu.
const MAX_MENU: u64 = 1 << 20;

/// What `/usr/bin/xinit` becomes.
const OUR_XINIT: &str = include_str!("../../preseed/xinit");
/// What `/etc/network/interfaces` becomes.
const OUR_INTERFACES: &str = include_str!("../../preseed/interfaces");
/// The front end that answers the vendor's installer.
const PERL: [(&str, &str); 6] = [
    ("/cias/perl/Gtk3.pm", include_str!("../../preseed/perl/Gtk3.pm")),
    ("/cias/perl/Gtk3/Answers.pm", include_str!("../../preseed/perl/Gtk3/Answers.pm")),
    ("/cias/perl/Gtk3/Overrides.pm", include_str!("../../preseed/perl/Gtk3/Overrides.pm")),
    ("/cias/perl/Gtk3/Report.pm", include_str!("../../preseed/perl/Gtk3/Report.pm")),
    ("/cias/perl/Gtk3/WebKit.pm", include_str!("../../preseed/perl/Gtk3/WebKit.pm")),
    ("/cias/perl/Gtk3/Widgets.pm", include_str!("../../preseed/perl/Gtk3/Widgets.pm")),
];

/// A file that is added.
#[derive(Clone, Debug)]
pub struct Added {
    /// Absolute path on the image.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub bytes: Vec<u8>,
}

/// A file of the vendor's that is moved aside; its blocks stay where they are.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Where it was.
    pub from: String,
    /// Where it goes.
    pub to: String,
}

/// Everything that changes on the image.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Files added, in the order in which they are written.
    pub added: Vec<Added>,
    /// Files moved aside.
    pub moved: Vec<Moved>,
}

/// A range of bytes of the source image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Range {
    /// First byte.
    pub offset: u64,
    /// Length.
    pub bytes: u64,
}

/// The folder of the boot loader and the path of its menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFiles {
    /// Path of the boot image that the BIOS loads.
    pub loader: String,
    /// Path of the menu.
    pub menu: String,
    /// Folder that relative names in the menu start from.
    pub folder: String,
}

impl BootFiles {
    /// Absolute path of a file that the menu names.
    pub fn resolve(&self, name: &str) -> String {
        if name.starts_with('/') { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }
}

/// Finds isolinux and its menu: the loader from the boot catalog, the menu where isolinux looks for it.
pub fn boot_files(image: &Image) -> Result<BootFiles> {
    let refuse = |what: String| {
        Class::BadInput
            .error(format!("{what}; wanted an ISO that boots by isolinux, use the Proxmox VE 3.2 ISO"))
    };
    let catalog =
        image.volume().boot.as_ref().ok_or_else(|| refuse("the image has no boot catalog".into()))?;
    let loader = catalog
        .images
        .iter()
        .filter(|boot| boot.platform == 0 && boot.bootable && boot.media == 0)
        .find_map(|boot| {
            image.entries().find(|entry| {
                entry.kind == Kind::File
                    && entry.extents.first().is_some_and(|extent| extent.block == boot.block)
            })
        })
        .ok_or_else(|| refuse("the boot catalog names no file of the image".into()))?;
    let own = loader.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    [own, "/boot/isolinux", "/isolinux", ""]
        .into_iter()
        .find_map(|folder| image.get(&format!("{folder}/isolinux.cfg")))
        .map(|menu| BootFiles {
            loader: loader.path.clone(),
            folder: menu.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned(),
            menu: menu.path.clone(),
        })
        .ok_or_else(|| refuse(format!("found no isolinux.cfg beside {}", loader.path)))
}

/// Text of the boot menu. Bytes that are no UTF-8 would not survive, so they are refused.
pub fn menu_text(image: &Image, boot: &BootFiles) -> Result<String> {
    let entry = image.get(&boot.menu).context("finding the boot menu")?;
    String::from_utf8(image.read(entry, MAX_MENU)?).map_err(|_| {
        Class::BadInput.error(format!("{} is no UTF-8 text; use the vendor's unchanged ISO", boot.menu))
    })
}

/// The changes that are the same for every site but for its name, without manifest and site region.
pub fn changes(
    image: &Image,
    boot: &BootFiles,
    site: &str,
    binary: Vec<u8>,
    debs: Vec<(String, Vec<u8>)>,
) -> Result<Plan> {
    if image.get(FOLDER).is_some() {
        return Err(Class::BadInput.error(format!(
            "the image has a folder {FOLDER} already, so it was made by cias-builder; use the vendor's ISO"
        )));
    }
    let vendor = menu_text(image, boot)?;
    let menu = bootmenu::render(&vendor)?;
    let mut plan = Plan::default();
    plan.replace(image, XINIT, 0o755, OUR_XINIT.into())?;
    plan.replace(image, INTERFACES, 0o644, OUR_INTERFACES.into())?;
    plan.replace(image, &boot.menu, 0o644, menu.into_bytes())?;
    let folder = boot.menu.rsplit_once('/').map_or("", |(folder, _)| folder);
    let notice = bootmenu::notice(&vendor, site);
    plan.add(&format!("{folder}/{}", bootmenu::NOTICE), 0o644, notice.into_bytes());
    plan.add("/cias/cias-firstboot", 0o755, binary);
    for (path, text) in PERL {
        plan.add(path, 0o644, text.into());
    }
    for (name, bytes) in debs {
        plan.add(&format!("{PACKAGES}/{name}"), 0o644, bytes);
    }
    let moved = |path: &str| plan.moved.iter().any(|moved| moved.from == path);
    match plan.added.iter().find(|added| image.get(&added.path).is_some() && !moved(&added.path)) {
        Some(added) => Err(Class::BadInput.error(format!(
            "the image has {} already, and nothing of the vendor's is overwritten; if it is a package, take it out of \
             --packages",
            added.path
        ))),
        None => Ok(plan),
    }
}

impl Plan {
    /// Adds a file.
    pub fn add(&mut self, path: &str, mode: u32, bytes: Vec<u8>) {
        self.added.push(Added { path: path.to_owned(), mode, bytes });
    }

    /// Moves the vendor's file at `path` aside and puts ours there. A link at `path` is followed for nothing: what
    /// is moved is the entry itself.
    fn replace(&mut self, image: &Image, path: &str, mode: u32, bytes: Vec<u8>) -> Result<()> {
        let to = format!("{path}{VENDOR_SUFFIX}");
        if image.get(path).is_none() || image.get(&to).is_some() {
            return Err(Class::BadInput.error(format!(
                "wanted {path} and no {to} on the image, found otherwise; use the vendor's unchanged ISO"
            )));
        }
        self.moved.push(Moved { from: path.to_owned(), to });
        self.add(path, mode, bytes);
        Ok(())
    }

    /// The folders that the added files need and that the image has not, parents first.
    pub fn new_folders(&self, image: &Image) -> Vec<String> {
        let mut folders: Vec<String> = Vec::new();
        for added in &self.added {
            for (at, _) in added.path.match_indices('/').skip(1) {
                let folder = &added.path[..at];
                if image.get(folder).is_none() && !folders.iter().any(|known| known == folder) {
                    folders.push(folder.to_owned());
                }
            }
        }
        folders
    }

    /// Bytes that will be written, without directories.
    pub fn bytes(&self) -> u64 {
        self.added.iter().map(|added| added.bytes.len() as u64).sum()
    }
}

/// The ranges of the source image that a grow overwrites: its head, and whatever lies behind the end of the
/// volume (padding, a backup GPT). File data in either would be lost, so it is refused.
pub fn overwritten(image: &Image) -> Result<Vec<Range>> {
    let end = u64::from(image.volume().blocks) * BLOCK;
    let tail = Range { offset: end, bytes: image.size().saturating_sub(end) };
    if tail.bytes > MAX_TAIL {
        return Err(Class::BadInput.error(format!(
            "{} bytes follow the end of the volume, wanted at most {MAX_TAIL}; use the vendor's unchanged ISO",
            tail.bytes
        )));
    }
    for entry in image.entries().filter(|entry| entry.kind == Kind::File) {
        for extent in &entry.extents {
            let start = u64::from(extent.block) * BLOCK;
            if start < HEAD || start + extent.bytes > end {
                return Err(Class::BadInput.error(format!(
                    "{} lies at byte {start}, where the image has to be rewritten; use the vendor's unchanged ISO",
                    entry.path
                )));
            }
        }
    }
    let head = Range { offset: 0, bytes: HEAD };
    Ok(if tail.bytes == 0 { vec![head] } else { vec![head, tail] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_front_end_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../preseed/perl");
        let mut found: Vec<String> = walkdir::WalkDir::new(&folder)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| format!("/cias/perl/{}", entry.path().strip_prefix(&folder).unwrap().display()))
            .collect();
        found.sort();
        assert_eq!(found, PERL.map(|(path, _)| path));
    }
}
