//! Documents that are made from the code: rewritten on demand, else compared.

use std::path::{Path, PathBuf};

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Holds the file `path` of the project against `wanted`, or writes it if `CIAS_WRITE_DOCS` is set. `test` is the name of
/// the test program, for the way out.
pub fn hold(path: &str, wanted: &str, test: &str) {
    let file = root().join(path);
    if std::env::var_os("CIAS_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let pairs = found.lines().zip(wanted.lines());
    let line = 1 + pairs.take_while(|(found, wanted)| found == wanted).count();
    assert!(
        found == wanted,
        "{path} is not what the code says (line {line}); `CIAS_WRITE_DOCS=1 cargo test -p lab --test {test}` writes it anew"
    );
}
