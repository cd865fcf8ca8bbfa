//! What `cias setup` says of the secrets in the site file that it was given.

use std::fmt::Write;

use crate::enrol::given::{Given, holds_key};
use crate::system::Sysroot;

/// What becomes of the key, below the plan.
pub fn planned(given: &Given, keep: bool) -> String {
    let mut text = String::new();
    for path in &given.here {
        let shown = path.display();
        let what = if keep {
            format!(
                "{shown} keeps the site's join key and other secrets, as --keep-file says: remove it from this node yourself"
            )
        } else {
            format!("remove the join key from {shown} once this node has joined (--keep-file leaves it)")
        };
        line(&mut text, &what);
    }
    for path in &given.elsewhere {
        let shown = path.display();
        line(
            &mut text,
            &format!(
                "{shown} is on another file system and keeps the site's join key: take it away from this node"
            ),
        );
    }
    if text.is_empty() { text } else { format!("site file\n{text}") }
}

/// What is left of it at the end.
pub fn left(root: &Sysroot, given: &Given) -> Vec<String> {
    let is_noted = !Given::noted(root).here.is_empty();
    let all = given.here.iter().chain(&given.elsewhere).filter(|path| path.exists());
    all.map(|path| {
        let shown = path.display();
        if !holds_key(path) {
            format!(
                "the join key was removed from {shown}; the site's other secrets are still in it and in /etc/cias/site.toml: remove {shown} \
                 if you do not need it here"
            )
        } else if is_noted && given.here.contains(path) {
            format!("{shown} holds the site's join key until this node has joined, which removes it")
        } else {
            format!("{shown} holds the site's join key: whoever gets it can join the cluster, so remove it from this node")
        }
    })
    .collect()
}

fn line(text: &mut String, sentence: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "    - {sentence}");
}
