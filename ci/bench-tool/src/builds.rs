//! Our build against a plain copy and against a full rewrite of the same image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::files;

use crate::line::{Goal, Line, Unit, median, range};
use crate::loops::{Loop, Mount, run};
use crate::measure;
use crate::site::Programs;
use crate::standin::Standin;

const PART: &str = "build";

/// At most so many times the copy's time.
const COPY_GOAL: f64 = 1.3;
/// The same where the file system shares the copy's bytes.
const REFLINK_GOAL: f64 = 0.25;
/// Peak memory of a build, in bytes.
const MEMORY_GOAL: f64 = 64.0 * 1024.0 * 1024.0;
/// Size of the file systems with reflinks: three images and room.
const REFLINK_BYTES: u64 = 4 << 30;

/// What is measured in turn.
const COPY: usize = 0;
const UNKNOWN: usize = 1;
const KNOWN: usize = 2;
const REWRITE: usize = 3;

/// One folder in which all of it happens.
struct Ring<'a> {
    programs: &'a Programs,
    image: Standin,
    out: PathBuf,
}

impl Ring<'_> {
    fn new<'a>(programs: &'a Programs, image: &Standin, folder: &Path) -> Ring<'a> {
        Ring { programs, image: image.clone(), out: folder.join("out.iso") }
    }

    /// One run of one kind, from a clean start: no output, nothing left to be written, the source in the cache.
    fn once(&self, kind: usize) -> Result<measure::Run> {
        files::remove(&self.out)?;
        run("sync", &[])?;
        let (source, out) = (self.image.iso.to_string_lossy(), self.out.to_string_lossy());
        let (site, node) = (self.programs.site.to_string_lossy(), self.programs.node.to_string_lossy());
        let shell = Path::new("sh");
        match kind {
            COPY => {
                let script = "cp --reflink=never \"$0\" \"$1\" && sync \"$1\"";
                measure::run(shell, &["-c", script, &source, &out])
            }
            REWRITE => {
                let script = "xorriso -no_rc -report_about WARNING -indev \"$0\" -outdev \"$1\" -boot_image any replay \
                              -map \"$2\" /cias-bench -commit -end && sync \"$1\"";
                measure::run(shell, &["-c", script, &source, &out, &site])
            }
            _ => {
                let mut args =
                    vec!["build", "--iso", &source, "--site", &site, "--firstboot", &node, "--out", &out];
                if kind == KNOWN {
                    args.extend(["--sha256", &self.image.sha256]);
                }
                measure::run(&self.programs.builder, &args)
            }
        }
    }

    /// The given kinds in turn, so that a machine whose speed drifts drifts for all.
    fn rounds(&self, kinds: &[usize], rounds: usize) -> Result<Vec<Vec<measure::Run>>> {
        let mut runs = vec![Vec::new(); 4];
        for kind in kinds {
            self.once(*kind)?;
        }
        for _ in 0..rounds {
            for kind in kinds {
                runs[*kind].push(self.once(*kind)?);
            }
        }
        Ok(runs)
    }
}

fn seconds(runs: &[measure::Run]) -> Vec<f64> {
    runs.iter().map(|run| run.seconds).collect()
}

fn line(what: String, runs: &[measure::Run]) -> Result<Line> {
    let figures = seconds(runs);
    let middle = median(&figures).with_context(|| format!("measuring {what}"))?;
    Ok(Line::new(PART, what, middle, Unit::Seconds).note(range(&figures, Unit::Seconds)))
}

/// On the work folder's own file system, as plain copies; also the memory of a build and what it adds.
pub fn plain(programs: &Programs, image: &Standin, work: &Path, rounds: usize) -> Result<Vec<Line>> {
    let ring = Ring::new(programs, image, work);
    let runs = ring.rounds(&[COPY, UNKNOWN, KNOWN, REWRITE], rounds)?;
    let copy = line("plain copy (cp, fsync)".into(), &runs[COPY])?;
    let base = copy.figure.unwrap_or_default();
    let compared = |what: &str, runs: &[measure::Run]| line(what.into(), runs).map(|line| line.against(base));
    let mut lines = vec![
        copy,
        compared("build, the source's hash unknown, against the copy", &runs[UNKNOWN])?
            .goal(Goal::Ratio(COPY_GOAL)),
        compared("build, the source's hash known, against the copy", &runs[KNOWN])?
            .goal(Goal::Ratio(COPY_GOAL)),
        compared("full rewrite by xorriso, against the copy", &runs[REWRITE])?,
    ];
    let peak = |runs: &[measure::Run]| {
        #[allow(clippy::cast_precision_loss, reason = "memory in bytes stays far below 2^53")]
        runs.iter().map(|run| run.peak as f64).fold(0.0, f64::max)
    };
    let most = peak(&runs[UNKNOWN]).max(peak(&runs[KNOWN]));
    lines.push(
        Line::new("memory", "peak memory of a build, its largest process", most, Unit::Bytes)
            .goal(Goal::Below(MEMORY_GOAL)),
    );
    ring.once(KNOWN)?;
    let bytes = fs::metadata(&ring.out).context("reading the size of the new image")?.len();
    files::remove(&ring.out)?;
    let added = bytes.saturating_sub(image.bytes);
    #[allow(clippy::cast_precision_loss, reason = "an image's size stays far below 2^53")]
    lines.push(
        Line::new("size", "added extents: what the new image is longer", added as f64, Unit::Bytes)
            .note(format!("{bytes} bytes instead of {}", image.bytes)),
    );
    Ok(lines)
}

/// On a file system that can share bytes, against a plain copy on the same one.
pub fn reflink(
    kind: &str,
    programs: &Programs,
    image: &Standin,
    work: &Path,
    rounds: usize,
) -> Result<Vec<Line>> {
    let disk = Loop::new(&work.join(format!("{kind}.img")), REFLINK_BYTES)?;
    run(&format!("mkfs.{kind}"), &["-q", &disk.device()])?;
    let mount = Mount::new(&disk.device(), &work.join(kind))?;
    let iso = mount.point.join("vendor.iso");
    run("cp", &[&image.iso.to_string_lossy(), &iso.to_string_lossy()])?;
    let ring = Ring::new(programs, &Standin { iso, ..image.clone() }, &mount.point);
    let runs = ring.rounds(&[COPY, UNKNOWN, KNOWN], rounds)?;
    let copy = line(format!("plain copy (cp, fsync) on {kind}"), &runs[COPY])?;
    let base = copy.figure.unwrap_or_default();
    let compared = |what: &str, runs: &[measure::Run]| {
        let line = line(format!("build with reflink on {kind}, hash {what}"), runs)?;
        Ok::<_, anyhow::Error>(line.against(base).goal(Goal::Ratio(REFLINK_GOAL)))
    };
    Ok(vec![copy.clone(), compared("unknown", &runs[UNKNOWN])?, compared("known", &runs[KNOWN])?])
}
