//! The same inputs give the same bytes, whoever builds, wherever and whenever.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use cias_builder::iso9660::{BLOCK, Kind};

use crate::bench::Bench;
use crate::common;

/// The day on which Proxmox VE 3.2 came out, in seconds since 1970.
const RELEASE: u64 = 1_394_409_600;
/// Whom nothing belongs to.
const NOBODY: u32 = 65534;

/// What surrounds a build and must not show.
struct Around {
    name: &'static str,
    umask: &'static str,
    variables: &'static [(&'static str, &'static str)],
    /// In which order the packages are made, and which folder is named first.
    backwards: bool,
    /// Seconds since 1970 at which all inputs were written.
    written: u64,
    /// Built by another user; only root can try.
    nobody: bool,
}

const AROUND: [Around; 3] = [
    Around {
        name: "one",
        umask: "022",
        variables: &[("TZ", "UTC"), ("LC_ALL", "C")],
        backwards: false,
        written: RELEASE,
        nobody: false,
    },
    Around {
        name: "two/with a blank",
        umask: "077",
        variables: &[
            ("TZ", "Asia/Tokyo"),
            ("LC_ALL", "C.UTF-8"),
            ("HOME", "/nonexistent"),
            ("USER", "somebody"),
            ("SOURCE_DATE_EPOCH", "1"),
            ("TMPDIR", "."),
        ],
        backwards: true,
        written: RELEASE + 400 * 86_400,
        nobody: false,
    },
    Around {
        name: "three",
        umask: "000",
        variables: &[("TZ", "America/New_York"), ("USER", "nobody"), ("LOGNAME", "nobody")],
        backwards: true,
        written: 1,
        nobody: true,
    },
];

fn set_date(path: &Path, seconds: u64) {
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let times = FileTimes::new().set_accessed(date).set_modified(date);
    File::open(path).unwrap().set_times(times).unwrap();
}

/// Copies the bench's inputs into a folder of their own, with packages, and builds there.
fn build(bench: &Bench, around: &Around) -> Vec<u8> {
    let folder = bench.path().join(around.name);
    let mut packages: Vec<(&str, String)> =
        ["b", "c", "a"].iter().zip(["x", "y", "x"]).map(|(name, dir)| (dir, (*name).to_owned())).collect();
    if around.backwards {
        packages.reverse();
    }
    for (dir, name) in &packages {
        common::put(&folder, &format!("{dir}/{name}_1_amd64.deb"), 0o644, &common::deb(name, "1"));
    }
    for (name, mode) in [("in.iso", 0o444), ("site.toml", 0o600), ("cias-firstboot", 0o644)] {
        common::put(&folder, name, mode, &bench.bytes(name));
    }
    // A target folder may lie where nobody else gets to.
    fs::copy(env!("CARGO_BIN_EXE_cias-builder"), folder.join("builder")).unwrap();
    for entry in walkdir::WalkDir::new(&folder).contents_first(true) {
        let path = entry.unwrap().into_path();
        if around.nobody {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        set_date(&path, around.written);
    }
    let folders = if around.backwards { ["y", "x"] } else { ["x", "y"] };
    let line = format!(
        "umask {}; exec ./builder build --iso in.iso --site site.toml --firstboot cias-firstboot \
         --packages {} --packages {} --out out.iso",
        around.umask, folders[0], folders[1]
    );
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(&folder).envs(around.variables.iter().copied());
    if around.nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}: {}", around.name, String::from_utf8_lossy(&output.stderr));
    let made = folder.join("out.iso");
    assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, 0o600, "{}", around.name);
    fs::read(made).unwrap()
}

#[test]
fn builds_on_other_days_by_other_users_in_other_folders_give_the_same_bytes() {
    let bench = Bench::new();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    fs::set_permissions(bench.path(), Permissions::from_mode(0o755)).unwrap();
    let mut first: Option<Vec<u8>> = None;
    for around in &AROUND {
        if around.nobody && !is_root {
            println!("skipped: to build as another user needs root");
            continue;
        }
        // In another second, so that a date of the clock would show.
        let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        while SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() == start {
            std::thread::yield_now();
        }
        let made = build(&bench, around);
        match &first {
            None => first = Some(made),
            Some(first) => assert!(*first == made, "{} differs", around.name),
        }
    }
}

/// Today as on an image: eight digits, and the three bytes of a directory record (ECMA-119, 8.4.26.1 and 9.1.5).
fn today() -> (String, [u8; 3]) {
    let output = Command::new("date").args(["-u", "+%Y%m%d"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let number = |from: usize, to: usize| text[from..to].parse::<u16>().unwrap();
    let bytes = [number(0, 4) - 1900, number(4, 6), number(6, 8)].map(|part| u8::try_from(part).unwrap());
    (text, bytes)
}

#[test]
fn no_date_on_the_image_is_of_the_day_of_the_build() {
    let bench = Bench::new();
    let tree = bench.path().join("tree");
    fs::remove_file(bench.path().join("in.iso")).unwrap();
    common::master_at(bench.path(), &tree, Some(RELEASE));
    let day = today();
    let image = bench.built();
    let mut bytes = bench.bytes("out.iso");
    // Files are ruled out: what they hold is the same on all days, or the other test fails.
    for entry in image.entries().filter(|entry| entry.kind == Kind::File) {
        for extent in &entry.extents {
            let start = usize::try_from(u64::from(extent.block) * BLOCK).unwrap();
            bytes[start..start + usize::try_from(extent.bytes).unwrap()].fill(0);
        }
    }
    for (text, short) in [day, today()] {
        let found = bytes.windows(8).position(|window| window == text.as_bytes());
        assert_eq!(found, None, "{text} in a descriptor");
        let found = bytes.windows(3).position(|window| window == short);
        assert_eq!(found, None, "{short:?} in a directory");
    }
    let release = [114, 3, 10];
    assert!(bytes.windows(3).filter(|window| *window == release).count() > 100, "no dates at all");
}
