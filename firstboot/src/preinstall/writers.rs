//! Which processes write to a raw disk: a virtual machine that was given one opens it without a claim that the kernel would
//! defend.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::stat::{major, minor};

use crate::system::Sysroot;

/// The access mode in the flags of an open file; zero means that it is only read.
const ACCESS: u32 = 0o3;

/// The processes that have one of the devices `numbers` (`MAJOR:MINOR`) open for writing, as `NAME (process PID)`. We and
/// what we started are left out: a command that another thread starts has our files, too, until it runs.
pub fn find(root: &Sysroot, numbers: &[&str]) -> Vec<String> {
    let own = std::process::id();
    let writes = |pid: &str| {
        let files = root.names(&format!("/proc/{pid}/fd"));
        files.iter().any(|file| is_written(root, pid, file, numbers))
    };
    let pids = root.names("/proc").into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    pids.filter_map(|pid| {
        let (name, parent) = name_and_parent(&root.attribute(&format!("/proc/{pid}/stat"))?)?;
        let ours = pid == own.to_string() || parent == own;
        (!ours && writes(&pid)).then(|| format!("{name} (process {pid})"))
    })
    .collect()
}

/// `PID (NAME) STATE PARENT ...`; the name may hold blanks and brackets.
fn name_and_parent(line: &str) -> Option<(String, u32)> {
    let (start, rest) = line.rsplit_once(") ")?;
    let name = start.split_once('(')?.1.chars().filter(|c| !c.is_control()).collect();
    Some((name, rest.split(' ').nth(1)?.parse().ok()?))
}

fn is_written(root: &Sysroot, pid: &str, file: &str, numbers: &[&str]) -> bool {
    let link = root.path(&format!("/proc/{pid}/fd/{file}"));
    // Only what lies below /dev is asked: a file on a server that does not answer would hold us up.
    let device = std::fs::read_link(&link).is_ok_and(|target| target.starts_with("/dev"));
    device && number(&link).is_some_and(|found| numbers.contains(&found.as_str())) && {
        let told = root.attribute(&format!("/proc/{pid}/fdinfo/{file}")).unwrap_or_default();
        let flags = told.lines().find_map(|line| line.strip_prefix("flags:"));
        // In doubt it writes.
        flags
            .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
            .is_none_or(|flags| flags & ACCESS != 0)
    }
}

fn number(link: &Path) -> Option<String> {
    let found = std::fs::metadata(link).ok()?;
    found.file_type().is_block_device().then(|| format!("{}:{}", major(found.rdev()), minor(found.rdev())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_is_read() {
        assert_eq!(name_and_parent("7 (a (b) c) S 3 7 7"), Some(("a (b) c".into(), 3)));
        assert_eq!(name_and_parent("7"), None);
    }
}
