//! One run of xorriso that adds and moves files on the copy of the image by growing it.
//!
//! The blocks of the vendor's files stay where they are, so zisofs files stay compressed (docs/facts.md 1.3). Only
//! the directory tree and the added files are written behind the old end, and the first 64 KiB are rewritten to
//! point there. All dates, owners and modes are given, so that the same inputs give the same bytes.

use crate::iso9660::{Image, Volume};
use crate::plan::Plan;
use anyhow::{Context, Result, anyhow};
use cias_firstboot::outcome::Class;
use cias_firstboot::runner::{Call, Runner};
use std::fs::{FileTimes, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Time limit of the run. It writes some tens of MiB.
const LIMIT: Duration = Duration::from_mins(30);
/// Date of an image that has none: the day on which Proxmox VE 3.2 came out.
const FALLBACK_DATE: &str = "2014031000000000";

/// Dates for everything that is written, taken from the source image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dates {
    /// 16 digits, as in the volume descriptor.
    pub volume: String,
    /// The same in seconds since 1970 (UTC).
    pub epoch: u64,
}

impl Dates {
    /// The date on which the vendor made the volume.
    pub fn of(volume: &Volume) -> Self {
        let parsed = |text: &str| epoch(text).map(|epoch| Self { volume: text.to_owned(), epoch });
        parsed(&volume.created)
            .or_else(|| parsed(FALLBACK_DATE))
            .unwrap_or(Self { volume: FALLBACK_DATE.to_owned(), epoch: 0 })
    }
}

/// Seconds since 1970 of `YYYYMMDDhhmmsscc`, read as UTC; nothing unless it is a date from 1970 to 2105.
fn epoch(digits: &str) -> Option<u64> {
    if digits.len() != 16 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let field = |from: usize, to: usize| digits[from..to].parse::<u64>().ok();
    let (year, month, day) = (field(0, 4)?, field(4, 6)?, field(6, 8)?);
    let (hour, minute, second) = (field(8, 10)?, field(10, 12)?, field(12, 14)?);
    let fits = (1970..=2105).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fits || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970-01-01 with the year starting in March, so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// What xorriso calls itself; fails if it is not installed.
pub fn version(runner: &dyn Runner) -> Result<String> {
    let output = runner.run(&Call::new("xorriso").arg("-version")).map_err(|error| {
        Class::MissingTool.error(format!("{error:#}; install it with `apt-get install xorriso`"))
    })?;
    let line = output.stdout.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()));
    Ok(line.unwrap_or_default().split(" : ").next().unwrap_or_default().trim().to_owned())
}

/// Writes the added files below `stage`, an empty folder, under numbers. Some hold secrets, so only we can read them;
/// on the image they get the modes of the plan.
pub fn stage(plan: &Plan, dates: &Dates, stage: &Path) -> Result<()> {
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(dates.epoch);
    for (index, added) in plan.added.iter().enumerate() {
        let path = stage.join(index.to_string());
        // Not `files::write`: these live for a moment, and each sync would wait for the disk to write the copy, too.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| {
                file.write_all(&added.bytes)?;
                file.set_times(FileTimes::new().set_accessed(date).set_modified(date))
            })
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The arguments of the run.
fn arguments(plan: &Plan, source: &Image, dates: &Dates, image: &str, stage: &str) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut command = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    command(&["-no_rc", "-abort_on", "FAILURE", "-return_with", "FAILURE", "32", "-report_about", "WARNING"]);
    command(&["-iso_rr_pattern", "off", "-disk_pattern", "off"]);
    // The image is synced at the end of the build; xorriso would wait for it and, by default, look once a second.
    command(&["-stdio_sync", "off", "-pacifier", "interval=0.1"]);
    command(&["-dev", &format!("stdio:{image}")]);
    command(&["-boot_image", "any", "replay"]);
    command(&["-joliet", if source.volume().joliet { "on" } else { "off" }]);
    command(&["-volume_date", "uuid", &dates.volume]);
    for moved in &plan.moved {
        command(&["-mv", &moved.from, &moved.to, "--"]);
    }
    let mut ours = plan.new_folders(source);
    for folder in &ours {
        command(&["-mkdir", folder, "--", "-chmod", "0755", folder, "--"]);
    }
    for (index, added) in plan.added.iter().enumerate() {
        command(&["-map", &format!("{stage}/{index}"), &added.path]);
        command(&["-chmod", &format!("{:04o}", added.mode), &added.path, "--"]);
    }
    ours.extend(plan.added.iter().map(|added| added.path.clone()));
    for (verb, id) in [("-chown", "0"), ("-chgrp", "0")] {
        let mut words = vec![verb, id];
        words.extend(ours.iter().map(String::as_str));
        words.push("--");
        command(&words);
    }
    command(&["-commit", "-end"]);
    args
}

/// Grows the image at `image` by `plan`, whose files were put below `stage`.
pub fn grow(
    runner: &dyn Runner,
    plan: &Plan,
    source: &Image,
    dates: &Dates,
    image: &Path,
    stage: &Path,
) -> Result<()> {
    let text = |path: &Path| {
        let shown = path.to_str().filter(|text| !text.contains(char::is_control)).map(str::to_owned);
        shown.ok_or_else(|| {
            Class::BadInput
                .error(format!("the path {} is no plain UTF-8 text; choose another --out", path.display()))
        })
    };
    let call = Call::new("xorriso")
        .args(arguments(plan, source, dates, &text(image)?, &text(stage)?))
        .env("SOURCE_DATE_EPOCH", dates.epoch.to_string())
        .env("TZ", "UTC")
        .limit(LIMIT);
    let adding = "adding the files to the image";
    let output = runner.outcome(&call).context(adding)?;
    if output.code == 0 {
        return Ok(());
    }
    // The whole line would bury what xorriso says of it.
    let grave = |line: &&str| ["FAILURE", "FATAL", "ABORT", "SORRY"].iter().any(|word| line.contains(word));
    let lines: Vec<&str> = output.stderr.lines().filter(grave).collect();
    let said = if lines.is_empty() { output.complaint() } else { lines.join("; ") };
    Err(anyhow!("xorriso ended with exit code {}: {said}", output.code).context(adding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_utc_and_nonsense_is_none() {
        let table = [
            ("1970010100000000", Some(0)),
            ("2014031000000000", Some(1_394_409_600)),
            ("2016022923595999", Some(1_456_790_399)),
            ("2000030100000000", Some(951_868_800)),
            ("0000000000000000", None),
            ("2014131000000000", None),
            ("20140310", None),
        ];
        for (text, wanted) in table {
            assert_eq!(epoch(text), wanted, "{text}");
        }
    }
}
