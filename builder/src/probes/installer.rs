//! The vendor's installer: a known one, or one that uses nothing of Gtk3 that our front end lacks.

use super::{Finding, Level};
use crate::copy::hash_bytes;
use crate::iso9660::{Image, Kind};
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// The installer.
const PROXINSTALL: &str = "/usr/bin/proxinstall";
/// Largest script.
const MAX_SCRIPT: u64 = 4 << 20;

/// Known installers by SHA-256, named by version and commit of proxmox/pve-installer.
const KNOWN: [(&str, &str); 8] = [
    ("2ee293dc8ad8da86e364402dcf4ee4208bbd79f80c7d08242ab54973b928746f", "3.0 (848894f)"),
    ("c1c838f791a22bd6a01b93a755b31b6b8250fb7cd2159a0e29f07280469c031d", "3.1-1 early (77d3fd3)"),
    ("b0cd0290da3299ee4ad445305c3d230522f538d80c05aad2f1c70a9e07cf28d5", "3.1 (f91c161), expected in 3.2"),
    ("09fc29def1dd370a95c70528e0e4fc94548cef0b58651bcad88231297ae83739", "3.3-1 (cd0cff3)"),
    ("8917112a183c3017173e60de2f2690450f923c45e833cbb0b8c752bccb3d7422", "3.3 (21eb060)"),
    ("497e867395eb9069dbefbffb0bc4647c94c7777d6786d4df70d745706987a2a0", "3.3-2 (84761f9)"),
    ("c3e822271efc98b108e01f0c2dd12fb2fbc86654da1abc497d5dfde2568053b7", "3.3 (4a5dbe6)"),
    ("b046da4d2522ca3fed2628da1bf6d77b4a753ad59068c48cb989bb4556400f64", "3.4 (0bdc3d3)"),
];

/// What our front end offers, one item per line; its own tests read the same list.
const SURFACE: &str = include_str!("../../../preseed/surface.txt");
/// Methods of Perl's own file and select objects, which the installers use beside Gtk3's.
const PERL_METHODS: [&str; 18] = [
    "autoflush",
    "binmode",
    "blocking",
    "can_read",
    "can_write",
    "close",
    "count",
    "eof",
    "fileno",
    "flush",
    "getline",
    "getlines",
    "handles",
    "new",
    "opened",
    "print",
    "printf",
    "read",
];

/// Name of the installer, if known, and the finding.
pub fn probe(image: &Image) -> Result<(Option<&'static str>, Finding)> {
    let entry = image.resolve(PROXINSTALL).with_context(|| format!("{PROXINSTALL} is not on the image"))?;
    let script = image.read(entry, MAX_SCRIPT)?;
    let sum = hash_bytes(&script);
    let known = KNOWN.iter().find(|(known, _)| *known == sum).map(|(_, name)| *name);
    if let Some(name) = known {
        return Ok((known, Finding::new(0, "installer", Level::Ok, format!("known: {name}"))));
    }
    let unknown = uncovered(&String::from_utf8_lossy(&script));
    let (level, text) = if unknown.is_empty() {
        (Level::Note, format!("not a known one (SHA-256 {sum}), but it uses only what the front end offers"))
    } else {
        let list = unknown.into_iter().collect::<Vec<_>>().join(", ");
        (
            Level::Fatal,
            format!("not a known one (SHA-256 {sum}), and it uses what the front end has not: {list}"),
        )
    };
    Ok((None, Finding::new(0, "installer", level, text)))
}

/// Everything in the script that touches Gtk3 and is not in [`SURFACE`].
fn uncovered(script: &str) -> BTreeSet<String> {
    let offered: BTreeSet<&str> =
        SURFACE.lines().filter(|line| !line.starts_with('#')).map(str::trim).collect();
    let methods: BTreeSet<&str> = offered
        .iter()
        .filter_map(|line| line.strip_prefix("method ").or(line.strip_prefix("never ")))
        .filter_map(|line| line.split_whitespace().next_back())
        .chain(PERL_METHODS)
        .collect();
    let classes: BTreeSet<&str> =
        offered.iter().filter_map(|line| line.strip_prefix("method ")?.split_whitespace().next()).collect();
    let mut unknown = BTreeSet::new();
    for line in script.lines().filter(|line| !line.trim_start().starts_with('#')) {
        for (at, _) in line.match_indices("Gtk3") {
            let name = take(&line[at..], |c| is_word(c) || c == ':').trim_end_matches(':');
            let rest = &line[at + name.len()..];
            let item = if let Some(constant) = name.strip_prefix("Gtk3::Gdk::") {
                (!offered.contains(format!("const {constant}").as_str())).then(|| name.to_owned())
            } else if let Some(method) = rest.strip_prefix("->").map(|rest| take(rest, is_word)) {
                let line = format!("method {name} {method}");
                (!offered.contains(line.as_str())).then(|| format!("{name}->{method}"))
            } else if rest.starts_with('(') {
                // Later installers call Gtk3::main_iteration() as a function.
                let call = name.rsplit_once("::").map(|(class, method)| format!("method {class} {method}"));
                (!call.is_some_and(|call| offered.contains(call.as_str()))).then(|| format!("{name}()"))
            } else {
                (!classes.contains(name)).then(|| name.to_owned())
            };
            unknown.extend(item);
        }
        for (at, _) in line.match_indices("->") {
            let method = take(&line[at + 2..], is_word);
            if !method.is_empty() && !methods.contains(method) {
                unknown.insert(format!("->{method}"));
            }
        }
        for (at, _) in line.match_indices(".htm") {
            let start = line[..at].rfind(|c| !(is_word(c) || c == '-')).map_or(0, |found| found + 1);
            if line[..start].ends_with('$') {
                // The name is made at run time; the front end names an unknown page then.
                continue;
            }
            let page = format!("{}.htm", &line[start..at]);
            if start < at && !offered.contains(format!("page {page}").as_str()) {
                unknown.insert(page);
            }
        }
    }
    unknown
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn take(text: &str, accept: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !accept(c)).unwrap_or(text.len())]
}

/// Where perl is and whether a real Gtk3 is there, which ours must come before (probe 10).
pub fn perl(image: &Image) -> Finding {
    let name = "perl";
    if image.resolve("/usr/bin/perl").is_none_or(|entry| entry.kind != Kind::File) {
        return Finding::new(10, name, Level::Fatal, "/usr/bin/perl is not on the image");
    }
    let versions: Vec<_> = image
        .children("/usr/share/perl")
        .chain(image.children("/usr/lib/perl"))
        .map(crate::iso9660::Entry::name)
        .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let gtk: Vec<_> = image
        .entries()
        .filter(|entry| entry.path.ends_with("/Gtk3.pm"))
        .map(|entry| entry.path.as_str())
        .collect();
    let list = |items: Vec<&str>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let text = format!("versions: {}; Gtk3.pm: {}; ours comes first by PERL5LIB", list(versions), list(gtk));
    Finding::new(10, name, Level::Ok, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_front_end_offers_is_covered() {
        let script = "use Gtk3 '-init';\nuse Gtk3::WebKit;\nmy $w = Gtk3::Window->new('toplevel');\n\
            #my $f = Gtk3::Frame->new();\n$w->show_all(); $fh->close();\nGtk3::main_iteration();\n\
            if ($k == Gtk3::Gdk::KEY_Tab) {}\ndisplay_html ('page1.htm'); \"$dir/html/$x.htm\"\n";
        assert_eq!(uncovered(script), BTreeSet::new());
    }

    #[test]
    fn everything_else_is_named() {
        let script = "my $n = Gtk3::Notebook->new();\n$n->append_page($x);\nGtk3::Window->foo;\n\
            Gtk3::Gdk::KEY_F1;\ndisplay_html('summary.htm');\nGtk3::rest_in_peace();\nGtk3::Assistant;\n";
        let wanted = [
            "->append_page",
            "->foo",
            "Gtk3::Assistant",
            "Gtk3::Gdk::KEY_F1",
            "Gtk3::Notebook->new",
            "Gtk3::Window->foo",
            "Gtk3::rest_in_peace()",
            "summary.htm",
        ];
        assert_eq!(uncovered(script).iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    }
}
