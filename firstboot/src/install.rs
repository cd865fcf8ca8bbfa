//! The unattended installation: choose and clear the disk, run the vendor's installer headless, and stay when it fails.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::console::Console;
use crate::facts::Facts;
use crate::facts::disks::Source;
use crate::failpoint;
use crate::files;
use crate::log::Log;
use crate::outcome::Class;
use crate::preinstall::{self, Options, WORK};
use crate::runner::Host;
use crate::system::{Sysroot, System};

/// The vendor's installer.
const INSTALLER: &str = "/usr/bin/proxinstall";

/// Where our `Gtk3` is.
const FRONT_END: &str = "/cias/perl";

/// Decides, and unless it is a dry run clears the disk and writes the answers.
pub fn preinstall(options: &Options) -> Result<()> {
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
        return Ok(());
    }
    let mut console = open_console(&root);
    preinstall::apply(&system, &source, &mut console, &decision, options)
}

/// The whole installation. It returns only when all is installed, or when a person has read why it is not.
pub fn install() -> Result<()> {
    let mut console = open_console(&Sysroot::default());
    console.say("\ncias: unattended installation");
    let options = Options::default();
    let result = preinstall(&options).and_then(|()| run_installer(&console, &options.answers));
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

/// Runs the vendor's installer and shows the front end's lines as they come. It is the one long command that a person
/// watches, so it does not go through the runner, which shows nothing until the end.
fn run_installer(console: &Console, answers: &Path) -> Result<()> {
    failpoint::hit("command proxinstall before");
    let mut child = Command::new(INSTALLER)
        .env("PERL5LIB", FRONT_END)
        .env("CIAS_ANSWERS", answers)
        .env("G_SLICE", "always-malloc")
        .env("HOME", "/")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {INSTALLER}"))?;
    let mut last = String::new();
    if let Some(lines) = child.stderr.take() {
        for line in BufReader::new(lines).split(b'\n') {
            let line =
                String::from_utf8_lossy(&line.context("reading the installer's messages")?).into_owned();
            if line.starts_with("cias: ") {
                console.say(&line);
                last = line;
            }
        }
    }
    let status = child.wait().context("waiting for the installer")?;
    failpoint::hit("command proxinstall after");
    // The password in it was for the installer's page only, but it is nobody's business.
    files::remove(answers)?;
    if status.success() {
        return Ok(());
    }
    let reason = last
        .strip_prefix("cias: installation failed: ")
        .unwrap_or("the vendor's installer ended without a reason");
    Err(Class::Failed.error(format!("{reason} ({status})")))
}
