//! The shell scripts that go to the target, and what they call, by the syntax tree of `shfmt`.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{Seek, Write};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::drift::root;

/// Commands that dash has itself.
pub const BUILTINS: [&str; 8] = ["[", "echo", "exit", "read", "set", "true", "shift", "cd"];

/// The scripts of the folders that go to the target.
pub fn of_the_target() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "overlay", "preseed"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    let is_script = |name: &&str| {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_default();
        text.lines().next().is_some_and(|line| line.starts_with("#!") && line.ends_with("sh"))
    };
    let found: Vec<String> = names.lines().filter(is_script).map(ToOwned::to_owned).collect();
    assert!(found.len() >= 6, "only {found:?}: the search is broken");
    found
}

/// The simple commands of a script, each as its words; a word that is not plain text is `?`. `exec X` is `X`.
pub fn calls(script: &str) -> Vec<Vec<String>> {
    calls_of(&std::fs::read_to_string(root().join(script)).unwrap())
}

/// The same of a script's text.
pub fn calls_of(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    collect(&tree(text), &mut found);
    found
}

/// The syntax tree, by the grammar of POSIX.
fn tree(text: &str) -> Value {
    let output = read_by("shfmt", &["-ln", "posix", "--to-json"], text);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a program that reads a script from standard input.
pub fn read_by(program: &str, args: &[&str], text: &str) -> Output {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    input.rewind().unwrap();
    let output = Command::new(program).args(args).stdin(input).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}: ci/setup installs it"))
}

fn collect(node: &Value, found: &mut Vec<Vec<String>>) {
    match node {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            if fields.get("Type").is_some_and(|kind| kind == "CallExpr") {
                let words = fields.get("Args").and_then(Value::as_array).into_iter().flatten();
                let words: Vec<String> = words.map(plain).skip_while(|word| word == "exec").collect();
                if !words.is_empty() {
                    found.push(words);
                }
            }
            fields.values().for_each(|field| collect(field, found));
        }
        _ => {}
    }
}

/// A word's text, if it has no expansion.
fn plain(word: &Value) -> String {
    let parts = word["Parts"].as_array().into_iter().flatten();
    parts.map(|part| part["Value"].as_str().unwrap_or("?")).collect()
}
