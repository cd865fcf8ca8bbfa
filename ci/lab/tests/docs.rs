//! The documents and the code say the same.

use std::collections::BTreeSet;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// All text files of the project that may cite facts.
fn sources() -> Vec<(String, String)> {
    let folders = ["builder", "firstboot", "ci", "overlay", "preseed", "docs"];
    let files =
        folders.iter().flat_map(|folder| walkdir::WalkDir::new(root().join(folder))).map(Result::unwrap);
    files
        .filter(|file| file.file_type().is_file())
        .filter_map(|file| {
            Some((file.path().display().to_string(), std::fs::read_to_string(file.path()).ok()?))
        })
        .collect()
}

#[test]
fn every_cited_fact_stands_in_the_facts() {
    let facts = std::fs::read_to_string(root().join("docs/facts.md")).unwrap();
    let sections: BTreeSet<&str> = facts
        .lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    let mut cited = 0;
    for (path, text) in sources() {
        for rest in text.split("docs/facts.md ").skip(1) {
            let section =
                rest.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap().trim_end_matches('.');
            if section.is_empty() {
                continue;
            }
            cited += 1;
            assert!(
                sections.contains(section),
                "{path}: found docs/facts.md {section}, which has no such section"
            );
        }
    }
    assert!(cited > 10, "only {cited} citations were seen: the search is broken");
}

#[test]
fn no_document_names_a_path_of_one_machine() {
    for (path, text) in sources() {
        assert!(!text.contains(concat!("../sha", "red")) && !text.contains(concat!("/wo", "rk/")), "{path}");
    }
}
