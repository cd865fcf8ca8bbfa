//! Which archive is the newest one that is finished. Pure.

use crate::storage::schedule::GATEWAY;

/// How many digits each part of the time has, and what stands behind it: `2014_03_10-02_00_01`.
const TIME: [(usize, &str); 6] = [(4, "_"), (2, "_"), (2, "-"), (2, "_"), (2, "_"), (2, "")];

/// The newest by the time in its name; uncompressed ones alone, as the schedule makes them. A `.dat` or `.tmp` of that time is one that is not
/// finished, or was cut off (docs/facts.md 19).
pub fn newest(names: &[String]) -> Option<&str> {
    let is_open = |time: &str| {
        let with = |end: &str| format!("vzdump-qemu-{GATEWAY}-{time}.{end}");
        names.iter().any(|name| *name == with("dat") || *name == with("tmp"))
    };
    // Equal widths: the order of the texts is that of the times.
    let all = names.iter().filter_map(|name| Some((time(name)?, name.as_str())));
    all.filter(|(time, _)| !is_open(time)).max().map(|(_, name)| name)
}

fn time(name: &str) -> Option<&str> {
    let time = name.strip_prefix(&format!("vzdump-qemu-{GATEWAY}-"))?.strip_suffix(".vma")?;
    let mut rest = time;
    for (digits, end) in TIME {
        let (number, more) = rest.split_at_checked(digits)?;
        rest = more.strip_prefix(end)?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    }
    rest.is_empty().then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &str) -> Option<String> {
        let names: Vec<String> = names.split(' ').map(str::to_owned).collect();
        newest(&names).map(str::to_owned)
    }

    #[test]
    fn the_newest_that_is_finished_is_taken() {
        let (old, new) =
            ("vzdump-qemu-100-2014_03_03-02_00_01.vma", "vzdump-qemu-100-2014_03_10-02_00_01.vma");
        let stem = "vzdump-qemu-100-2014_03_10-02_00_01";
        for (names, wanted) in [
            (format!("{new} {old}"), Some(new)),
            (format!("{old} {new} {stem}.log"), Some(new)),
            (format!("{old} {stem}.dat"), Some(old)),
            (format!("{old} {new} {stem}.dat"), Some(old)),
            (format!("{old} {new} {stem}.tmp"), Some(old)),
            (format!("{stem}.vma.gz {stem}.log"), None),
            (old.replace("-100-", "-1001-"), None),
            (old.replace("2014", "14"), None),
            (old.replace(".vma", "-x.vma"), None),
            (old.replace("2014", "2O14"), None),
            (String::new(), None),
        ] {
            assert_eq!(of(&names).as_deref(), wanted, "{names}");
        }
    }
}
