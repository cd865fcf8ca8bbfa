//! The unattended installation: choose and clear the disk, run the vendor's installer headless, and stay when it fails.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::console::Console;
use crate::facts::Facts;
use crate::facts::disks::Source;
use crate::failpoint;
use crate::files;
use crate::log::Log;
use crate::outcome::Class;
use crate::preinstall::turn::Turn;
use crate::preinstall::{self, Options, WORK};
use crate::runner::Host;
use crate::system::{Sysroot, System};

/// The vendor's installer.
const INSTALLER: &str = "/usr/bin/proxinstall";

/// Where our `Gtk3` is.
const FRONT_END: &str = "/cias/perl";

/// Decides, and unless it is a dry run clears the disk and writes the answers. Whoever keeps the turn keeps all others
/// away from the disk.
pub fn preinstall(options: &Options) -> Result<Option<Turn>> {
    let root = Sysroot::default();
    files::make_folder(Path::new(WORK), 0o700)?;
    let log = Log::to_file(&Path::new(WORK).join("preinstall.log"))?;
    let host = Host::new(|line| log.note(line));
    let system = System { root: root.clone(), runner: &host, log: &log };
    let source = Source::machine(&host).below(&root);
    let who = Facts::gather(&root, &host).who();
    let decision = preinstall::decide(&system, &source, &who, options)?;
    if options.dry_run {
        print!("{}", preinstall::show(&decision));
        return Ok(None);
    }
    let mut console = open_console(&root);
    preinstall::apply(&system, &source, &who, &mut console, &decision, options).map(Some)
}

/// The whole installation. It returns only when all is installed, or when a person has read why it is not.
pub fn install() -> Result<()> {
    let mut console = open_console(&Sysroot::default());
    console.say("\ncias: unattended installation");
    let options = Options::default();
    let result = preinstall(&options).and_then(|turn| {
        let result = run_installer(&console, Path::new(INSTALLER), &options.answers);
        drop(turn);
        result
    });
    if let Err(error) = &result {
        let again = match Class::of(error) {
            Class::Refused => {
                "Mend what it says, or change install.disk in site.toml and build the ISO again."
            }
            Class::Interrupted => "Restart the server to begin anew.",
            _ => "Read the logs, then restart the server to begin anew.",
        };
        console.say(&format!(
            "\n*** The installation stopped: {error:#}\n*** {again}\n*** Logs: {WORK}/preinstall.log, /tmp/install.log. This server does not reboot by itself."
        ));
        console.offer_shell()?;
    }
    result
}

fn open_console(root: &Sysroot) -> Console {
    Console::open(Path::new("/dev"), &root.text("/proc/cmdline").unwrap_or_default())
}

/// Runs the vendor's installer `program`, shows the front end's lines as they come, and removes the answers however that
/// ends. It is the one long command that a person watches, so it does not go through the runner, which shows nothing until
/// the end.
pub fn run_installer(console: &Console, program: &Path, answers: &Path) -> Result<()> {
    let outcome = watch_installer(console, program, answers);
    // The password in them was for the installer's page only, but it is nobody's business.
    let removed = files::remove(answers);
    let (status, last) = outcome?;
    removed?;
    if status.success() {
        return Ok(());
    }
    let reason = last
        .strip_prefix("cias: installation failed: ")
        .unwrap_or("the vendor's installer ended without a reason");
    Err(Class::Failed.error(format!("{reason} ({status})")))
}

/// How the installer ended, and the front end's last line.
fn watch_installer(console: &Console, program: &Path, answers: &Path) -> Result<(ExitStatus, String)> {
    failpoint::hit("command proxinstall before");
    let mut child = Command::new(program)
        .env("PERL5LIB", FRONT_END)
        .env("CIAS_ANSWERS", answers)
        .env("G_SLICE", "always-malloc")
        .env("HOME", "/")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let mut last = String::new();
    if let Some(lines) = child.stderr.take() {
        // What it says ends with it, or when nobody can hear it any more; how it ends is told by its exit code.
        for line in BufReader::new(lines).split(b'\n').map_while(std::io::Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.starts_with("cias: ") {
                console.say(&line);
                last = line;
            }
        }
    }
    let status = child.wait().context("waiting for the installer")?;
    failpoint::hit("command proxinstall after");
    Ok((status, last))
}
