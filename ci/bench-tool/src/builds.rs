//! Our build against a plain copy and against a full rewrite of the same image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cias_firstboot::files;

use crate::line::{Goal, Line, Unit, median, range};
use crate::loops::{Loop, Mount, run};
use crate::measure;
use crate::site::Programs;
use crate::standin::Standin;
use crate::throttle::Throttle;

const PART: &str = "build";

/// At most so many times the copy's time.
const COPY_GOAL: f64 = 1.3;
/// The same where the file system shares the copy's bytes.
const REFLINK_GOAL: f64 = 0.25;
/// Peak memory of a build, in bytes.
const MEMORY_GOAL: f64 = 64.0 * 1024.0 * 1024.0;
/// Size of a file system of its own: three images and room.
const GROUND_BYTES: u64 = 4 << 30;

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
        let folder = self.out.parent().unwrap_or(Path::new("."));
        run("sync", &["--file-system", &folder.to_string_lossy()])?;
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
    let cpu = median(&runs.iter().map(|run| run.cpu).collect::<Vec<_>>()).unwrap_or_default();
    let remark = format!("{}, {cpu:.2} s of processor time", range(&figures, Unit::Seconds));
    Ok(Line::new(PART, what, middle, Unit::Seconds).note(remark))
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
    let peak = |runs: &[measure::Run]| runs.iter().map(|run| bytes(run.peak)).fold(0.0, f64::max);
    let most = peak(&runs[UNKNOWN]).max(peak(&runs[KNOWN]));
    lines.push(
        Line::new("memory", "peak memory of a build, its largest process", most, Unit::Bytes)
            .goal(Goal::Below(MEMORY_GOAL)),
    );
    ring.once(KNOWN)?;
    let length = fs::metadata(&ring.out).context("reading the size of the new image")?.len();
    files::remove(&ring.out)?;
    let added = length.saturating_sub(image.bytes);
    lines.push(
        Line::new("size", "added extents: what the new image is longer", bytes(added), Unit::Bytes)
            .note(format!("{length} bytes instead of {}", image.bytes)),
    );
    Ok(lines)
}

/// A file system of its own to build on, on a loop device.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    /// Its kind, as in `mkfs.KIND`.
    kind: &'static str,
    /// Options of its mkfs, so that nothing is left to be written later.
    options: &'static [&'static str],
    /// Bytes per second that its disk takes; nothing for as many as this machine can.
    rate: Option<u64>,
    /// Can files share bytes on it?
    shares: bool,
}

/// A disk as fast as a hard disk of today: the copy's time is then the disk's, not this machine's memory's.
const DISK: Option<u64> = Some(200 << 20);
const EXT4: Ground = Ground {
    kind: "ext4",
    options: &["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    rate: DISK,
    shares: false,
};
const XFS: Ground = Ground { kind: "xfs", options: &["-q"], rate: None, shares: true };
const BTRFS: Ground = Ground { kind: "btrfs", options: &["-q"], rate: None, shares: true };

/// Where a copy is a copy, on a disk of limited speed.
pub const DISKS: [Ground; 1] = [EXT4];
/// Where a copy can be a reflink.
pub const REFLINKS: [Ground; 4] = [XFS, BTRFS, Ground { rate: DISK, ..XFS }, Ground { rate: DISK, ..BTRFS }];

/// On one ground, against a plain copy there.
pub fn on(
    ground: Ground,
    programs: &Programs,
    image: &Standin,
    work: &Path,
    rounds: usize,
) -> Result<Vec<Line>> {
    let kind = ground.kind;
    let disk = Loop::new(&work.join(format!("{kind}.img")), GROUND_BYTES)?;
    run(&format!("mkfs.{kind}"), &[ground.options, &[&*disk.device()]].concat())?;
    let mount = Mount::new(&disk.device(), &work.join(kind))?;
    let iso = mount.point.join("vendor.iso");
    run("cp", &[&image.iso.to_string_lossy(), &iso.to_string_lossy()])?;
    run("sync", &[])?;
    let place = match ground.rate {
        Some(rate) => format!("{kind}, {} MiB/s", rate >> 20),
        None => kind.to_owned(),
    };
    let limit = ground.rate.map(|rate| Throttle::new(std::slice::from_ref(&disk), rate)).transpose()?;
    let ring = Ring::new(programs, &Standin { iso, ..image.clone() }, &mount.point);
    let runs = ring.rounds(&[COPY, UNKNOWN, KNOWN], rounds)?;
    drop(limit);
    let copy = line(format!("{place}: plain copy (cp, fsync)"), &runs[COPY])?;
    let base = copy.figure.unwrap_or_default();
    if let Some(rate) = ground.rate {
        // Without this an ineffective limit would pass as a result for such a disk.
        let least = bytes(image.bytes) / bytes(rate) * 0.8;
        ensure!(
            base >= least,
            "the I/O controller has no effect: the copy took {base:.2} s, not {least:.2} s"
        );
    }
    let (how, goal) = if ground.shares { ("reflink", REFLINK_GOAL) } else { ("build", COPY_GOAL) };
    let compared = |what: &str, runs: &[measure::Run]| {
        let line = line(format!("{place}: {how}, the source's hash {what}"), runs)?;
        Ok::<_, anyhow::Error>(line.against(base).goal(Goal::Ratio(goal)))
    };
    let (unknown, known) = (compared("unknown", &runs[UNKNOWN])?, compared("known", &runs[KNOWN])?);
    Ok(vec![copy, unknown, known])
}

#[allow(clippy::cast_precision_loss, reason = "memory and images stay far below 2^53 bytes")]
fn bytes(count: u64) -> f64 {
    count as f64
}
