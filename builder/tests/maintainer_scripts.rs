//! The maintainer scripts, run by dash with stand-ins of the programs that they call, in a folder of their own.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::Command;

const HELD: &str = "pve-manager pve-cluster";

/// A root in which each script may only touch what lies below; paths in the scripts are led there.
fn run(root: &Path, script: &str, args: &[&str]) -> String {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlay/debian").join(script))
            .unwrap();
    let shown = root.display();
    let mut inside = text;
    for path in ["/etc/", "/var/", "/proc/", "/run/", "/proxmox_install_mode"] {
        inside = inside.replace(path, &format!("{shown}{path}"));
    }
    let path = root.join(script);
    fs::write(&path, inside).unwrap();
    let calls = root.join("calls");
    let _ = fs::remove_file(&calls);
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::write(root.join("bin/update-rc.d"), format!("#!/bin/sh\necho \"$*\" >>{}\n", calls.display()))
        .unwrap();
    Command::new("chmod").arg("+x").arg(root.join("bin/update-rc.d")).status().unwrap();
    let search = format!("{}:/usr/bin:/bin", root.join("bin").display());
    let output = Command::new("dash").arg(&path).args(args).env("PATH", search).output().unwrap();
    assert!(output.status.success(), "{script} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{script} talks: {}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(calls).unwrap_or_default()
}

/// What the kernel was started with by our label, and by the vendor's.
const OUR_LABEL: &str = "initrd=/cias/initrd.img cias.auto console=ttyS0\n";
const VENDORS_LABEL: &str = "initrd=/boot/initrd.img splash=verbose console=ttyS0\n";

/// A root: under the installer if that was started with `install` on the kernel's line.
fn root(install: Option<&str>) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc/init.d", "etc/cias", "var/lib/cias", "var/log/cias", "proc"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    for service in HELD.split(' ') {
        let path = root.path().join("etc/init.d").join(service);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        Command::new("chmod").arg("+x").arg(&path).status().unwrap();
    }
    if install.is_some() {
        fs::write(root.path().join("proxmox_install_mode"), "").unwrap();
    }
    fs::write(root.path().join("proc/cmdline"), install.unwrap_or("root=/dev/mapper/pve-root\n")).unwrap();
    root
}

const OURS: &str = "cias-identity defaults\ncias-provision defaults\n";

#[test]
fn an_unattended_installation_holds_the_cluster_back_those_that_need_others_first() {
    let root = root(Some(OUR_LABEL));
    let calls = run(root.path(), "postinst", &["configure", ""]);
    assert_eq!(calls, format!("{OURS}pve-manager disable\npve-cluster disable\n"));
}

#[test]
fn an_upgrade_or_an_installation_by_hand_holds_nothing_back() {
    assert_eq!(run(root(Some(OUR_LABEL)).path(), "postinst", &["configure", "0.0.9"]), OURS);
    assert_eq!(run(root(None).path(), "postinst", &["configure", ""]), OURS);
    assert_eq!(run(root(Some(VENDORS_LABEL)).path(), "postinst", &["configure", ""]), OURS);
}

#[test]
fn removal_releases_what_is_held_in_the_other_order() {
    let root = root(Some(OUR_LABEL));
    run(root.path(), "postinst", &["configure", ""]);
    assert_eq!(run(root.path(), "prerm", &["remove"]), "pve-cluster enable\npve-manager enable\n");
    assert_eq!(run(root.path(), "prerm", &["remove"]), "", "a second removal has nothing to release");
}

#[test]
fn only_a_purge_removes_the_site_and_what_cron_runs() {
    let root = root(Some(OUR_LABEL));
    let files = ["etc/cias/site.toml", "etc/cron.d/cias", "etc/cron.d/cias-export"]
        .map(|name| root.path().join(name));
    fs::create_dir(root.path().join("etc/cron.d")).unwrap();
    for file in &files {
        fs::write(file, "x").unwrap();
    }
    assert_eq!(run(root.path(), "postrm", &["remove"]), "");
    assert!(files.iter().all(|file| file.exists()));
    assert_eq!(run(root.path(), "postrm", &["purge"]), "cias-identity remove\ncias-provision remove\n");
    assert!(!root.path().join("etc/cias").exists() && !files.iter().any(|file| file.exists()));
}
