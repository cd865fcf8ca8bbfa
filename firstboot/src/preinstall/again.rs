//! Is a decision still right? What a person had the time to read and to stop must be what is done. Pure.

use super::Decision;
use crate::facts::disks::{Disk, human};
use crate::outcome::Class;

/// Refuses if `now`, made of facts that were read after the countdown, is another decision than `before`. Other disks may
/// change as long as the choice and the guards, which `now` has passed, come to the same.
pub fn same(before: &Decision, now: &Decision) -> anyhow::Result<()> {
    let shown = before.disk.path.display();
    let difference = if before.disk.path != now.disk.path {
        Some(format!("{shown} was chosen, and now {} would be", now.disk.path.display()))
    } else if let Some(difference) = difference(&before.disk, &now.disk) {
        Some(format!("{shown} is no longer as it was when it was chosen: {difference}"))
    } else if before.groups != now.groups {
        Some(format!("the volume groups on {shown} are no longer as they were when it was chosen"))
    } else if before.carries != now.carries {
        Some(format!("the installations on {shown} are no longer as they were when it was chosen"))
    } else if before.answers != now.answers {
        Some("the answers for the installer are no longer as they were".to_owned())
    } else {
        None
    };
    difference.map_or(Ok(()), |difference| {
        Err(Class::Refused.error(format!("{difference}: nothing was written; start again")))
    })
}

/// The first difference between two states of one disk, in words.
pub fn difference(before: &Disk, now: &Disk) -> Option<String> {
    let differs = facts(before).into_iter().zip(facts(now)).find(|(was, is)| was != is);
    match differs {
        Some(((what, was), (_, is))) => Some(format!("its {what}: found {is}, before it was {was}")),
        None if before != now => Some("a flag of it, or where something on it lies".into()),
        None => None,
    }
}

fn facts(disk: &Disk) -> Vec<(&'static str, String)> {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".into());
    let list = |list: Vec<String>| if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
    let parts = disk.partitions.iter().map(|part| format!("{} of {}", part.name, human(part.size)));
    let content = disk.signatures().map(|found| match &found.uuid {
        Some(uuid) => format!("{found} ({uuid})"),
        None => found.to_string(),
    });
    let used = disk.mounts.iter().chain(&disk.holders).cloned();
    vec![
        ("device number", disk.number.clone()),
        ("size in bytes", disk.size.to_string()),
        ("serial number", known(&disk.serial)),
        ("model", known(&disk.model)),
        ("partitions", list(parts.collect())),
        ("content", list(content.collect())),
        ("users", list(used.collect())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::disks::Contents;
    use crate::facts::disks::testing::{disk, partition, signature};
    use crate::signatures::Kind;

    #[test]
    fn every_fact_of_a_disk_counts() {
        let base = disk("sda", 10);
        assert_eq!(difference(&base, &base.clone()), None);
        let with = |kind| Contents::Read(vec![signature(kind)]);
        for (now, wanted) in [
            (
                Disk { number: "8:16".into(), ..base.clone() },
                "its device number: found 8:16, before it was 8:0",
            ),
            (Disk { size: 512, ..base.clone() }, "its size in bytes: found 512, before it was 10737418240"),
            (
                Disk { serial: Some("A".into()), ..base.clone() },
                "its serial number: found A, before it was unknown",
            ),
            (
                Disk { contents: with(Kind::Xfs), ..base.clone() },
                "its content: found xfs, before it was nothing",
            ),
            (
                Disk { partitions: vec![partition("sda1", Vec::new())], ..base.clone() },
                "its partitions: found sda1 of 1.0 GB, before it was nothing",
            ),
            (
                Disk { holders: vec!["md0".into()], ..base.clone() },
                "its users: found md0, before it was nothing",
            ),
            (Disk { swap: true, ..base.clone() }, "a flag of it, or where something on it lies"),
            (Disk { read_only: true, ..base.clone() }, "a flag of it, or where something on it lies"),
        ] {
            assert_eq!(difference(&base, &now).as_deref(), Some(wanted));
        }
    }
}
