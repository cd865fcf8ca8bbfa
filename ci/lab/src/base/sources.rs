//! The machine's own package sources, as a `packages.toml` has them. Which mirror the lab uses is never written down here.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

/// One archive that apt knows here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    uri: String,
    suite: String,
    components: Vec<String>,
    /// The file named by `Signed-By`.
    key: Option<String>,
}

/// What a list of apt's says: stanzas (deb822), or one source a line. Sources without components are left out.
pub fn parse(text: &str) -> Vec<Source> {
    let plain: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    if plain.iter().any(|line| line.starts_with("URIs:")) {
        return plain.join("\n").split("\n\n").flat_map(stanza).collect();
    }
    plain.into_iter().filter_map(line).collect()
}

fn stanza(text: &str) -> Vec<Source> {
    let fields: BTreeMap<&str, Vec<&str>> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.split_whitespace().collect()))
        .collect();
    let words = |name: &str| fields.get(name).cloned().unwrap_or_default();
    if !words("Types").contains(&"deb") || words("Enabled") == ["no"] {
        return Vec::new();
    }
    let key = words("Signed-By").first().filter(|key| key.starts_with('/')).map(|key| (*key).to_owned());
    let components: Vec<String> = words("Components").into_iter().map(str::to_owned).collect();
    let source = |uri: &str, suite: &str| Source {
        uri: uri.to_owned(),
        suite: suite.to_owned(),
        components: components.clone(),
        key: key.clone(),
    };
    let uris = words("URIs");
    let all = uris.iter().flat_map(|uri| words("Suites").into_iter().map(|suite| source(uri, suite)));
    all.filter(|source| !source.components.is_empty()).collect()
}

/// `deb [option=value ...] URI SUITE COMPONENT ...`
fn line(text: &str) -> Option<Source> {
    let rest = text.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    let components: Vec<String> = words.collect();
    let key = key.map(str::to_owned);
    (!components.is_empty()).then_some(Source { uri, suite, components, key })
}

/// A `packages.toml` for a profile and `more` packages. `keys` sign the sources that name none themselves. With
/// `expired` the machine does not look at the dates of its archives either.
pub fn request(
    sources: &[Source],
    keys: &[String],
    (profile, more): (Option<&str>, &[&str]),
    expired: bool,
) -> Result<String> {
    let mut document = DocumentMut::new();
    document["schema"] = value(1);
    if let Some(profile) = profile {
        document["profile"] = value(profile);
    }
    document["packages"] = value(more.iter().copied().collect::<Array>());
    let mut array = ArrayOfTables::new();
    for (number, Source { uri, suite, components, key }) in sources.iter().enumerate() {
        let mut table = Table::new();
        table["name"] = value(format!("debian-{}", number + 1));
        table["uri"] = value(uri);
        table["suite"] = value(suite);
        table["components"] = value(components.iter().collect::<Array>());
        let keys = key.as_ref().map_or(keys, std::slice::from_ref);
        table["keys"] = value(keys.iter().collect::<Array>());
        table["allow_expired"] = value(expired);
        array.push(table);
    }
    array
        .get(0)
        .context("finding package sources of this machine, wanted a list below /etc/apt with Debian's")?;
    document["source"] = Item::ArrayOfTables(array);
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suite: &str, components: &[&str], key: Option<&str>) -> Source {
        let components = components.iter().map(|&name| name.to_owned()).collect();
        Source { uri: uri.into(), suite: suite.into(), components, key: key.map(str::to_owned) }
    }

    #[test]
    fn both_forms_of_a_list_are_read() {
        let stanzas = "Types: deb\n# a comment\nURIs: http://mirror.example.com/debian\nSuites: bookworm bookworm-updates\n\
                       Components: main\nSigned-By: /usr/share/keyrings/debian.gpg\n\n\
                       Types: deb-src\nURIs: http://mirror.example.com/debian\nSuites: bookworm\nComponents: main\n\n\
                       Types: deb\nEnabled: no\nURIs: http://other.example.com\nSuites: a\nComponents: b\n";
        let key = Some("/usr/share/keyrings/debian.gpg");
        let uri = "http://mirror.example.com/debian";
        let wanted =
            [source(uri, "bookworm", &["main"], key), source(uri, "bookworm-updates", &["main"], key)];
        assert_eq!(parse(stanzas), wanted);
        let lines = "# deb http://mirror.example.com/debian bookworm main\n\
                     deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example.com/debian bookworm main contrib\n\
                     deb-src http://mirror.example.com/debian bookworm main\ndeb file:///srv ./\n";
        assert_eq!(parse(lines), [source(uri, "bookworm", &["main", "contrib"], key)]);
    }

    #[test]
    fn the_builder_takes_what_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.asc");
        std::fs::write(&key, "-----BEGIN PGP PUBLIC KEY BLOCK-----\n").unwrap();
        let keys = [key.display().to_string()];
        let sources = [
            source("http://mirror.example.com/debian", "bookworm", &["main"], Some(&keys[0])),
            source("http://mirror.example.com/debian-security", "bookworm-security", &["main"], None),
        ];
        let path = folder.path().join("packages.toml");
        for profile in [None, Some("lab")] {
            let asked = request(&sources, &keys, (profile, &["ethtool"]), true).unwrap();
            std::fs::write(&path, asked).unwrap();
            let found = cias_builder::packages::request::load(&path, "x").unwrap();
            assert_eq!((found.sources.len(), found.packages.len()), (2, 1));
            assert_eq!(found.profile.as_deref(), profile);
            assert!(found.sources.iter().all(|source| source.allow_expired && source.keys == [key.clone()]));
        }
        assert!(request(&[], &keys, (None, &["ethtool"]), false).is_err());
    }
}
