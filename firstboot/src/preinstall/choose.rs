//! Which disk becomes the system's: exactly one, or none. Pure.

use std::cmp::Reverse;

use anyhow::Result;

use crate::facts::disks::{Contents, Disk, human};
use crate::outcome::Class;
use crate::site::DiskFilter;

/// Below this the vendor's installer gives up, after it has partitioned (docs/facts.md: `hdgb < 4`).
const LEAST: u64 = 4 << 30;
const GIB: u64 = 1 << 30;

/// What was seen, and why each disk but the chosen one was refused.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The disk, if exactly one is left.
    pub disk: Option<&'a Disk>,
    /// One line for each disk.
    pub table: Vec<String>,
    /// Why not exactly one was left.
    problem: String,
}

impl<'a> Choice<'a> {
    /// The disk, or a refusal with the table.
    pub fn disk(&self) -> Result<&'a Disk> {
        self.disk.ok_or_else(|| {
            let seen =
                if self.table.is_empty() { vec!["  no disk at all".into()] } else { self.table.clone() };
            Class::Refused.error(format!(
                "{}: no disk was touched; set install.disk in the site file, or free a disk. Seen:\n{}",
                self.problem,
                seen.join("\n")
            ))
        })
    }
}

/// Chooses by `filter`.
pub fn choose<'a>(disks: &'a [Disk], filter: &DiskFilter) -> Choice<'a> {
    let judged: Vec<(&Disk, Option<String>)> =
        disks.iter().map(|disk| (disk, never(disk, disks).or_else(|| unwanted(disk, filter)))).collect();
    let mut left: Vec<&Disk> =
        judged.iter().filter(|(_, reason)| reason.is_none()).map(|(disk, _)| *disk).collect();
    // `disks` comes in the order of names, and sorting keeps that order among equals: the pick is always the same.
    match filter.pick.as_deref() {
        Some("smallest") => left.sort_by_key(|disk| disk.size),
        Some("largest") => left.sort_by_key(|disk| Reverse(disk.size)),
        _ => {}
    }
    let chosen = if filter.pick.is_some() { left.first() } else { left.first().filter(|_| left.len() == 1) };
    let table = judged.iter().map(|(disk, reason)| {
        let verdict = match reason {
            Some(reason) => format!("refused, {reason}"),
            None if chosen.is_some_and(|chosen| chosen.name == disk.name) => "chosen".into(),
            None if filter.pick.is_some() => "not picked".into(),
            None => "would do".into(),
        };
        format!("  {}: {verdict}", disk.describe())
    });
    let problem = match left.len() {
        0 => "no disk is fit for the system".to_owned(),
        n => format!("{n} disks are fit for the system and install.disk.pick does not say which"),
    };
    Choice { disk: chosen.copied(), table: table.collect(), problem }
}

/// Reasons that no filter overrules.
fn never(disk: &Disk, all: &[Disk]) -> Option<String> {
    let twin = all.iter().find(|other| other.name != disk.name && other.may_be(disk));
    let used = (!disk.mounts.is_empty()).then(|| disk.mounts.join(", "));
    if disk.boot_medium {
        Some("it is the boot medium or carries an ISO image".into())
    } else if disk.removable {
        Some("it is removable or on USB".into())
    } else if let Some(points) = used {
        Some(format!("it is mounted on {points}"))
    } else if disk.swap {
        Some("its swap is in use".into())
    } else if disk.read_only {
        Some("it is read-only".into())
    } else if let Contents::Unreadable(error) = &disk.contents {
        Some(format!("it cannot be read: {error}"))
    } else if let Some((path, error)) = disk.unreadable_partition() {
        Some(format!("{} cannot be read: {error}", path.display()))
    } else if let Some(twin) = twin {
        Some(format!("{} has the same serial number or world wide name", twin.path.display()))
    } else if !vendor_takes(&disk.name) {
        Some("the vendor's installer knows no device of that name".into())
    } else if disk.size < LEAST {
        Some(format!("it is smaller than {}", human(LEAST)))
    } else {
        None
    }
}

/// Reasons of the site.
fn unwanted(disk: &Disk, filter: &DiskFilter) -> Option<String> {
    let path = disk.path.to_string_lossy();
    let differs = |wanted: &Option<String>, found: Option<&str>| {
        wanted.as_ref().is_some_and(|wanted| Some(wanted.as_str()) != found)
    };
    let wanted = |key: &str, value: String| Some(format!("install.disk.{key} wants {value}"));
    if differs(&filter.path, Some(&path)) {
        wanted("path", filter.path.clone()?)
    } else if differs(&filter.serial, disk.serial.as_deref()) {
        wanted("serial", format!("{:?}", filter.serial.clone()?))
    } else if disk.networked && filter.serial.is_none() {
        Some("it is reached over iSCSI or Fibre Channel, and install.disk.serial does not name it".into())
    } else if let Some(glob) = &filter.model
        && !matches(glob, disk.model.as_deref().unwrap_or_default())
    {
        wanted("model", format!("{glob:?}"))
    } else if let Some(least) = filter.min_gib
        && disk.size < u64::from(least) * GIB
    {
        wanted("min_gib", least.to_string())
    } else if let Some(most) = filter.max_gib
        && disk.size > u64::from(most) * GIB
    {
        wanted("max_gib", most.to_string())
    } else {
        None
    }
}

/// The names that the vendor's `get_partition_dev` can find partitions of (docs/facts.md). `/dev/i2o` is left out, the
/// kernel has no driver for it.
fn vendor_takes(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    match name.split_once('/') {
        None => {
            matches!(name.as_bytes(), [b'h' | b'x' | b's' | b'e' | b'v', b'd', letter] if letter.is_ascii_lowercase())
        }
        Some(("cciss" | "ida" | "rd", unit)) => unit
            .strip_prefix('c')
            .and_then(|rest| rest.split_once('d'))
            .is_some_and(|(controller, disk)| digits(controller) && digits(disk)),
        Some(("ataraid", unit)) => unit.strip_prefix('d').is_some_and(digits),
        Some(_) => false,
    }
}

/// Does `text` fit a pattern with `*` (any characters) and `?` (one)?
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // row[n]: does the pattern so far fit the first n characters?
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for part in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match part {
                '*' => row[at] || at > 0 && next[at - 1],
                '?' => at > 0 && row[at - 1],
                plain => at > 0 && row[at - 1] && text[at - 1] == plain,
            };
        }
        row = next;
    }
    row[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::disks::Partition;
    use crate::facts::disks::testing::{disk, partition};

    fn filter(pick: &str) -> DiskFilter {
        DiskFilter { pick: (!pick.is_empty()).then(|| pick.into()), ..DiskFilter::default() }
    }

    fn chosen(disks: &[Disk], filter: &DiskFilter) -> Option<String> {
        choose(disks, filter).disk.map(|disk| disk.name.clone())
    }

    #[test]
    fn exactly_one_fit_disk_is_chosen_and_two_need_a_pick() {
        let disks = [disk("sda", 20), disk("sdb", 10), disk("sdc", 30)];
        assert_eq!(chosen(&disks[..1], &filter("")).as_deref(), Some("sda"));
        assert_eq!(chosen(&disks, &filter("")), None);
        for (pick, name) in [("first", "sda"), ("smallest", "sdb"), ("largest", "sdc")] {
            assert_eq!(chosen(&disks, &filter(pick)).as_deref(), Some(name), "{pick}");
        }
        let error = choose(&disks, &filter("")).disk().unwrap_err();
        assert_eq!(Class::of(&error), Class::Refused);
        let text = error.to_string();
        assert!(
            text.starts_with("3 disks are fit") && text.contains("  /dev/sdb, 10.7 GB: would do"),
            "{text}"
        );
    }

    #[test]
    fn filters_narrow_and_the_table_says_which_one_did() {
        let mut disks = [disk("sda", 20), disk("sdb", 10)];
        disks[0].serial = Some("A".into());
        disks[0].model = Some("WDC WD10".into());
        let by = |change: &dyn Fn(&mut DiskFilter)| {
            let mut filter = filter("");
            change(&mut filter);
            filter
        };
        for (what, filter, wanted, reason) in [
            ("path", by(&|f| f.path = Some("/dev/sdb".into())), "sdb", "install.disk.path wants /dev/sdb"),
            ("serial", by(&|f| f.serial = Some("A".into())), "sda", "install.disk.serial wants \"A\""),
            ("model", by(&|f| f.model = Some("WDC*".into())), "sda", "install.disk.model wants \"WDC*\""),
            ("min", by(&|f| f.min_gib = Some(15)), "sda", "install.disk.min_gib wants 15"),
            ("max", by(&|f| f.max_gib = Some(15)), "sdb", "install.disk.max_gib wants 15"),
        ] {
            let choice = choose(&disks, &filter);
            assert_eq!(choice.disk.map(|disk| disk.name.as_str()), Some(wanted), "{what}");
            assert!(choice.table.iter().any(|line| line.ends_with(reason)), "{what}: {:?}", choice.table);
        }
    }

    #[test]
    fn what_must_never_be_touched_is_not_chosen_even_when_it_is_named() {
        type Change = fn(&mut Disk);
        let cases: [(&str, Change, &str); 11] = [
            ("boot medium", |d| d.boot_medium = true, "it is the boot medium or carries an ISO image"),
            ("removable", |d| d.removable = true, "it is removable or on USB"),
            ("mounted", |d| d.mounts = vec!["/srv".into()], "it is mounted on /srv"),
            ("swap", |d| d.swap = true, "its swap is in use"),
            ("read-only", |d| d.read_only = true, "it is read-only"),
            ("unreadable", |d| d.contents = Contents::Unreadable("EIO".into()), "it cannot be read: EIO"),
            (
                "unreadable partition",
                |d| {
                    let contents = Contents::Unreadable("EIO".into());
                    d.partitions = vec![Partition { contents, ..partition("sda1", Vec::new()) }];
                },
                "/dev/sda1 cannot be read: EIO",
            ),
            ("name", |d| d.name = "nvme0n1".into(), "the vendor's installer knows no device of that name"),
            ("small", |d| d.size = LEAST - 512, "it is smaller than 4.2 GB"),
            (
                "another way to it",
                |d| d.wwn = Some("W".into()),
                "/dev/sdz has the same serial number or world wide name",
            ),
            (
                "twin",
                |d| d.serial = Some("T".into()),
                "/dev/sdz has the same serial number or world wide name",
            ),
        ];
        for (what, change, reason) in cases {
            let mut disks = [disk("sda", 20), disk("sdz", 20)];
            disks[1].serial = Some("T".into());
            disks[1].wwn = Some("W".into());
            change(&mut disks[0]);
            let named = DiskFilter { path: Some("/dev/sda".into()), ..filter("first") };
            let choice = choose(&disks, &named);
            assert!(choice.disk.is_none(), "{what}");
            assert!(choice.table[0].ends_with(&format!("refused, {reason}")), "{what}: {}", choice.table[0]);
        }
    }

    #[test]
    fn a_disk_on_a_network_must_be_named_by_its_serial_number() {
        let disks = [Disk { networked: true, serial: Some("L".into()), ..disk("sda", 20) }];
        let by_path = DiskFilter { path: Some("/dev/sda".into()), ..filter("largest") };
        let choice = choose(&disks, &by_path);
        assert!(
            choice.disk.is_none() && choice.table[0].contains("over iSCSI or Fibre Channel"),
            "{choice:?}"
        );
        let by_serial = DiskFilter { serial: Some("L".into()), ..filter("") };
        assert_eq!(chosen(&disks, &by_serial).as_deref(), Some("sda"));
    }

    #[test]
    fn names_are_those_of_the_vendors_code() {
        for name in
            ["sda", "sdz", "hda", "vdb", "xda", "eda", "cciss/c0d0", "ida/c1d12", "rd/c0d0", "ataraid/d0"]
        {
            assert!(vendor_takes(name), "{name}");
        }
        for name in ["sdaa", "xvda", "nvme0n1", "mmcblk0", "md0", "cciss/c0", "i2o/hda", "loop0", "sd1"] {
            assert!(!vendor_takes(name), "{name}");
        }
    }

    #[test]
    fn patterns_match_as_a_shell_would() {
        for (pattern, text, fits) in [
            ("WDC*", "WDC WD10", true),
            ("*SSD*", "INTEL SSDSC2", true),
            ("SD?", "SDX", true),
            ("SD?", "SD", false),
            ("", "", true),
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
