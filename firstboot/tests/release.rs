//! The binary as it is shipped. `ci/test` builds it and runs these with `-- --ignored`; by hand:
//! `cargo build --release --target x86_64-unknown-linux-musl -p cias-firstboot`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIMIT: usize = 8 << 20;

/// Kinds of program headers (`p_type` in the ELF specification).
const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;

fn binary() -> PathBuf {
    if let Some(shipped) = std::env::var_os("CIAS_SHIPPED") {
        return shipped.into();
    }
    let built = PathBuf::from(env!("CARGO_BIN_EXE_cias-firstboot"));
    let target = built.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
    target.join("x86_64-unknown-linux-musl/release/cias-firstboot")
}

#[test]
#[ignore = "needs the release binary"]
fn it_is_small_and_needs_no_loader() {
    let bytes = std::fs::read(binary()).unwrap();
    assert!(bytes.len() <= LIMIT, "{} bytes, wanted at most {LIMIT}", bytes.len());
    let number = |at: usize, width: usize| {
        bytes[at..at + width].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (start, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    for index in 0..count {
        let kind = u32::try_from(number(start + index * size, 4)).unwrap();
        assert!(kind != DYNAMIC && kind != INTERPRETER, "program header {index} is of kind {kind}");
    }
}

#[test]
#[ignore = "needs the release binary, and root to change the root folder"]
fn without_proc_null_and_urandom_it_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(binary(), folder.path().join("cias")).unwrap();
    std::fs::set_permissions(folder.path().join("cias"), PermissionsExt::from_mode(0o755)).unwrap();
    // Plain files are enough: the program only looks whether they are there.
    for (missing, present) in
        [("/proc/self", None), ("/dev/null", Some("proc/self")), ("/dev/urandom", Some("dev/null"))]
    {
        if let Some(present) = present {
            let path = folder.path().join(present);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let output = Command::new("chroot").arg(folder.path()).args(["/cias", "status"]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with(&format!("error: {missing} is missing")), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(output.status.code(), Some(1));
    }
}
