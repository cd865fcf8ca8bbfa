//! What happens before the vendor's installer starts: choose the system disk, refuse or clear it, write the answers.

mod again;
mod answers;
pub mod choose;
pub mod clear;
pub mod guards;
pub mod marker;
pub mod turn;
pub mod writers;

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use answers::{Answers, answers};

use marker::Look;
use turn::Turn;

use crate::console::Console;
use crate::facts::disks::{Disk, Source};
use crate::files;
use crate::outcome::Class;
use crate::region::{self, Payload};
use crate::runner::Call;
use crate::site::tables::{self, Tables};
use crate::site::{Site, Who};
use crate::system::System;

/// Everything that the installer's own root, which is read-only, can't hold.
pub const WORK: &str = "/tmp/cias";

/// What is wanted of this run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The site's region.
    pub region: PathBuf,
    /// Where the answers go.
    pub answers: PathBuf,
    /// Where file systems are mounted for a look.
    pub look: PathBuf,
    /// Print the decision and change nothing.
    pub dry_run: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: region::PATH.into(),
            answers: Path::new(WORK).join("answers.json"),
            look: Path::new(WORK).join("look"),
            dry_run: false,
        }
    }
}

/// What the words of the kernel line ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// `cias.reinstall`: a finished installation may be overwritten.
    pub reinstall: bool,
    /// `cias.countdown=N`: seconds, instead of the site's.
    pub countdown: Option<u16>,
}

impl Words {
    /// Reads the kernel line. A countdown that is no number is the site's: a slip of the fingers must not shorten it.
    pub fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace();
        Self {
            reinstall: words.clone().any(|word| word == "cias.reinstall"),
            countdown: words.find_map(|word| word.strip_prefix("cias.countdown=")?.parse().ok()),
        }
    }
}

/// What to do, decided: nothing was written yet.
#[derive(Debug)]
pub struct Decision {
    /// The system disk.
    pub disk: Disk,
    /// Volume groups to stop first; all of them lie on that disk alone.
    pub groups: Vec<String>,
    /// What was installed on it before, if anything.
    pub carries: Option<String>,
    /// One line for each disk seen.
    pub table: Vec<String>,
    /// The answers, without the password.
    pub answers: Answers,
    /// Seconds in which a person can stop it.
    pub countdown: u16,
}

/// Reads the site's region.
pub fn payload(path: &Path) -> Result<(Payload, Site)> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let payload = region::decode(&bytes)?;
    let site = payload.site()?;
    Ok((payload, site))
}

/// Decides, or refuses. Only reads, but for mounting file systems read-only for a moment.
pub fn decide(system: &System, source: &Source, who: &Who, options: &Options) -> Result<Decision> {
    decide_in(&Turn::take(&options.look, turn::LIMIT)?, system, source, who, options)
}

fn decide_in(
    turn: &Turn,
    system: &System,
    source: &Source,
    who: &Who,
    options: &Options,
) -> Result<Decision> {
    let (payload, site) = payload(&options.region)?;
    let words = Words::parse(&system.root.text("/proc/cmdline")?);
    let machine = site.machine(who)?;
    let tables =
        Tables { country: system.root.text(tables::COUNTRIES)?, zones: system.root.text(tables::ZONES)? };
    let mut answers = answers(&site, machine, who, &tables)?;
    let filter = machine.and_then(|machine| machine.disk.as_ref()).unwrap_or(&site.install.disk);
    let disks = source.disks()?;
    let installed = installed(system, &disks, turn)?;
    let mut choice = choose::choose(&disks, filter);
    name_installations(&mut choice.table, &disks, &installed);
    for line in &choice.table {
        system.log.note(line);
    }
    let disk = choice.disk()?.clone();
    let table = choice.table;
    let groups = guarded(system, &disk, &disks)
        .and_then(|groups| {
            guards::guard_installation(&disk, &installed, &payload.build_id, words.reinstall)?;
            Ok(groups)
        })
        .map_err(|error| listing(error, &table))?;
    answers.disk = disk.path.to_string_lossy().into_owned();
    let countdown = words.countdown.unwrap_or(site.install.countdown);
    let carries = installed.into_iter().find(|(carrier, _)| carrier.path == disk.path);
    let carries = carries.and_then(|(_, look)| look.describe());
    Ok(Decision { disk, groups, carries, table, answers, countdown })
}

/// The volume groups to stop, if nothing but the disk is damaged by clearing it.
fn guarded(system: &System, disk: &Disk, disks: &[Disk]) -> Result<Vec<String>> {
    guards::guard(disk, disks)?;
    guards::guard_holders(disk, |name| system.root.attribute(&format!("/sys/block/{name}/dm/uuid")))?;
    let vgs = Call::new("vgs").args(["--noheadings", "--separator", ",", "-o", "vg_name,pv_name"]);
    guards::guard_groups(disk, &system.runner.run(&vgs)?.stdout)
}

/// A refusal with all that was seen: whoever reads it has to find the disk that it is about.
fn listing(error: anyhow::Error, table: &[String]) -> anyhow::Error {
    if Class::of(&error) != Class::Refused {
        return error;
    }
    Class::Refused.error(format!("{error:#}. Seen:\n{}", table.join("\n")))
}

/// What was installed before on any disk that nothing uses.
fn installed(system: &System, disks: &[Disk], turn: &Turn) -> Result<Vec<(Disk, Look)>> {
    let free = disks.iter().filter(|disk| disk.mounts.is_empty() && !disk.boot_medium);
    free.map(|disk| Ok((disk.clone(), marker::find(system, disk, turn)?))).collect()
}

/// Names what was installed in the lines of the disks; line and disk stand at the same place.
fn name_installations(table: &mut [String], disks: &[Disk], installed: &[(Disk, Look)]) {
    for (line, disk) in table.iter_mut().zip(disks) {
        let found = installed.iter().find(|(carrier, _)| carrier.name == disk.name);
        if let Some(found) = found.and_then(|(_, look)| look.describe()) {
            line.push_str("; carries ");
            line.push_str(&found);
        }
    }
}

/// Does what was decided, after the countdown, if it would be decided again. The turn that is returned keeps every other
/// look away from the disk while the vendor's installer works on it.
pub fn apply(
    system: &System,
    source: &Source,
    who: &Who,
    console: &mut Console,
    decision: &Decision,
    options: &Options,
) -> Result<Turn> {
    let disk = &decision.disk;
    console.say(&format!(
        "\ncias: this server is installed now. ALL DATA ON {} IS LOST.\n{}",
        disk.describe(),
        decision.table.join("\n")
    ));
    console.countdown(
        &format!("Press any key to stop. Erasing {} in", disk.path.display()),
        decision.countdown,
    )?;
    let turn = Turn::take(&options.look, turn::LIMIT)?;
    let now = decide_in(&turn, system, source, who, options).context("looking again after the countdown")?;
    again::same(decision, &now)?;
    clear::deactivate(system, disk, &decision.groups)?;
    clear::clear(system, &out_of_use(source, disk)?)?;
    system.log.say(&format!("{} is cleared", disk.describe()));
    write_answers(&decision.answers, &options.answers)?;
    Ok(turn)
}

/// What the facts say about the disk after all that held it was stopped; nothing else of it may have changed.
fn out_of_use(source: &Source, disk: &Disk) -> Result<Disk> {
    let shown = disk.path.display();
    let gone = |why: &str| {
        Class::Refused.error(format!(
            "{shown} is no longer the disk that was chosen ({why}): nothing was written; start again"
        ))
    };
    let now =
        source.disks()?.into_iter().find(|now| now.path == disk.path).ok_or_else(|| gone("it is gone"))?;
    let free = |disk: &Disk| Disk { holders: Vec::new(), together: Vec::new(), ..disk.clone() };
    match again::difference(&free(disk), &free(&now)) {
        Some(difference) => Err(gone(&difference)),
        None => Ok(now),
    }
}

/// Prints the decision, as `--dry-run` does.
pub fn show(decision: &Decision) -> String {
    let groups = decision.groups.iter().map(|group| format!("stop the volume group {group}\n"));
    let groups = groups.collect::<Vec<_>>().concat();
    format!(
        "{}\n{groups}clear {} after {} s and install {} there\n",
        decision.table.join("\n"),
        decision.disk.describe(),
        decision.countdown,
        decision.answers.fqdn
    )
}

/// The installer's page wants a password; this one is thrown away, the site's hash replaces it before the target is
/// unmounted.
fn write_answers(answers: &Answers, path: &Path) -> Result<()> {
    let mut random = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .context("reading /dev/urandom for a password")?;
    let password = random.iter().map(|byte| char::from(b'a' + byte % 16)).collect();
    let answers = Answers { password, ..answers.clone() };
    if let Some(folder) = path.parent() {
        files::make_folder(folder, 0o700)?;
    }
    files::write(path, serde_json::to_string(&answers)?, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_kernel_line_are_read_as_wholes() {
        for (line, reinstall, countdown) in [
            ("quiet cias.auto", false, None),
            ("cias.auto cias.reinstall cias.countdown=3", true, Some(3)),
            ("xcias.reinstall cias.countdown=soon", false, None),
            ("cias.reinstall=1", false, None),
        ] {
            assert_eq!(Words::parse(line), Words { reinstall, countdown }, "{line}");
        }
    }
}
