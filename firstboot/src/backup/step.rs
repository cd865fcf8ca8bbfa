//! The step *keep the gateway's archive*, on every node: cron takes the newest one each week, and a node that has none yet fetches it in the
//! background, for minutes, while everything else goes on.

use anyhow::Result;

use super::{FROM, KEPT, choose};
use crate::crontab::Table;
use crate::moosefs::detect;
use crate::moosefs::steps::mount::{Mounted, mounted};
use crate::runner::Call;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};

const PROGRAM: &str = "/usr/sbin/cias-firstboot";

/// Two hours behind the schedule of the archives, whose end it waits for. Cron mails what it says.
const CRON: Table = Table {
    path: "/etc/cron.d/cias",
    line: "0 4 * * 1 root export PATH=/usr/sbin:/usr/bin:/sbin:/bin; test ! -x /usr/sbin/cias-firstboot || cias-firstboot backup-gateway >/dev/null",
    command: "backup-gateway",
};

/// Of the one in the background.
const PID_FILE: &str = "/run/cias/backup-gateway.pid";

/// The step.
pub struct Keep;

fn is_fetched(root: &Sysroot) -> bool {
    let is_due =
        !root.has(KEPT) && mounted(root) == Mounted::MooseFs && choose::newest(&root.names(FROM)).is_some();
    !is_due || root.runs(PID_FILE, "cias-firstboot")
}

impl Step for Keep {
    fn name(&self) -> &'static str {
        "keep the gateway's archive"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let root = &system.root;
        if detect::dialect(root)?.is_none() {
            return Ok(Finding::done());
        }
        let cron = CRON
            .is_due(root)?
            .then(|| format!("write {}: the newest archive is taken on Mondays at 04:00", CRON.path));
        let fetch = (!is_fetched(root)).then(|| format!("fetch {KEPT} in the background"));
        Ok(Finding { todo: cron.into_iter().chain(fetch).collect(), warnings: Vec::new() })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let root = &system.root;
        CRON.write(root)?;
        if !is_fetched(root) {
            let pid_file = root.path(PID_FILE).display().to_string();
            let start = ["--start", "--oknodo", "--background", "--make-pidfile", "--pidfile", &pid_file];
            let call = Call::new("start-stop-daemon").args(start);
            system.runner.run(&call.args(["--exec", PROGRAM, "--", "backup-gateway"]))?;
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::moosefs::detect::tests::status;
    use crate::moosefs::dialect::ALL;
    use crate::runner::fake::Fake;
    use crate::tree::Tree;

    const ARCHIVE: &str = "/mnt/mfs/backup/dump/vzdump-qemu-100-2014_03_10-02_00_01.vma = x\n";
    const MOUNTED: &str = "/proc/mounts = mfs#cias-pve-master:9421 /mnt/mfs fuse.mfs rw 0 0\n";

    fn node(more: &str) -> Tree {
        let tree = Tree::from_text(&format!(
            "/etc/cron.d/\n/run/cias/\n/var/lib/vz/dump/\n/var/lib/dpkg/status = x\n{more}"
        ));
        std::fs::write(tree.root().path("/var/lib/dpkg/status"), status(ALL[0], "1.6.27-5")).unwrap();
        tree
    }

    fn applied(tree: &Tree) -> Vec<String> {
        let (root, log) = (tree.root(), Log::silent());
        let files = [PID_FILE, "/proc/9/stat"].map(|path| root.path(path));
        let fake = Fake::default().does("start-stop-daemon", move || {
            std::fs::create_dir_all(files[1].parent().unwrap()).unwrap();
            std::fs::write(&files[0], "9\n").unwrap();
            std::fs::write(&files[1], "9 (cias-firstboot) S 1\n").unwrap();
        });
        let system = System { root, runner: &fake, log: &log };
        let todo = Keep.check(&system).unwrap().todo;
        Keep.apply(&system).unwrap();
        assert_eq!(Keep.check(&system).unwrap(), Finding::done());
        todo.into_iter().chain(fake.lines()).collect()
    }

    #[test]
    fn cron_is_told_and_a_node_without_an_archive_fetches_it_in_the_background() {
        let tree = node(&[MOUNTED, ARCHIVE].concat());
        let done = applied(&tree);
        assert_eq!(done.len(), 3, "{done:?}");
        assert!(done[2].ends_with("--exec /usr/sbin/cias-firstboot -- backup-gateway"), "{done:?}");
        assert!(tree.root().text(CRON.path).unwrap().contains(
            "\n0 4 * * 1 root export PATH=/usr/sbin:/usr/bin:/sbin:/bin; test ! -x /usr/sbin/cias-firstboot || cias-firstboot backup-gateway "
        ));
        assert!(applied(&tree).is_empty());
    }

    #[test]
    fn what_a_person_added_to_crons_file_stays_and_our_line_is_put_right() {
        let tree = node(MOUNTED);
        let path = tree.root().path(CRON.path);
        assert_eq!(applied(&tree).len(), 1);
        let added =
            format!("# M\u{fc}ller\n{}30 5 * * * root /root/copy\n", std::fs::read_to_string(&path).unwrap());
        std::fs::write(&path, &added).unwrap();
        assert!(applied(&tree).is_empty());
        std::fs::write(&path, added.replace("0 4 * * 1 root", "0 5 * * 1 root")).unwrap();
        assert_eq!(applied(&tree).len(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), added);
    }

    #[test]
    fn nothing_is_fetched_where_nothing_is_mounted_or_made_or_missing() {
        let kept = format!("{KEPT} = x\n");
        for more in [ARCHIVE, MOUNTED, &[MOUNTED, ARCHIVE, &kept].concat()] {
            assert_eq!(applied(&node(more)).len(), 1, "{more}");
        }
    }

    #[test]
    fn without_moosefs_there_are_no_archives() {
        let tree = Tree::from_text("/etc/cron.d/\n/var/lib/dpkg/status = x\n");
        let (fake, log) = (Fake::default(), Log::silent());
        assert_eq!(
            Keep.check(&System { root: tree.root(), runner: &fake, log: &log }).unwrap(),
            Finding::done()
        );
    }
}
