//! The node's package in the hands of lintian and dpkg: unpacked, configured, upgraded, removed and purged in a root made of
//! the image's own base system.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cias_builder::firstboot_package;
use cias_builder::iso9660::Image;
use cias_firstboot::runner::{Call, Host, Output, Runner};

use super::Lab;
use crate::site;

/// Exceptions for lintian, each with its reason.
const EXCEPTIONS: &str = include_str!("../../lintian.txt");

/// Packages that ours needs and that the base system lacks, by the beginning of their file's name.
const NEEDED: [&str; 3] = ["pve-cluster_", "pve-manager_", "ifenslave"];

/// Files of the package, and mode and owner as `stat -c '%a %U:%G'` shows them.
const OWNED: [(&str, &str); 9] = [
    ("/usr/sbin/cias-firstboot", "755 root:root"),
    ("/usr/sbin/dlll_cias-setup.sh", "777 root:root"),
    ("/etc/init.d/cias-identity", "755 root:root"),
    ("/etc/init.d/cias-provision", "755 root:root"),
    ("/etc/logrotate.d/cias-firstboot", "644 root:root"),
    ("/etc/cias", "700 root:root"),
    ("/var/lib/cias", "700 root:root"),
    ("/var/log/cias", "700 root:root"),
    ("/usr/share/man/man8/cias.8.gz", "644 root:root"),
];

/// A base system in a folder.
struct Root<'a>(&'a Path);

impl Root<'_> {
    fn run(&self, program: &str, args: &[&str]) -> Result<Output> {
        let call =
            Call::new("chroot").arg(self.0.display().to_string()).arg(program).args(args.iter().copied());
        Host::unchecked(|_| ())
            .run(&call.env("DEBIAN_FRONTEND", "noninteractive").limit(Duration::from_mins(5)))
    }

    fn says(&self, program: &str, args: &[&str], wanted: &str) -> Result<()> {
        let found = self.run(program, args)?.stdout;
        ensure!(found.trim() == wanted, "{program} {args:?}: found {found:?}, wanted {wanted:?}");
        Ok(())
    }

    /// Everything that bears our name, but for what this scenario put there.
    fn traces(&self) -> Result<String> {
        let find = "find / -xdev -name '*cias*' -not -path '/tmp/*' -not -path '/proc/*' | sort";
        Ok(self.run("sh", &["-c", find])?.stdout)
    }
}

/// The whole life of the package.
pub fn package(lab: &Lab) -> Result<()> {
    let folder = lab.folder.join("package");
    let site = site::make(&lab.programs, &folder, |_| ())?;
    let iso = folder.join("cluster.iso");
    site::remaster(&lab.programs, &lab.base, &site, &iso)?;
    let root = folder.join("root");
    crate::base::remove(&root)?;
    let debs = unpack(&Image::open(&iso)?, &root)?;
    let own = debs.iter().find(|name| name.starts_with("cias-firstboot_")).context("finding our package")?;
    lint(&root.join("tmp").join(own))?;

    let inside = Root(&root);
    let inittab = ["-c", "grep -c . /etc/inittab; sha256sum </etc/inittab"];
    let init_before = inside.run("sh", &inittab)?.stdout;
    let before = inside.traces()?;
    ensure!(before.is_empty(), "the base system has files of ours: {before}");
    let needed = debs.iter().filter(|name| NEEDED.iter().any(|start| name.starts_with(start)));
    let paths: Vec<String> = needed.chain([own]).map(|name| format!("/tmp/{name}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    inside.run("dpkg", &[&["-i"], paths.as_slice()].concat())?;
    let status = ["-W", "-f", "${Status} ${Version}", "cias-firstboot"];
    inside.says("dpkg-query", &status, &format!("install ok installed {}", env!("CARGO_PKG_VERSION")))?;
    for (path, wanted) in OWNED {
        inside.says("stat", &["-c", "%a %U:%G", path], wanted)?;
    }
    let others = "dpkg-query -L cias-firstboot | xargs stat -c '%U:%G' | sort -u";
    inside.says("sh", &["-c", others], "root:root")?;
    let links = ["-c", "ls /etc/rcS.d /etc/rc2.d | grep -o 'S[0-9]*cias.*' | sed 's/S[0-9]*//' | sort"];
    inside.says("sh", &links, "cias-identity\ncias-provision")?;

    let entries = ["-c", "grep -c '^cias:2345:respawn:/usr/sbin/cias-firstboot agent$' /etc/inittab || true"];
    inside.says("sh", &entries, "1")?;

    // What an administrator changed, and the site, outlive an upgrade and a removal.
    std::fs::write(root.join("etc/cias/site.toml"), "secret").context("writing a site")?;
    inside.run("sh", &["-c", "echo '# mine' >>/etc/init.d/cias-provision"])?;
    let binary = std::fs::read(&lab.programs.firstboot).context("reading the node's program")?;
    let newer = firstboot_package::package(binary, "9.9.9", 0)?;
    std::fs::write(root.join("tmp").join(newer.file_name()), newer.write()?).context("writing a package")?;
    inside.run("dpkg", &["-i", &format!("/tmp/{}", newer.file_name())])?;
    inside.says("dpkg-query", &status, "install ok installed 9.9.9")?;
    inside.says("tail", &["-n", "1", "/etc/init.d/cias-provision"], "# mine")?;
    inside.says("sh", &links, "cias-identity\ncias-provision")?;
    inside.says("sh", &entries, "1")?;
    inside.run("dpkg", &["-r", "cias-firstboot"])?;
    ensure!(!root.join("usr/sbin/cias-firstboot").exists(), "the program outlived its removal");
    inside.says("cat", &["/etc/cias/site.toml"], "secret")?;
    inside.run("dpkg", &["-P", "cias-firstboot"])?;
    inside.says("sh", &inittab, init_before.trim())?;
    let left = inside.traces()?;
    ensure!(left.is_empty(), "a purge left: {left}");
    crate::base::remove(&root)
}

/// Unpacks the base system into `root` and puts all packages of the image into its `/tmp`; returns their names.
fn unpack(image: &Image, root: &Path) -> Result<Vec<String>> {
    std::fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
    let extract = |path: &str, to: &Path| -> Result<()> {
        let entry = image.get(path).with_context(|| format!("finding {path}"))?;
        let mut file = std::fs::File::create(to).with_context(|| format!("making {}", to.display()))?;
        std::io::copy(&mut image.reader(entry)?, &mut file).with_context(|| format!("reading {path}"))?;
        Ok(())
    };
    let tar: PathBuf = root.with_extension("tar");
    extract("/proxmox/pve-base.tar", &tar)?;
    let call = Call::new("tar").args(["--numeric-owner", "-xpf"]).arg(tar.display().to_string());
    Host::unchecked(|_| ())
        .run(&call.arg("-C").arg(root.display().to_string()).limit(Duration::from_mins(5)))?;
    crate::base::remove(&tar)?;
    let mut names = Vec::new();
    for entry in image.children("/proxmox/packages") {
        let name = entry.path.rsplit('/').next().unwrap_or_default().to_owned();
        extract(&entry.path, &root.join("tmp").join(&name))?;
        names.push(name);
    }
    Ok(names)
}

fn lint(deb: &Path) -> Result<()> {
    let rows = EXCEPTIONS.lines().filter(|line| !line.starts_with('#'));
    let tags: Vec<&str> = rows.filter_map(|line| line.split_once('\t')).map(|(tag, _)| tag).collect();
    let call = Call::new("lintian")
        .args(["--no-cfg", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", &tags.join(",")])
        .arg(deb.display().to_string());
    let output = Host::unchecked(|_| ()).outcome(&call.limit(Duration::from_mins(5)))?;
    ensure!(output.code == 0, "lintian:\n{}{}", output.stdout, output.stderr);
    Ok(())
}
