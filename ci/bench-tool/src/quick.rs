//! What must be quick or small: `check`, opening an image, and the node's program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use cias_builder::family;
use cias_builder::iso9660::Image;
use cias_firstboot::node::SITE;

use crate::line::{Goal, Line, Unit, median, range};
use crate::measure;
use crate::site::Programs;
use crate::standin::Standin;

/// Longest time of `check` and of opening an image, in seconds.
const QUICK: f64 = 0.05;
/// Peak memory of the node's program, in bytes.
const MEMORY_GOAL: f64 = 16.0 * 1024.0 * 1024.0;
/// Runs of something that takes milliseconds.
const RUNS: usize = 20;

/// All of it.
pub fn lines(programs: &Programs, image: &Standin, work: &Path) -> Result<Vec<Line>> {
    let site = programs.site.to_string_lossy();
    let iso = image.iso.to_string_lossy();
    let own = std::env::current_exe().context("finding this program")?;
    let mut lines = Vec::new();
    let timed = [
        ("check of a site file", programs.builder.as_path(), vec!["check", &*site]),
        ("check of a site file against an image", &programs.builder, vec!["check", &site, "--iso", &iso]),
        ("inspect without its probes: tree and family", &own, vec!["open", &iso]),
    ];
    for (what, program, args) in timed {
        measure::run(program, &args)?;
        let runs = (0..RUNS).map(|_| Ok(measure::run(program, &args)?.seconds));
        let runs = runs.collect::<Result<Vec<f64>>>()?;
        let middle = median(&runs).context("finding a median")?;
        let line = Line::new("quick", what, middle, Unit::Seconds).goal(Goal::Below(QUICK));
        lines.push(line.note(range(&runs, Unit::Seconds)));
    }
    let root = node_root(programs, work)?;
    for command in ["status", "plan", "facts"] {
        let run = measure::run(&programs.node, &["--root", &root.to_string_lossy(), command])?;
        #[allow(clippy::cast_precision_loss, reason = "memory in bytes stays far below 2^53")]
        let peak = run.peak as f64;
        let line = Line::new("memory", format!("peak memory of `cias {command}`"), peak, Unit::Bytes);
        lines.push(line.goal(Goal::Below(MEMORY_GOAL)));
    }
    Ok(lines)
}

/// A node's tree on this machine's hardware: the site, and what the kernel shows.
fn node_root(programs: &Programs, work: &Path) -> Result<std::path::PathBuf> {
    let root = work.join("node");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))?;
    }
    let site = root.join(SITE.trim_start_matches('/'));
    let folder = site.parent().unwrap_or(&root);
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::copy(&programs.site, &site).with_context(|| format!("writing {}", site.display()))?;
    fs::write(root.join("etc/fstab"), "").context("writing an empty fstab")?;
    for name in ["sys", "proc", "dev"] {
        symlink(Path::new("/").join(name), root.join(name)).with_context(|| format!("linking /{name}"))?;
    }
    Ok(root)
}

/// What `inspect` does before its probes: the whole tree, and the family. Prints both, as `inspect` would.
pub fn open(iso: &Path) -> Result<()> {
    let image = Image::open(iso)?;
    println!("{}: {}, {} entries", iso.display(), family::detect(&image)?, image.entries().count());
    Ok(())
}
