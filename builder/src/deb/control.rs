//! Control paragraphs, as in a package's control file and in dpkg's status file.

use std::collections::BTreeMap;

/// One paragraph: fields by name in lower case, each with its continuation lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paragraph(BTreeMap<String, String>);

impl Paragraph {
    /// The field `name`, in any case; nothing if it is not there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// The field `name`, or nothing.
    pub fn field(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

/// All paragraphs of `text`. Lines that are neither a field nor a continuation are passed over, as dpkg's
/// own files hold none.
pub fn parse(text: &str) -> Vec<Paragraph> {
    let mut all = Vec::new();
    let mut current = Paragraph::default();
    let mut last = String::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            if !current.0.is_empty() {
                all.push(std::mem::take(&mut current));
            }
            last.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = current.0.get_mut(&last) {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.trim().to_ascii_lowercase();
            current.0.insert(last.clone(), value.trim().to_owned());
        }
    }
    if !current.0.is_empty() {
        all.push(current);
    }
    all
}
