//! What a server is made of, and the words that make QEMU so.

use std::path::{Path, PathBuf};

/// How the image of an overlay ends.
pub const OVERLAY: &str = "qcow2";

/// A disk of a server.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Image file: qcow2 if it is called so, as overlays are, else raw.
    pub image: PathBuf,
    /// Serial number that the server sees.
    pub serial: String,
    /// Does the firmware boot from it?
    pub boot: bool,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It takes no writes.
    ReadOnly,
    /// Every read fails.
    Unreadable,
}

impl Disk {
    /// What `-drive` says of it, but for the id.
    fn drive(&self) -> String {
        let image = self.image.display();
        let format = if self.image.extension().is_some_and(|end| end == OVERLAY) { OVERLAY } else { "raw" };
        match self.fault {
            // What the guest has flushed is in the host's cache and outlives QEMU, also in an overlay.
            Fault::None => format!("format={format},cache=unsafe,file={image}"),
            Fault::ReadOnly => format!("format=raw,readonly=on,file={image}"),
            Fault::Unreadable => format!(
                "driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={image},\
                 file.inject-error.0.event=read_aio,file.inject-error.0.errno=5,file.inject-error.0.once=off"
            ),
        }
    }
}

/// What a server is made of.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Name for files and messages.
    pub name: String,
    /// Serial number in the firmware.
    pub serial: String,
    /// Memory in MiB.
    pub memory: u32,
    /// Disks in the order of the bus.
    pub disks: Vec<Disk>,
    /// MAC addresses, one for each NIC.
    pub nics: Vec<String>,
    /// Is there a video card?
    pub video: bool,
    /// Are cables in the NICs?
    pub link: bool,
    /// Where its clock starts, as `2000-01-01T00:00:00`; nothing is now.
    pub clock: Option<String>,
}

impl Machine {
    /// What QEMU is to be: everything but sockets, files and NICs, which are the run's.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = [
            "-M",
            "pc",
            "-cpu",
            "qemu64",
            "-accel",
            "tcg,thread=multi,tb-size=256",
            "-smp",
            "1",
            "-display",
            "none",
        ]
        .map(str::to_owned)
        .into();
        let mut add = |name: &str, value: String| words.extend([name.to_owned(), value]);
        add("-m", self.memory.to_string());
        add("-vga", if self.video { "std" } else { "none" }.to_owned());
        add("-device", "virtio-rng-pci".to_owned());
        add("-smbios", format!("type=1,serial={}", self.serial));
        if let Some(clock) = &self.clock {
            add("-rtc", format!("base={clock}"));
        }
        for (index, disk) in self.disks.iter().enumerate() {
            let boot = if disk.boot { ",bootindex=1" } else { "" };
            add("-drive", format!("if=none,id=d{index},{}", disk.drive()));
            add("-device", format!("virtio-blk-pci,drive=d{index},serial={}{boot}", disk.serial));
        }
        words
    }
}

/// What stands first in the boot order, before the disks.
#[derive(Clone, Copy, Debug)]
pub enum Medium<'a> {
    /// A CD in the drive.
    Cd(&'a Path),
    /// A stick at a USB port.
    Stick(&'a Path),
}

impl Medium<'_> {
    /// What QEMU is to have for it. A reboot ends QEMU, so that its end says "installed".
    pub(crate) fn words(self) -> Vec<String> {
        let drive = |kind: &str, image: &Path| {
            format!("if=none,id=medium,format=raw,readonly=on{kind},file={}", image.display())
        };
        let words = match self {
            Self::Cd(image) => {
                vec![
                    "-drive".to_owned(),
                    drive(",media=cdrom", image),
                    "-device".into(),
                    "ide-cd,drive=medium,bootindex=0".into(),
                ]
            }
            Self::Stick(image) => vec![
                "-drive".to_owned(),
                drive("", image),
                "-device".into(),
                "qemu-xhci".into(),
                "-device".into(),
                "usb-storage,drive=medium,bootindex=0".into(),
            ],
        };
        words.into_iter().chain(["-no-reboot".to_owned()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_is_told_from_a_raw_image_by_its_name() {
        let disk =
            |image: &str| Disk { image: image.into(), serial: "S".into(), boot: true, fault: Fault::None };
        assert!(disk("/a/x.qcow2").drive().starts_with("format=qcow2,"));
        assert!(disk("/a/x.raw").drive().starts_with("format=raw,"));
    }
}
