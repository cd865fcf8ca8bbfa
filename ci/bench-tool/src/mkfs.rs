//! Bytes that making a file system writes: the product's `mkfs.ext3` against one without options.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use cias_firstboot::site::Site;

use crate::line::{Goal, Line, Unit};
use crate::loops::{Loop, run, written};
use crate::node::Node;

const PART: &str = "mkfs";
/// Size at which it is measured.
const MEASURED: u64 = 256 << 30;
/// Size at which it is calculated.
const CALCULATED: u64 = 4 << 40;
/// Ours against the default.
const GOAL: f64 = 1.0 / 30.0;

/// What `mke2fs -n` says that it would make.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    inodes: u64,
    groups: u64,
    block: u64,
}

/// All of it. `work` has to be on a file system with holes.
pub fn lines(site: &Site, work: &Path) -> Result<Vec<Line>> {
    let node = Node::new(work, 1, MEASURED)?;
    let (_, formats) = node.boot(site)?;
    drop(node);
    let ours = formats.first().context("finding the product's mkfs.ext3")?;
    let disk = Loop::new(&work.join("mkfs.img"), MEASURED)?;
    let before = written(&disk.name)?;
    run("mkfs.ext3", &["-F", "-q", &disk.device()])?;
    let default = count(written(&disk.name)? - before);
    drop(disk);

    let options = &ours.args[..ours.args.len() - 1];
    let shown = format!("mkfs.ext3 {}", options.join(" "));
    let least = calculated(work, MEASURED, &[])?;
    let mut lines = vec![
        Line::new(PART, "bytes written at 256 GiB by plain mkfs.ext3", default, Unit::Bytes)
            .note(format!("calculated without its journal: {:.2} GiB", least / count(1 << 30))),
        Line::new(PART, "bytes written at 256 GiB by ours", count(ours.bytes), Unit::Bytes)
            .against(default)
            .goal(Goal::Ratio(GOAL))
            .note(shown),
    ];
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    let (large, own) = (calculated(work, CALCULATED, &[])?, calculated(work, CALCULATED, &words)?);
    let own = own + count(u64::from(site.disks.journal_mib) << 20);
    let remark = "not written: from `mke2fs -n`, without its journal";
    lines.push(Line::new(PART, "bytes at 4 TiB by plain mkfs.ext3", large, Unit::Bytes).note(remark));
    lines.push(
        Line::new(PART, "bytes at 4 TiB by ours", own, Unit::Bytes)
            .against(large)
            .goal(Goal::Ratio(GOAL))
            .note("not written: from `mke2fs -n`, with its journal"),
    );
    Ok(lines)
}

/// The bytes of inode tables and bitmaps for a disk of `bytes` bytes, from a run that writes nothing.
fn calculated(work: &Path, bytes: u64, options: &[&str]) -> Result<f64> {
    let path = work.join("calculated.img");
    let file = File::create(&path).and_then(|file| file.set_len(bytes));
    file.with_context(|| format!("making {}", path.display()))?;
    let shown = path.to_string_lossy();
    let quiet: Vec<&str> = options.iter().copied().filter(|word| *word != "-q").collect();
    let text = run("mke2fs", &[&["-t", "ext3", "-n", "-v", "-F"], &*quiet, &[&*shown]].concat());
    std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    let shape = shape(&text?)?;
    // One block of each bitmap for each group; ext3 writes its inode tables as a whole.
    Ok(count(shape.inodes * INODE + shape.groups * 2 * shape.block))
}

/// Bytes of one inode: mke2fs.conf's default since e2fsprogs 1.39.
const INODE: u64 = 256;

fn shape(text: &str) -> Result<Shape> {
    let first = |parse: &dyn Fn(&str) -> Option<u64>, what: &str| {
        text.lines().find_map(parse).with_context(|| format!("finding the {what} in what mke2fs said"))
    };
    let before = |word: &'static str| move |line: &str| line.split_once(word)?.0.parse().ok();
    let block = |line: &str| line.strip_prefix("Block size=")?.split(' ').next()?.parse().ok();
    Ok(Shape {
        inodes: first(&before(" inodes,"), "inodes")?,
        groups: first(&before(" block groups"), "block groups")?,
        block: first(&block, "block size")?,
    })
}

#[allow(clippy::cast_precision_loss, reason = "a disk's bytes stay below 2^53")]
fn count(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_read_from_what_mke2fs_says() {
        let text = "mke2fs 1.42.5 (29-Jul-2012)\nBlock size=4096 (log=2)\n38800 inodes, 155029 blocks\n\
                    7751 blocks (5.00%) reserved for the super user\n5 block groups\n32768 blocks per group\n";
        assert_eq!(shape(text).unwrap(), Shape { inodes: 38_800, groups: 5, block: 4096 });
        assert!(shape("").unwrap_err().to_string().contains("inodes"));
    }
}
