//! The step *keep the Master's addresses with keepalived*: its configuration, and that it runs; or, with priority 0, that it does not.

use std::time::Duration;

use anyhow::{Context, Result};

use super::conf::{self, FILE, MANUAL_FILE, MARK, Mode, PROGRAM};
use super::parse::parse;
use super::priority::priority;
use crate::agent::published;
use crate::cluster::bring;
use crate::cluster::wait::await_until;
use crate::facts::disks::Source;
use crate::facts::{Facts, minimum, report};
use crate::identity;
use crate::outcome::Class;
use crate::runner::Call;
use crate::site::{Place, Site};
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};
use crate::{files, journal};

/// The program, and its init script.
const DAEMON: &str = "/usr/sbin/keepalived";
const SERVICE: &str = "keepalived";

/// Written by it as long as it runs.
const PID_FILE: &str = "/run/keepalived.pid";

/// There while what runs may not have read the file that is there; gone after a boot, as what ran is.
const UNREAD: &str = "/run/cias/keepalived-unread";

/// What was there before us.
const BEFORE: &str = "/etc/keepalived/keepalived.conf.before";

/// How long it may take to run.
const START: Duration = Duration::from_secs(15);

/// The step.
pub struct Keepalived {
    site: Site,
    place: Place,
}

/// What its links in the runlevels say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum AtBoot {
    Starts,
    Held,
    /// There are none.
    #[default]
    Unknown,
}

/// What is to be seen of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Its configuration, if there is one.
    text: Option<String>,
    /// Only root can read that.
    is_secret: bool,
    runs: bool,
    at_boot: AtBoot,
    /// What runs may run with another file.
    is_unread: bool,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    SetAside,
    Write,
    Remove,
    Enable,
    Disable,
    Start,
    Reload,
    Stop,
}

impl Deed {
    fn sentence(self) -> String {
        match self {
            Self::SetAside => format!("rename {FILE}, which is not ours, to {BEFORE}"),
            Self::Write => format!("write {FILE}"),
            Self::Remove => format!("remove {FILE}"),
            Self::Enable => format!("let {SERVICE} start at boot"),
            Self::Disable => format!("keep {SERVICE} from starting at boot"),
            Self::Start => format!("start {SERVICE}"),
            Self::Reload => format!("have {SERVICE} read its configuration anew"),
            Self::Stop => format!("stop {SERVICE}"),
        }
    }
}

impl Seen {
    fn look(root: &Sysroot) -> Self {
        Self {
            text: root.text(FILE).ok(),
            is_secret: root.text(FILE).is_ok_and(|text| files::is(&root.path(FILE), text, 0o600)),
            runs: runs(root),
            at_boot: match (identity::starts(root, SERVICE), identity::is_held(root, SERVICE)) {
                (true, _) => AtBoot::Starts,
                (false, true) => AtBoot::Held,
                _ => AtBoot::Unknown,
            },
            is_unread: root.has(UNREAD),
        }
    }

    /// What makes of this a node with the configuration `wanted`, or one that takes no part.
    fn deeds(&self, wanted: Option<&str>) -> Vec<Deed> {
        let is_ours = self.text.as_ref().is_some_and(|text| text.starts_with(MARK));
        let mut deeds = Vec::new();
        let mut when = |condition: bool, deed| {
            if condition {
                deeds.push(deed);
            }
        };
        let Some(wanted) = wanted else {
            when(self.runs, Deed::Stop);
            when(self.at_boot == AtBoot::Starts, Deed::Disable);
            when(is_ours, Deed::Remove);
            return deeds;
        };
        let says = self.text.as_deref().and_then(parse);
        let is_right = is_ours && self.is_secret && says == parse(wanted);
        when(self.text.is_some() && !is_ours, Deed::SetAside);
        when(!is_right, Deed::Write);
        when(self.at_boot == AtBoot::Held, Deed::Enable);
        let is_old = !is_right || self.is_unread;
        // A reload leaves the addresses where they are. What ran without our file has none.
        when(self.runs && is_old && is_ours, Deed::Reload);
        // Its script's `restart` does not wait until it has ended, and then does not start it.
        let is_foreign = self.runs && is_old && !is_ours;
        when(is_foreign, Deed::Stop);
        when(!self.runs || is_foreign, Deed::Start);
        deeds
    }
}

/// Ends keepalived until the next boot, if it runs.
pub fn end(system: &System) -> Result<()> {
    if runs(&system.root) { Keepalived::has_it(system, "stop", false) } else { Ok(()) }
}

fn runs(root: &Sysroot) -> bool {
    root.runs(PID_FILE, "keepalived")
}

impl Keepalived {
    /// For the node at `place`.
    pub fn new(site: &Site, place: &Place) -> Self {
        Self { site: site.clone(), place: place.clone() }
    }

    /// What the file should say; nothing if this node takes no part.
    fn wanted(&self, system: &System) -> Result<Option<String>> {
        let facts = Facts::gather(&system.root, system.runner);
        let misses = || {
            let disks = Source::machine(system.runner).below(&system.root).disks()?;
            Ok(minimum::misses(&facts.hardware, report::system_disk(&disks)))
        };
        let priority = priority(&self.site, &facts.who(), &self.place, misses)?;
        let text = |priority| conf::conf(&self.site, &self.place.name, Mode::Usual(priority), PROGRAM);
        (priority > 0).then(|| text(priority)).transpose()
    }

    /// What a manual switch will put in place of the usual one, if that is not there yet.
    fn manual(&self, root: &Sysroot) -> Result<Option<String>> {
        let text = conf::conf(&self.site, &self.place.name, Mode::Manual, PROGRAM)?;
        Ok((!files::is(&root.path(MANUAL_FILE), &text, 0o600)).then_some(text))
    }

    fn is_founder(system: &System) -> Result<bool> {
        Ok(journal::read(&system.root)?.and_then(|state| state.role) == Some(journal::Role::Founder))
    }

    fn apply_one(system: &System, deed: Deed, wanted: &str) -> Result<()> {
        let root = &system.root;
        let file = root.path(FILE);
        match deed {
            Deed::SetAside => files::rename(&file, &root.path(BEFORE)),
            Deed::Write => {
                files::make_folder(&root.path(published::FOLDER), 0o755)?;
                files::write(&root.path(UNREAD), "", 0o644)?;
                if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
                    files::make_folder(folder, 0o755)?;
                }
                files::write(&file, wanted, 0o600)
            }
            Deed::Remove => files::remove(&file),
            Deed::Enable | Deed::Disable => {
                let word = if deed == Deed::Enable { "enable" } else { "disable" };
                system.runner.run(&Call::new("update-rc.d").args([SERVICE, word])).map(drop)
            }
            Deed::Start => Self::has_it(system, "start", true),
            Deed::Reload => Self::has_it(system, "reload", true),
            Deed::Stop => Self::has_it(system, "stop", false),
        }
    }

    /// Has its script do `word`, after which it must run or not. What the script says is told only if it does not come about.
    fn has_it(system: &System, word: &str, should_run: bool) -> Result<()> {
        let complaint = bring::service(system, &[SERVICE, word])?;
        let look = || (runs(&system.root) == should_run).then_some(());
        if await_until(system.runner, START, look)?.is_some() {
            return files::remove(&system.root.path(UNREAD));
        }
        let (found, wanted) =
            if should_run { ("does not run", "it to run") } else { ("still runs", "it to end") };
        let said = if complaint.is_empty() { "no error" } else { &complaint };
        Err(Class::Failed.error(format!(
            "{SERVICE}: {found} {} s after `service {SERVICE} {word}` (which said: {said}), wanted {wanted}: /var/log/syslog and `{DAEMON} -n -l -D` tell why",
            START.as_secs()
        )))
    }
}

impl Step for Keepalived {
    fn name(&self) -> &'static str {
        "keep the Master's addresses with keepalived"
    }

    fn check(&self, system: &System) -> Result<Finding> {
        let vip = self.site.network.vip;
        if !system.root.has(DAEMON) {
            return Ok(Finding {
                todo: Vec::new(),
                warnings: vec![format!(
                    "keepalived: found no {DAEMON}, so that this node never has the Master's address {vip}: install the package keepalived, and `cias run` sets it up"
                )],
            });
        }
        let wanted = self.wanted(system)?;
        let nobody = wanted.is_none() && Self::is_founder(system)?;
        let warnings = nobody.then(|| {
            format!("this founder's priority is 0, so that keepalived is not started and nobody has {vip}: role.priority or an entry of nodes.machine in site.toml gives it one")
        });
        let deeds = Seen::look(&system.root).deeds(wanted.as_deref());
        let mut todo: Vec<String> = deeds.into_iter().map(Deed::sentence).collect();
        if wanted.is_some() && self.manual(&system.root)?.is_some() {
            todo.push(format!("write {MANUAL_FILE}, for a manual switch"));
        }
        Ok(Finding { todo, warnings: warnings.into_iter().collect() })
    }

    fn apply(&self, system: &System) -> Result<Vec<String>> {
        let wanted = self.wanted(system)?;
        for deed in Seen::look(&system.root).deeds(wanted.as_deref()) {
            Self::apply_one(system, deed, wanted.as_deref().unwrap_or_default())
                .with_context(|| deed.sentence())?;
        }
        if let Some(text) = self.manual(&system.root)?.filter(|_| wanted.is_some()) {
            files::make_folder(&system.root.path("/etc/cias"), 0o755)?;
            files::write(&system.root.path(MANUAL_FILE), text, 0o600)?;
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
