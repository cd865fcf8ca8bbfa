//! Probes that only look at the tree and the first block.

use super::{Finding, Level};
use crate::iso9660::{Entry, Image, Kind};
use crate::plan::PACKAGES;
use crate::progress::mebibytes;
use crate::verify;
use anyhow::Result;

pub fn zisofs(image: &Image) -> Finding {
    let files = || image.entries().filter(|entry| entry.kind == Kind::File);
    let (total, packed) = (files().count(), files().filter(|entry| entry.zisofs.is_some()).count());
    Finding::new(2, "compression", Level::Ok, format!("{packed} of {total} files are zisofs and stay so"))
}

pub fn hybrid(image: &Image) -> Result<Finding> {
    Ok(if verify::is_hybrid(image)? {
        Finding::new(4, "boot from USB", Level::Ok, "hybrid MBR that points to the boot loader")
    } else {
        Finding::new(
            4,
            "boot from USB",
            Level::Note,
            "no hybrid MBR: the image boots from CD and not from USB",
        )
    })
}

pub fn packages(image: &Image) -> Finding {
    let count = debs(image).count();
    let level = if count == 0 { Level::Fatal } else { Level::Ok };
    Finding::new(
        8,
        "packages",
        level,
        format!("{count} packages in {PACKAGES}; a build checks what is added"),
    )
}

pub fn memory(image: &Image) -> Finding {
    // All packages are copied into a tmpfs, which holds half of the memory (docs/facts.md 3.5).
    let bytes = debs(image).map(Entry::size).sum::<u64>();
    let text = format!("at least {:.0} MiB of memory to install, twice the packages", mebibytes(bytes * 2));
    Finding::new(9, "memory", Level::Ok, text)
}

pub fn writable(image: &Image) -> Finding {
    let describe = |path: &str| match image.get(path).map(|entry| &entry.kind) {
        Some(Kind::Link(target)) => format!("{path} -> {target}"),
        Some(_) => format!("{path} on the read-only root"),
        None => format!("no {path}"),
    };
    let places = ["/etc/lvm", "/var/lock", "/var/run", "/var/lib/dhcp"].map(describe);
    Finding::new(11, "writable places", Level::Ok, places.join(", "))
}

pub fn identity(image: &Image) -> Finding {
    let kept =
        ["/.cd-info", "/.pve-cd-id.txt", "/dists"].into_iter().filter(|path| image.get(path).is_some());
    let kept: Vec<_> = kept.collect();
    let text = format!("volume label {:?}, kept as they are: [{}]", image.volume().label, kept.join(", "));
    Finding::new(17, "identity of the medium", Level::Ok, text)
}

fn debs(image: &Image) -> impl Iterator<Item = &Entry> {
    image
        .children(PACKAGES)
        .filter(|entry| entry.kind == Kind::File && entry.name().strip_suffix(".deb").is_some())
}
