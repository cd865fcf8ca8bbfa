//! Site files of `tests/site`: each gives exactly the findings, or the site, that lie beside it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cias_firstboot::site::tables::Tables;
use cias_firstboot::site::{self, Finding, Loaded};

struct Case {
    name: String,
    how: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site")
}

fn cases(kind: &str) -> Vec<Case> {
    let index = fs::read_to_string(folder().join("INDEX")).unwrap();
    let lines = index.lines().filter(|line| line.starts_with(kind));
    let case = |line: &str| {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(fields.len(), 3, "INDEX: {line}");
        Case { name: fields[0].to_owned(), how: fields[1].to_owned() }
    };
    lines.map(case).collect()
}

/// Puts the files of a case into a folder of their own, with their modes, and reads them as the programs do.
fn examine(case: &Case) -> Result<Loaded, Vec<Finding>> {
    let work = tempfile::tempdir().unwrap();
    let put = |from: PathBuf, to: &str, open: bool| {
        let to = work.path().join(to);
        fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        fs::set_permissions(&to, Permissions::from_mode(if open { 0o644 } else { 0o600 })).unwrap();
        to
    };
    let own = folder().join(format!("{}.secrets.toml", case.name));
    let second = if own.exists() { own } else { folder().join("secrets.toml") };
    put(second, "secrets.toml", case.how == "mode2");
    // With its secrets elsewhere, the first file may be read by all.
    let open = case.how.starts_with("mode");
    let first = put(folder().join(format!("{}.toml", case.name)), "site.toml", open);
    let tables = Tables {
        country: fs::read_to_string(folder().join("country.dat")).unwrap(),
        zones: fs::read_to_string(folder().join("zone.tab")).unwrap(),
    };
    let result = site::examine(&first).unwrap().and_then(|loaded| {
        let findings = if case.how == "tables" { loaded.against(&tables) } else { Vec::new() };
        if findings.is_empty() { Ok(loaded) } else { Err(findings) }
    });
    let strip = |text: String| text.replace(&format!("{}/", work.path().display()), "");
    result.map_err(|findings| {
        let strip = |mut finding: Finding| {
            for text in [&mut finding.file, &mut finding.found, &mut finding.wanted] {
                *text = strip(std::mem::take(text));
            }
            finding
        };
        findings.into_iter().map(strip).collect()
    })
}

fn compare(file: &Path, found: &str) {
    if std::env::var_os("CIAS_WRITE_FIXTURES").is_some() {
        fs::write(file, found).unwrap();
    }
    let wanted = fs::read_to_string(file).unwrap_or_default();
    assert_eq!(found, wanted, "{}", file.display());
}

#[test]
fn every_bad_site_gives_exactly_its_findings() {
    for case in cases("bad/") {
        let findings = examine(&case).err().unwrap_or_else(|| panic!("{} passes", case.name));
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        compare(&folder().join(format!("{}.txt", case.name)), &(lines.join("\n") + "\n"));
    }
}

#[test]
fn every_good_site_is_read_as_it_is_meant() {
    for case in cases("good/") {
        let loaded = examine(&case).unwrap_or_else(|findings| panic!("{}: {findings:#?}", case.name));
        let json = serde_json::to_string_pretty(&loaded.site).unwrap() + "\n";
        compare(&folder().join(format!("{}.json", case.name)), &json);
    }
}

#[test]
fn merged_sites_need_no_second_file_and_say_the_same() {
    for case in cases("good/") {
        let loaded = examine(&case).unwrap();
        let merged = site::from_text(&loaded.text).unwrap();
        assert_eq!(
            serde_json::to_string(&merged).unwrap(),
            serde_json::to_string(&loaded.site).unwrap(),
            "{}",
            case.name
        );
        assert_eq!(merged.secrets.join_key, loaded.site.secrets.join_key, "{}", case.name);
        assert_eq!(merged.site.root_password_hash, loaded.site.site.root_password_hash, "{}", case.name);
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let secrets = fs::read_to_string(folder().join("secrets.toml")).unwrap();
    let values = secrets.split(['"', '\n']).filter(|part| part.len() >= 8 && !part.contains([' ', '=', '[']));
    let values: Vec<&str> = values.filter(|part| !part.contains("AAAAE2VjZHNh")).collect();
    assert!(values.len() > 6, "{values:?}");
    for file in
        fs::read_dir(folder().join("bad")).unwrap().chain(fs::read_dir(folder().join("good")).unwrap())
    {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            let text = fs::read_to_string(&path).unwrap();
            for value in values.iter().chain(&["hunter2", "$y$j9T"]) {
                assert!(!text.contains(value), "{value} in {}", path.display());
            }
        }
    }
}

#[test]
fn the_index_names_every_site_once_and_no_file_is_left_over() {
    let listed: Vec<String> = ["bad/", "good/"].into_iter().flat_map(cases).map(|case| case.name).collect();
    assert!(listed.is_sorted_by(|a, b| a < b), "the INDEX is in order, and each name stands in it once");
    let mut wanted = BTreeSet::new();
    for name in &listed {
        wanted.insert(format!("{name}.toml"));
        wanted.insert(format!("{name}.{}", if name.starts_with("bad/") { "txt" } else { "json" }));
    }
    let mut there = BTreeSet::new();
    for kind in ["bad", "good"] {
        for file in fs::read_dir(folder().join(kind)).unwrap() {
            there.insert(format!("{kind}/{}", file.unwrap().file_name().into_string().unwrap()));
        }
    }
    // A second file of its own is optional, but it belongs to a site.
    wanted
        .extend(listed.iter().map(|name| format!("{name}.secrets.toml")).filter(|name| there.contains(name)));
    assert_eq!(there, wanted);
    let count = |kind: &str| listed.iter().filter(|name| name.starts_with(kind)).count();
    assert!(count("bad/") >= 98 && count("good/") >= 10, "{} bad, {} good", count("bad/"), count("good/"));
}

#[test]
fn each_bad_site_shows_something_of_its_own() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for case in cases("bad/") {
        let text = fs::read_to_string(folder().join(format!("{}.txt", case.name))).unwrap();
        if let Some(other) = seen.insert(text, case.name.clone()) {
            panic!("{} and {other} give the same findings", case.name);
        }
    }
}

#[test]
fn damaged_text_gives_findings_and_never_a_panic() {
    let text = fs::read_to_string(folder().join("good/one-file-rsa.toml")).unwrap();
    let extra = fs::read_to_string(folder().join("good/everything.toml")).unwrap();
    for text in [text, extra] {
        for (at, character) in text.char_indices().step_by(31) {
            // Cut off, and with another character in its place.
            let rest = &text[at + character.len_utf8()..];
            let damaged = ["", "\"", "[", "=", "\n", "\u{20ac}", "\0"]
                .map(|other| format!("{}{other}{rest}", &text[..at]));
            for damaged in damaged.iter().map(String::as_str).chain([&text[..at]]) {
                let lines = damaged.matches('\n').count() + 1;
                for finding in site::from_text(damaged).err().unwrap_or_default() {
                    assert!((1..=lines).contains(&finding.line), "{finding} in {lines} lines");
                }
            }
        }
    }
}
