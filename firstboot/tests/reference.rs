//! docs/site.md: every key that the reader of site files knows, with what it wants, asked of the reader itself; the defaults
//! come from the file that `cias-builder init` writes. `CIAS_WRITE_DOCS=1` writes it anew.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use cias_firstboot::site;

const HEAD: &str = "# site.toml

Everything that the servers of one cluster share. `cias-builder init` writes the file, `cias-builder check` names all that is wrong with it,
with line and column. Unknown keys are errors. The first line is `schema = 1`.

A file with secrets must have the mode 0600. `site.secrets_file` names a second file in the same folder that holds
`site.root_password_hash` and `[site.secrets]`; then this one may be read by all. It names no other folder, so that no site file
makes its reader open something elsewhere; a link of that name may lead to where secrets are kept.

Both are plain files of at most 256 KiB, as text in UTF-8; a byte order mark and the line ends of Windows do no harm. What `check`
says about them shows neither secrets nor what has the look of one, and no character that would drive a terminal.

Made by `CIAS_WRITE_DOCS=1 cargo test -p cias-firstboot --test reference` from the reader itself.
";

/// The defaults that stand in the comments of the file that `init` writes.
fn defaults() -> BTreeMap<String, String> {
    let mut defaults = BTreeMap::new();
    let mut table = String::new();
    for line in include_str!("../../overlay/templates/site.toml").lines() {
        let line = line.strip_prefix("@secrets@").unwrap_or(line);
        if let Some(name) = line.strip_prefix("[") {
            table = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, value)) = line.strip_prefix("# ").and_then(|rest| rest.split_once(" = ")) {
            defaults.insert(format!("{table}{key}"), value.to_owned());
        }
    }
    defaults
}

fn meanings() -> BTreeMap<&'static str, &'static str> {
    include_str!("support/meanings.txt").lines().map(|line| line.split_once(" | ").unwrap()).collect()
}

/// What the reader wants at `path`, when `value` stands there; `tables` are the headers in front of it.
fn wanted(tables: &str, key: &str, path: &str, value: &str) -> Option<String> {
    let text = format!("schema = 1\n{tables}{key} = {value}\n");
    let findings = site::from_text(&text).unwrap_err();
    findings.into_iter().find(|finding| finding.key == path).map(|finding| finding.wanted)
}

fn walk(headers: &str, path: &str, rows: &mut Vec<(String, Vec<(String, String)>)>) {
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let all = wanted(headers, "qqqqqqqq", &inner("qqqqqqqq"), "1").unwrap();
    let keys: Vec<&str> = all.strip_prefix("one of: ").unwrap().split(", ").collect();
    let at = rows.len();
    rows.push((path.to_owned(), Vec::new()));
    for key in keys.into_iter().filter(|key| *key != "schema") {
        let path = inner(key);
        let kind = wanted(headers, key, &path, "2026-11-23").unwrap_or_else(|| panic!("{path} takes a date"));
        if kind.starts_with("no such section") {
            continue;
        }
        let table = kind.strip_prefix("a table: [").map(|rest| format!("[{rest}"));
        let tables = kind.strip_prefix("tables: [[").map(|rest| format!("[[{rest}"));
        if let Some(header) = table.or(tables) {
            // Below an array of tables a header belongs to its last table.
            walk(&format!("{headers}{header}\n"), &path, rows);
            continue;
        }
        let bad = if kind.contains("list") { "[\"\\u0001\"]" } else { "\"\\u0001\"" };
        let narrow = wanted(headers, key, &path, bad).filter(|text| !text.contains("merged into"));
        let text = narrow.filter(|text| text.len() > 3).unwrap_or(kind);
        rows[at].1.push((key.to_owned(), text));
    }
}

#[test]
fn the_reference_names_every_key_that_the_reader_knows() {
    let mut tables = Vec::new();
    walk("", "", &mut tables);
    let (defaults, mut meanings) = (defaults(), meanings());
    let mut text = HEAD.to_owned();
    for (path, rows) in tables.iter().filter(|(path, rows)| !path.is_empty() && !rows.is_empty()) {
        let header = if path == "nas" || path == "nodes.machine" {
            format!("[[{path}]]")
        } else {
            format!("[{path}]")
        };
        write!(text, "\n## `{header}`\n\n| key | meaning | wanted | default |\n|---|---|---|---|\n").unwrap();
        for (key, wanted) in rows {
            let path = format!("{path}.{key}");
            let meaning = meanings
                .remove(path.as_str())
                .unwrap_or_else(|| panic!("{path} has no line in tests/support/meanings.txt"));
            let wanted = if key == "secrets_file" {
                "the name of a file in the same folder, without a folder before it"
            } else {
                wanted
            };
            let default = defaults.get(&path).map_or(String::new(), |value| format!("`{value}`"));
            writeln!(text, "| `{key}` | {meaning} | {} | {default} |", wanted.replace('*', "\\*")).unwrap();
        }
    }
    assert!(meanings.is_empty(), "the reader does not know {:?}", meanings.keys());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/site.md");
    if std::env::var_os("CIAS_WRITE_DOCS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let way_out = "docs/site.md is not what the reader says: CIAS_WRITE_DOCS=1 cargo test -p cias-firstboot --test reference";
    assert!(found == text, "{way_out}");
}
