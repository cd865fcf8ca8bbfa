//! Documents that are made from the code: rewritten on demand, else compared.
#![allow(dead_code, reason = "each test program uses its part")]

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

/// The same for the part of a file after `<!-- generated: NAME -->` and before `<!-- end -->`.
pub fn hold_part(path: &str, name: &str, wanted: &str, test: &str) {
    let found = std::fs::read_to_string(root().join(path)).unwrap();
    let (before, rest) = found.split_once(&format!("<!-- generated: {name} -->\n")).unwrap();
    let (_, after) = rest.split_once("<!-- end -->\n").unwrap();
    hold(path, &format!("{before}<!-- generated: {name} -->\n{wanted}<!-- end -->\n{after}"), test);
}
