//! The enrolment's own sshd on the Master: another port, another host key, and the site's join key for one forced command.
//!
//! Whoever holds the join key can do what `cias enrol serve` does for it, and nothing else: no shell, no terminal, no
//! forwarding. The system's sshd knows nothing of that key.

pub mod keywords;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::agent::published;
use crate::files;
use crate::outcome::Class;
use crate::render::render;
use crate::runner::Call;
use crate::site::Site;
use crate::system::{Sysroot, System};

/// Where its files are.
pub const FOLDER: &str = "/etc/cias/enrol";
/// Its configuration.
pub const CONFIG: &str = "/etc/cias/enrol/sshd_config";
/// What the join key runs.
pub const COMMAND: &str = "/usr/sbin/cias-firstboot enrol serve";

/// Written by sshd once it listens.
const PID_FILE: &str = "/run/cias/enrol-sshd.pid";

/// Where sshd locks its unprivileged half in; Debian's start script of the usual sshd makes it, which may not have run.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// How long it may take until it listens.
const START: Duration = Duration::from_secs(10);

/// How often to look meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// A file of the service.
struct Item {
    path: String,
    text: String,
    mode: u32,
}

/// Has the service run with the site's keys at `listen`, an address that this node has now. What runs already is left alone.
pub fn keep(system: &System, site: &Site, listen: Ipv4Addr) -> Result<()> {
    keep_for(system, site, listen, COMMAND)
}

/// As [`keep`], with another forced command, for tests that run the program from where it was built.
pub fn keep_for(system: &System, site: &Site, listen: Ipv4Addr, command: &str) -> Result<()> {
    let root = &system.root;
    let items = items(root, site, listen, command)?;
    let changed = items.iter().any(|item| !files::is(&root.path(&item.path), &item.text, item.mode));
    if !changed && runs(root) {
        return Ok(());
    }
    // Before the files: cut off in between, it does not run with old ones for ever.
    end(system)?;
    files::make_folder(&root.path(FOLDER), 0o700)?;
    for item in &items {
        files::write_if_changed(&root.path(&item.path), &item.text, item.mode)?;
    }
    files::make_folder(&root.path(published::FOLDER), 0o755)?;
    files::make_folder(&root.path(PRIVILEGE_SEPARATION), 0o755)?;
    let config = root.path(CONFIG).display().to_string();
    system.runner.run(&Call::new("/usr/sbin/sshd").args(["-t", "-f", &config]))?;
    let pid_file = root.path(PID_FILE).display().to_string();
    let start =
        ["--start", "--oknodo", "--pidfile", &pid_file, "--exec", "/usr/sbin/sshd", "--", "-f", &config];
    system.runner.run(&Call::new("start-stop-daemon").args(start))?;
    // It goes to the background before it listens, so that its exit code says nothing.
    let deadline = Instant::now() + START;
    while !runs(root) {
        if Instant::now() >= deadline {
            return Err(Class::Failed.error(format!(
                "the enrolment's sshd does not listen on {listen} port {}, wanted it within {} s: `/usr/sbin/sshd -D -e -f {config}` tells why \
                 (an address that this node does not have, a port that is taken)",
                site.enrol.port,
                START.as_secs()
            )));
        }
        std::thread::sleep(LOOK);
    }
    system.log.note(&format!("enrol: listens on {listen} port {}", site.enrol.port));
    Ok(())
}

/// Ends the service. Joins that are under way go on to their end.
pub fn end(system: &System) -> Result<()> {
    if !runs(&system.root) {
        return Ok(());
    }
    let pid_file = system.root.path(PID_FILE).display().to_string();
    let stop = ["--stop", "--oknodo", "--retry", "10", "--pidfile", &pid_file, "--exec", "/usr/sbin/sshd"];
    system.runner.run(&Call::new("start-stop-daemon").args(stop)).map(drop)
}

fn runs(root: &Sysroot) -> bool {
    root.runs(PID_FILE, "sshd")
}

fn items(root: &Sysroot, site: &Site, listen: Ipv4Addr, command: &str) -> Result<Vec<Item>> {
    let shown = |path: &str| root.path(path).display().to_string();
    let values = json!({
        "port": site.enrol.port, "listen": listen, "folder": shown(FOLDER), "pid_file": shown(PID_FILE), "command": command,
        "key": site.secrets.join_key_public,
    });
    let config =
        render("sshd_config", include_str!("../../../overlay/templates/enrol-sshd_config.j2"), &values)?;
    let keys = render(
        "authorized_keys",
        include_str!("../../../overlay/templates/enrol-authorized_keys.j2"),
        &values,
    )?;
    let host_key = format!("{}\n", site.secrets.enrol_host_key.trim());
    let item = |name: &str, text, mode| Item { path: format!("{FOLDER}/{name}"), text, mode };
    Ok(vec![
        item("host_key", host_key, 0o600),
        item("authorized_keys", keys, 0o600),
        item("sshd_config", config, 0o600),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};
    use crate::tree::Tree;
    use std::os::unix::fs::PermissionsExt;

    const LISTEN: Ipv4Addr = Ipv4Addr::new(10, 254, 0, 254);

    /// A machine on which sshd runs as soon as it is started.
    const STARTED: &str = "/run/cias/enrol-sshd.pid = 77\n/proc/77/stat = 77 (sshd) S 1\n";

    fn site() -> Site {
        from_text(&example()).unwrap()
    }

    #[test]
    fn every_keyword_is_one_of_the_targets_and_each_is_used() {
        let items = items(&Sysroot::default(), &site(), LISTEN, COMMAND).unwrap();
        let config = &items[2].text;
        let used: Vec<&str> = config
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        for word in &used {
            assert!(keywords::TABLE.iter().any(|row| row.keyword == *word), "{word}");
        }
        for row in keywords::TABLE {
            assert!(used.contains(&row.keyword), "{} is in the table and not used", row.keyword);
        }
        assert!(config.contains("\nListenAddress 10.254.0.254\n") && config.contains("\nPort 7322\n"));
        assert!(config.contains("\nHostKey /etc/cias/enrol/host_key\n"), "{config}");
    }

    #[test]
    fn the_join_key_has_one_command_and_nothing_else() {
        let items = items(&Sysroot::default(), &site(), LISTEN, COMMAND).unwrap();
        let line = items[1].text.trim_end();
        let options = "command=\"/usr/sbin/cias-firstboot enrol serve\",no-port-forwarding,no-X11-forwarding,no-agent-forwarding,no-pty,no-user-rc";
        assert_eq!(line, format!("{options} {}", site().secrets.join_key_public));
    }

    #[test]
    fn it_is_started_once_and_anew_with_other_files_and_secrets_are_for_root() {
        let tree = Tree::from_text(STARTED);
        let (fake, log) = (Fake::default(), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let site = site();
        keep(&system, &site, LISTEN).unwrap();
        let first: Vec<String> =
            fake.lines().iter().map(|line| line.split(" --pidfile").next().unwrap().into()).collect();
        let config = tree.path().join("etc/cias/enrol/sshd_config").display().to_string();
        let test = format!("/usr/sbin/sshd -t -f {config}");
        // The machine of the test has one with other files from the beginning.
        assert_eq!(
            first,
            ["start-stop-daemon --stop --oknodo --retry 10", &test, "start-stop-daemon --start --oknodo"]
        );
        let mode =
            |path: &str| std::fs::metadata(tree.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("etc/cias/enrol"), mode("etc/cias/enrol/host_key")), (0o700, 0o600));
    }

    #[test]
    fn what_runs_with_the_same_files_is_left_alone() {
        let tree = Tree::from_text(STARTED);
        let (fake, log) = (Fake::default(), Log::silent());
        let system = System { root: tree.root(), runner: &fake, log: &log };
        let site = site();
        for item in items(&system.root, &site, LISTEN, COMMAND).unwrap() {
            let path = system.root.path(&item.path);
            files::make_folder(path.parent().unwrap(), 0o700).unwrap();
            files::write(&path, &item.text, item.mode).unwrap();
        }
        keep(&system, &site, LISTEN).unwrap();
        assert_eq!(fake.lines(), [""; 0]);
        end(&system).unwrap();
        assert_eq!(fake.lines().len(), 1);
        std::fs::remove_dir_all(tree.path().join("proc/77")).unwrap();
        end(&system).unwrap();
        assert_eq!(fake.lines().len(), 1, "one that is gone is not ended");
    }
}
