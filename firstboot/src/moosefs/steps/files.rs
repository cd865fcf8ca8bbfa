//! The step *configure `MooseFS`*: its files, and that no boot script of its packages starts anything.

use anyhow::{Context, Result};

use super::super::conf::{FOLDER, File, MARK, conf};
use super::super::daemon::Daemon;
use super::super::dialect::Dialect;
use super::super::parse::parse;
use super::{Node, Part, data_disks};
use crate::runner::Call;
use crate::step::Finding;
use crate::system::System;
use crate::{files, identity};

/// Everybody may read them: they hold no secret.
const MODE: u32 = 0o644;

pub(super) struct Files;

/// One thing to do.
enum Deed {
    Disable(&'static str),
    SetAside(File),
    Write(File, String),
}

impl Deed {
    fn sentence(&self) -> String {
        match self {
            Self::Disable(script) => {
                format!("keep {script} from starting at boot: `cias run` starts what is needed")
            }
            Self::SetAside(file) => format!("rename {0}, which is not ours, to {0}.before", file.path()),
            Self::Write(file, _) => format!("write {}", file.path()),
        }
    }

    fn apply(&self, system: &System) -> Result<()> {
        let root = &system.root;
        match self {
            Self::Disable(script) => {
                system.runner.run(&Call::new("update-rc.d").args([*script, "disable"])).map(drop)
            }
            Self::SetAside(file) => {
                files::rename(&root.path(&file.path()), &root.path(&format!("{}.before", file.path())))
            }
            Self::Write(file, text) => {
                reader(*file).will_be_unread(root)?;
                if !root.has(FOLDER) {
                    files::make_folder(&root.path(FOLDER), 0o755)?;
                }
                files::write(&root.path(&file.path()), text, MODE)
            }
        }
    }
}

/// What reads the file.
fn reader(file: File) -> Daemon {
    match file {
        File::Master | File::Exports => Daemon::Master,
        File::Metalogger => Daemon::Metalogger,
        File::Chunkserver | File::Disks => Daemon::Chunkserver,
    }
}

fn deeds(node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Vec<Deed>> {
    let scripts = dialect.scripts().iter().copied();
    let started = scripts.filter(|script| identity::starts(&system.root, script));
    let mut deeds: Vec<Deed> = started.map(Deed::Disable).collect();
    let disks = data_disks(system)?;
    for file in File::ALL {
        let wanted = conf(dialect, file, &node.site, &node.place, &disks)?;
        let found = system.root.has(&file.path()).then(|| system.root.text(&file.path())).transpose()?;
        let is_ours = found.as_ref().is_some_and(|found| found.starts_with(MARK));
        if is_ours && found.as_deref().map(parse) == Some(parse(&wanted)) {
            continue;
        }
        if found.is_some() && !is_ours {
            deeds.push(Deed::SetAside(file));
        }
        deeds.push(Deed::Write(file, wanted));
    }
    Ok(deeds)
}

impl Part for Files {
    fn name(&self) -> &'static str {
        "configure MooseFS"
    }

    fn check(&self, node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Finding> {
        let todo = deeds(node, dialect, system)?.iter().map(Deed::sentence).collect();
        Ok(Finding { todo, warnings: Vec::new() })
    }

    fn apply(&self, node: &Node, dialect: &dyn Dialect, system: &System) -> Result<Vec<String>> {
        for deed in deeds(node, dialect, system)? {
            deed.apply(system).with_context(|| deed.sentence())?;
        }
        Ok(Vec::new())
    }
}
