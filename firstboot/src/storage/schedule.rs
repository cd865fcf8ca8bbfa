//! `/etc/pve/vzdump.cron`: the two backup schedules of the site. Pure.
//!
//! Every node runs every line, for its own guests alone; so a schedule follows a guest to wherever it goes (docs/facts.md 19).

use std::collections::BTreeSet;

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
    /// Guests and options, each with its value.
    words: BTreeSet<String>,
}

/// The line as a job; nothing for every other one.
fn job(line: &str) -> Option<Job> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (time, rest) = words.split_at_checked(5)?;
    let ["root", "vzdump", rest @ ..] = rest else { return None };
    let mut found = BTreeSet::new();
    let mut rest = rest.iter().peekable();
    while let Some(word) = rest.next() {
        let value = if word.starts_with("--") { rest.next_if(|next| !next.starts_with("--")) } else { None };
        found.insert(value.map_or_else(|| (*word).to_owned(), |value| format!("{word} {value}")));
    }
    Some(Job { time: time.iter().map(|field| (*field).to_owned()).collect(), words: found })
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

/// Which of the two a job is: that of the gateway to its storage, or that of all others to theirs. Others are a person's.
fn role(job: &Job) -> Option<usize> {
    let has = |word: String| job.words.contains(&word);
    if has(GATEWAY.to_string()) && has(format!("--storage {GATEWAY_STORAGE}")) {
        Some(0)
    } else if has("--all 1".into())
        && has(format!("--exclude {GATEWAY}"))
        && has(format!("--storage {GUESTS_STORAGE}"))
    {
        Some(1)
    } else {
        None
    }
}

/// The file as it should be, or nothing if it is that already. Lines that are not ours stay where they are.
pub fn corrected(text: Option<&str>, backup: &Backup) -> Option<String> {
    let lines = lines(backup);
    let wanted = lines.each_ref().map(|line| job(line));
    let old = text.unwrap_or(HEAD);
    let mut seen = [false; 2];
    let mut new = String::new();
    for line in old.lines() {
        let found = job(line);
        match found.as_ref().and_then(role) {
            Some(at) if seen[at] => {}
            Some(at) => {
                seen[at] = true;
                new.push_str(if found == wanted[at] { line } else { &lines[at] });
                new.push('\n');
            }
            None => {
                new.push_str(line);
                new.push('\n');
            }
        }
    }
    for (line, _) in lines.iter().zip(seen).filter(|(_, seen)| !seen) {
        new.push_str(line);
        new.push('\n');
    }
    (text != Some(new.as_str())).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let changed = LINES.replace("--compress gzip", "--compress lzo");
        let wanted = format!("{HEAD}{LINES}");
        for text in [changed.clone(), format!("{LINES}{changed}"), format!("{LINES}{LINES}")] {
            assert_eq!(
                corrected(Some(&format!("{HEAD}{text}")), &backup()).as_deref(),
                Some(wanted.as_str())
            );
        }
    }
}
