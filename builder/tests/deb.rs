//! The packages that we write, seen by Debian's own tools.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::Command;

use cias_builder::deb::{Content, Package};

fn package() -> Package {
    let fields = [
        ("Package", "demo"),
        ("Version", "1.0"),
        ("Architecture", "amd64"),
        ("Maintainer", "Demo <demo@example.com>"),
        ("Description", "a package for a test"),
    ];
    let mut package = Package::new(1_400_000_000, &fields);
    package.add("/usr/share/demo/file", 0o640, Content::Bytes(b"content\n".to_vec()));
    package.add("/usr/share/demo/link", 0o777, Content::Link("file".into()));
    package.add("/etc/demo", 0o700, Content::Folder);
    package.script("postinst", "#!/bin/sh\nset -e\n");
    package
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("TZ", "UTC").output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn dpkg_reads_it_and_everything_belongs_to_root() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.deb");
    std::fs::write(&path, package().write().unwrap()).unwrap();
    let deb = path.to_str().unwrap();
    // By number: dpkg goes by names first, and a root without them by numbers.
    for archive in ["--fsys-tarfile", "--ctrl-tarfile"] {
        let line = format!("dpkg-deb {archive} \"$0\" | tar --numeric-owner -tvf -");
        let listed = output("sh", &["-c", &line, deb]);
        let foreign: Vec<&str> = listed.lines().filter(|line| !line.contains(" 0/0 ")).collect();
        assert!(!listed.is_empty() && foreign.is_empty(), "{archive}: {foreign:?}");
    }
    assert_eq!(output("ar", &["t", deb]), "debian-binary\ncontrol.tar.gz\ndata.tar.gz\n");
    assert_eq!(
        output("dpkg-deb", &["-f", deb, "Package", "Installed-Size"]),
        "Package: demo\nInstalled-Size: 1\n"
    );
    let listing = output("dpkg-deb", &["-c", deb]);
    let lines: Vec<String> =
        listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "drwxr-xr-x root/root 0 2014-05-13 16:53 ./",
            "drwxr-xr-x root/root 0 2014-05-13 16:53 etc/",
            "drwxr-xr-x root/root 0 2014-05-13 16:53 usr/",
            "drwxr-xr-x root/root 0 2014-05-13 16:53 usr/share/",
            "drwxr-xr-x root/root 0 2014-05-13 16:53 usr/share/demo/",
            "drwx------ root/root 0 2014-05-13 16:53 etc/demo/",
            "-rw-r----- root/root 8 2014-05-13 16:53 usr/share/demo/file",
            "lrwxrwxrwx root/root 0 2014-05-13 16:53 usr/share/demo/link -> file",
        ]
    );
    output("dpkg-deb", &["-x", deb, folder.path().join("out").to_str().unwrap()]);
    assert!(Path::new(&folder.path().join("out/usr/share/demo/file")).exists());
    output("dpkg-deb", &["-e", deb, folder.path().join("control").to_str().unwrap()]);
    assert!(folder.path().join("control/postinst").exists());
}

#[test]
fn the_same_package_gives_the_same_bytes() {
    assert_eq!(package().write().unwrap(), package().write().unwrap());
}
