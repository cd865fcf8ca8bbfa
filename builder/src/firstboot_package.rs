//! The package `cias-firstboot`, which carries the node's program through the vendor's own installation.

use crate::deb::{Content, Package};

const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../overlay/debian/postinst")),
    ("postrm", include_str!("../../overlay/debian/postrm")),
    ("prerm", include_str!("../../overlay/debian/prerm")),
];

const INIT: [(&str, &str); 2] = [
    ("/etc/init.d/cias-identity", include_str!("../../overlay/init.d/cias-identity")),
    ("/etc/init.d/cias-provision", include_str!("../../overlay/init.d/cias-provision")),
];

/// The package around the static program `binary`, dated `epoch`.
pub fn package(binary: Vec<u8>, version: &str, epoch: u64) -> Package {
    let control = include_str!("../../overlay/debian/control").replace("{{ version }}", version);
    let fields: Vec<(&str, &str)> = control.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut package = Package::new(epoch, &fields);
    package.add("/usr/sbin/cias-firstboot", 0o755, Content::Bytes(binary));
    package.add("/usr/sbin/cias", 0o777, Content::Link("cias-firstboot".into()));
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
    let copyright = "Apache-2.0; the text of the licence: /usr/share/common-licenses/Apache-2.0\n";
    package.add("/usr/share/doc/cias-firstboot/copyright", 0o644, Content::Bytes(copyright.into()));
    package.conffiles = INIT.iter().map(|(path, _)| (*path).to_owned()).collect();
    package.conffiles.push("/etc/logrotate.d/cias-firstboot".into());
    for (name, text) in SCRIPTS {
        package.script(name, text);
    }
    package
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_carries_the_program_and_its_boot_scripts() {
        let package = package(Vec::new(), "0.1.0", 0);
        assert_eq!(package.file_name(), "cias-firstboot_0.1.0_amd64.deb");
        for path in [
            "/usr/sbin/cias-firstboot",
            "/usr/sbin/cias",
            "/etc/init.d/cias-identity",
            "/etc/init.d/cias-provision",
        ] {
            assert!(package.files.contains_key(path), "{path}");
        }
        assert_eq!(package.files["/etc/cias"].mode, 0o700);
    }
}
