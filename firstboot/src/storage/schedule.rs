//! `/etc/pve/vzdump.cron`: the two backup schedules of the site. Pure.
//!
//! Every node runs every line, for its own guests alone; so a schedule follows a guest to wherever it goes (docs/facts.md 19).

use std::collections::{BTreeMap, BTreeSet};

use crate::crontab::{self, Likeness};
use crate::site::Backup;

/// The gateway's id.
pub const GATEWAY: u32 = 100;

/// Where its archives go.
const GATEWAY_STORAGE: &str = "mfs-backup";

/// Where those of all others go.
const GUESTS_STORAGE: &str = "a_mfs";

/// What stands above the lines in a file that nobody has written yet, as Proxmox VE writes it.
const HEAD: &str = "# cluster wide vzdump cron schedule\n# Atomatically generated file - do not edit\n\nPATH=\"/usr/sbin:/usr/bin:/sbin:/bin\"\n\n";

/// A line of the file that is a job.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    /// The five fields of cron.
    time: Vec<String>,
    /// The ids of guests, and every other word that belongs to no option.
    guests: BTreeSet<String>,
    /// Each with its value.
    options: BTreeMap<String, String>,
}

impl Job {
    fn has(&self, option: &str, value: &str) -> bool {
        self.options.get(option).is_some_and(|found| found == value)
    }
}

/// The line as a job; nothing for every other one, also a job that is commented out.
fn job(line: &str) -> Option<Job> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (time, rest) = words.split_at_checked(5)?;
    let ["root", "vzdump", rest @ ..] = rest else { return None };
    if time[0].starts_with('#') {
        return None;
    }
    let (mut guests, mut options) = (BTreeSet::new(), BTreeMap::new());
    let mut rest = rest.iter().peekable();
    while let Some(word) = rest.next() {
        if !word.starts_with('-') {
            guests.extend(word.split(',').filter(|id| !id.is_empty()).map(str::to_owned));
            continue;
        }
        let name = word.trim_start_matches('-');
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value),
            // An option without a value is on.
            None => (name, rest.next_if(|next| !next.starts_with('-')).map_or("1", |next| *next)),
        };
        options.insert(name.to_owned(), value.to_owned());
    }
    Some(Job { time: time.iter().map(|field| (*field).to_owned()).collect(), guests, options })
}

/// The two lines.
fn lines(backup: &Backup) -> [String; 2] {
    let line = |time: &str, rest: String| {
        let fields: Vec<&str> = time.split_whitespace().collect();
        match fields.as_slice() {
            // Proxmox VE pads the last field.
            [minute, hour, day, month, week] => {
                format!("{minute} {hour} {day} {month} {week:<11} root vzdump {rest}")
            }
            _ => format!("{time} root vzdump {rest}"),
        }
    };
    [
        line(
            &backup.gateway,
            format!("{GATEWAY} --quiet 1 --mode snapshot --compress 0 --storage {GATEWAY_STORAGE}"),
        ),
        line(
            &backup.guests,
            format!(
                "--quiet 1 --mode snapshot --compress gzip --all 1 --exclude {GATEWAY} --storage {GUESTS_STORAGE}"
            ),
        ),
    ]
}

/// Which of the two a job is: that of the gateway alone to its storage, or that of all but the gateway to theirs. Others are a person's.
fn role(job: &Job) -> Option<usize> {
    let gateway = GATEWAY.to_string();
    let is_gateways = job.guests.len() == 1 && job.guests.contains(&gateway);
    if is_gateways && job.has("storage", GATEWAY_STORAGE) {
        Some(0)
    } else if job.guests.is_empty()
        && job.has("all", "1")
        && job.has("exclude", &gateway)
        && job.has("storage", GUESTS_STORAGE)
    {
        Some(1)
    } else {
        None
    }
}

/// The file as it should be, or nothing if it is that already. Lines that are not ours stay where they are, and so does a second job for the
/// same guests, which is a person's as long as one of them is as it should be.
pub fn corrected(text: Option<&[u8]>, backup: &Backup) -> Option<Vec<u8>> {
    let lines = lines(backup);
    let wanted = lines.each_ref().map(|line| job(line));
    crontab::corrected(text.unwrap_or(HEAD.as_bytes()), &lines.each_ref().map(String::as_str), |at, line| {
        match job(line) {
            None => Likeness::Other,
            found if found == wanted[at] => Likeness::Same,
            Some(found) if role(&found) == Some(at) => Likeness::Changed,
            Some(_) => Likeness::Other,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corrected(text: Option<&str>, backup: &Backup) -> Option<String> {
        super::corrected(text.map(str::as_bytes), backup).map(|text| String::from_utf8(text).unwrap())
    }

    fn backup() -> Backup {
        Backup { guests: "0 2 * * 7".into(), gateway: "0 2 * * 1".into() }
    }

    const LINES: &str = "0 2 * * 1           root vzdump 100 --quiet 1 --mode snapshot --compress 0 --storage mfs-backup\n\
                         0 2 * * 7           root vzdump --quiet 1 --mode snapshot --compress gzip --all 1 --exclude 100 --storage a_mfs\n";

    #[test]
    fn a_file_that_is_not_there_or_empty_of_jobs_gets_both_lines() {
        let wanted = format!("{HEAD}{LINES}");
        assert_eq!(corrected(None, &backup()).as_deref(), Some(wanted.as_str()));
        assert_eq!(corrected(Some(HEAD), &backup()).as_deref(), Some(wanted.as_str()));
        assert_eq!(corrected(Some(&wanted), &backup()), None);
    }

    #[test]
    fn the_order_of_words_is_proxmox_ves_own_and_a_persons_jobs_stay() {
        let other = "30 4 * * 3           root vzdump 101 102 --storage local --quiet 1 --mode stop\n";
        let shuffled = LINES.replace("--quiet 1 --mode snapshot", "--mode snapshot --quiet 1");
        assert_eq!(corrected(Some(&format!("{HEAD}{other}{shuffled}")), &backup()), None);
        let earlier = Backup { gateway: "15 1 * * 1,4".into(), ..backup() };
        let found = corrected(Some(&format!("{HEAD}{LINES}{other}")), &earlier).unwrap();
        assert!(found.contains("15 1 * * 1,4         root vzdump 100 --quiet 1"), "{found}");
        assert!(found.ends_with(other) && found.lines().count() == HEAD.lines().count() + 3, "{found}");
    }

    #[test]
    fn a_job_of_ours_that_was_changed_is_put_right_and_one_that_stands_twice_goes() {
        let changed =
            LINES.replace("--compress gzip", "--compress lzo").replace("0 2 * * 1  ", "0 3 * * 1  ");
        let twice = LINES.replace("--quiet 1 --mode snapshot", "-mode=snapshot  --quiet");
        let wanted = format!("{HEAD}{LINES}");
        for text in [changed, format!("{LINES}{LINES}"), format!("{LINES}{twice}")] {
            assert_eq!(
                corrected(Some(&format!("{HEAD}{text}")), &backup()).as_deref(),
                Some(wanted.as_str()),
                "{text}"
            );
        }
    }

    /// Jobs of a person that are like one of ours.
    const OTHERS: [&str; 8] = [
        "0 2 * * 1           root vzdump 100 101 --storage mfs-backup\n",
        "0 2 * * 1           root vzdump 100,101 --quiet 1 --storage mfs-backup\n",
        "0 2 * * 1           root vzdump 100 --quiet 1 --mode snapshot --compress 0 --storage local\n",
        "0 2 * * 7           root vzdump 101 --quiet 1 --all 1 --exclude 100 --storage a_mfs\n",
        "0 2 * * 7           root vzdump --quiet 1 --all 1 --exclude 100,101 --storage a_mfs\n",
        "#0 2 * * 1 root vzdump 100 --storage mfs-backup\n",
        "@daily root vzdump 100 --storage mfs-backup\n",
        "0 2 * * 1 root vzdump 100 --storage mfs-backup; poweroff\n",
    ];

    #[test]
    fn a_persons_job_for_other_guests_is_not_ours() {
        for other in OTHERS {
            let whole = format!("{HEAD}{other}{LINES}");
            assert_eq!(corrected(Some(&whole), &backup()), None, "{other}");
            assert_eq!(
                corrected(Some(&format!("{HEAD}{other}")), &backup()).as_deref(),
                Some(whole.as_str()),
                "{other}"
            );
        }
    }

    #[test]
    fn a_persons_second_job_for_the_same_guests_stays_where_ours_is_as_it_should_be() {
        let second = LINES.replace("0 2 * * 1 ", "0 2 * * 4 ").replace("0 2 * * 7 ", "0 2 * * 3 ");
        for text in [format!("{second}{LINES}"), format!("{LINES}{second}")] {
            assert_eq!(corrected(Some(&format!("{HEAD}{text}")), &backup()), None, "{text}");
        }
        // Where none is, it is the first that is put right.
        let third = second.replace("--quiet 1", "--quiet 0");
        assert_eq!(
            corrected(Some(&format!("{HEAD}{second}{third}")), &backup()),
            Some(format!("{HEAD}{LINES}{third}"))
        );
    }
}
