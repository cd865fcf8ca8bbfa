//! Licences, sources and bans of everything that is built (ci/deny.toml).
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::Command;

use serde_json::Value;

fn packages() -> Vec<Value> {
    let output =
        Command::new(env!("CARGO")).args(["metadata", "--format-version", "1", "--locked"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn policy(key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml")).unwrap();
    let document: toml_edit::DocumentMut = text.parse().unwrap();
    document[key].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_licence_is_one_that_we_may_ship() {
    let allowed: Vec<spdx::Licensee> =
        policy("licences").iter().map(|text| spdx::Licensee::parse(text).unwrap()).collect();
    for package in packages() {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or(""));
        let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX)
            .unwrap_or_else(|error| panic!("{name}: {licence:?}: {error}"));
        let fine = expression.evaluate(|needed| allowed.iter().any(|licensee| licensee.satisfies(needed)));
        assert!(fine, "{name}: found the licence {licence}, wanted one of ci/deny.toml");
    }
}

#[test]
fn everything_comes_from_the_registry_or_from_here() {
    for package in packages() {
        let source = package["source"].as_str().unwrap_or("here");
        assert!(
            source == "here" || source.starts_with("registry+"),
            "{}: found the source {source}",
            package["name"]
        );
    }
}

#[test]
fn nothing_banned_is_built() {
    let bans = policy("bans");
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        assert!(!bans.iter().any(|ban| ban == name), "{name} is banned in ci/deny.toml");
    }
}
