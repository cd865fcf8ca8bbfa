//! The package `cias-firstboot`, which carries the node's program through the vendor's own installation.

use crate::deb::{Content, Package};
use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use std::io::Write;

const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../overlay/debian/postinst")),
    ("postrm", include_str!("../../overlay/debian/postrm")),
    ("prerm", include_str!("../../overlay/debian/prerm")),
];

const INIT: [(&str, &str); 2] = [
    ("/etc/init.d/cias-identity", include_str!("../../overlay/init.d/cias-identity")),
    ("/etc/init.d/cias-provision", include_str!("../../overlay/init.d/cias-provision")),
];

const MANUALS: [(&str, &str); 14] = [
    ("cias", include_str!("../../docs/man/cias.8")),
    ("cias-agent", include_str!("../../docs/man/cias-agent.8")),
    ("cias-enrol", include_str!("../../docs/man/cias-enrol.8")),
    ("cias-enrol-approve", include_str!("../../docs/man/cias-enrol-approve.8")),
    ("cias-enrol-close", include_str!("../../docs/man/cias-enrol-close.8")),
    ("cias-enrol-deny", include_str!("../../docs/man/cias-enrol-deny.8")),
    ("cias-enrol-list", include_str!("../../docs/man/cias-enrol-list.8")),
    ("cias-enrol-open", include_str!("../../docs/man/cias-enrol-open.8")),
    ("cias-facts", include_str!("../../docs/man/cias-facts.8")),
    ("cias-plan", include_str!("../../docs/man/cias-plan.8")),
    ("cias-run", include_str!("../../docs/man/cias-run.8")),
    ("cias-setup", include_str!("../../docs/man/cias-setup.8")),
    ("cias-status", include_str!("../../docs/man/cias-status.8")),
    ("cias-support", include_str!("../../docs/man/cias-support.8")),
];

/// The fields of the control file, with their continued lines.
fn fields(control: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in control.lines() {
        match (line.split_once(": "), fields.last_mut()) {
            (_, Some((_, value))) if line.starts_with(' ') => *value = format!("{value}\n{line}"),
            (Some((name, value)), _) => fields.push((name.to_owned(), value.to_owned())),
            _ => {}
        }
    }
    fields
}

/// As Debian wants its documents: compressed as far as it goes, without a date.
fn compressed(text: &str) -> Result<Content> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).context("compressing a document")?;
    Ok(Content::Bytes(encoder.finish().context("compressing a document")?))
}

/// The package around the static program `binary`, dated `epoch`.
pub fn package(binary: Vec<u8>, version: &str, epoch: u64) -> Result<Package> {
    let control = include_str!("../../overlay/debian/control").replace("{{ version }}", version);
    let fields = fields(&control);
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut package = Package::new(epoch, &fields);
    package.add("/usr/sbin/cias-firstboot", 0o755, Content::Bytes(binary));
    package.add("/usr/sbin/cias", 0o777, Content::Link("cias-firstboot".into()));
    // The name of the original plan, for a server that was installed by hand.
    package.add(
        &format!("/usr/sbin/{}", cias_firstboot::setup::ALIAS),
        0o777,
        Content::Link("cias-firstboot".into()),
    );
    for (path, text) in INIT {
        package.add(path, 0o755, Content::Bytes(text.into()));
    }
    package.add(
        "/etc/logrotate.d/cias-firstboot",
        0o644,
        Content::Bytes(include_bytes!("../../overlay/logrotate").to_vec()),
    );
    for folder in ["/etc/cias", "/var/lib/cias", "/var/log/cias"] {
        package.add(folder, 0o700, Content::Folder);
    }
    let copyright = include_str!("../../overlay/debian/copyright");
    package.add("/usr/share/doc/cias-firstboot/copyright", 0o644, Content::Bytes(copyright.into()));
    let changelog = compressed(include_str!("../../overlay/debian/changelog"))?;
    package.add("/usr/share/doc/cias-firstboot/changelog.gz", 0o644, changelog);
    for (name, text) in MANUALS {
        package.add(&format!("/usr/share/man/man8/{name}.8.gz"), 0o644, compressed(text)?);
    }
    for (name, of) in [("cias-firstboot", "cias"), (cias_firstboot::setup::ALIAS, "cias-setup")] {
        let link = Content::Link(format!("{of}.8.gz"));
        package.add(&format!("/usr/share/man/man8/{name}.8.gz"), 0o777, link);
    }
    package.conffiles = INIT.iter().map(|(path, _)| (*path).to_owned()).collect();
    package.conffiles.push("/etc/logrotate.d/cias-firstboot".into());
    for (name, text) in SCRIPTS {
        package.script(name, text);
    }
    Ok(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_carries_the_program_and_its_boot_scripts() {
        let package = package(Vec::new(), "0.1.0", 0).unwrap();
        assert_eq!(package.file_name(), "cias-firstboot_0.1.0_amd64.deb");
        for path in [
            "/usr/sbin/cias-firstboot",
            "/usr/sbin/cias",
            "/usr/sbin/dlll_cias-setup.sh",
            "/etc/init.d/cias-identity",
            "/etc/init.d/cias-provision",
        ] {
            assert!(package.files.contains_key(path), "{path}");
        }
        assert_eq!(package.files["/etc/cias"].mode, 0o700);
        let (name, description) = package.control.last().unwrap();
        assert!(
            name == "Description" && description.contains("\n It runs at the first boot"),
            "{description}"
        );
        let changelog = include_str!("../../overlay/debian/changelog");
        assert!(changelog.starts_with(concat!("cias-firstboot (", env!("CARGO_PKG_VERSION"), ") ")));
    }
}
