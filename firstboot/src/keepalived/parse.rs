//! Reads `keepalived.conf` as keepalived does: words in lines, and blocks in braces. Blanks and comments are nothing, so that two files
//! which say the same are the same.

use std::str::Lines;

/// A line with its words, and the block that it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// At least one.
    pub words: Vec<String>,
    /// What stands between its braces.
    pub block: Option<Vec<Entry>>,
}

/// All that `text` says; nothing if its braces do not match.
pub fn parse(text: &str) -> Option<Vec<Entry>> {
    let mut lines = text.lines();
    block(&mut lines, false)
}

fn block(lines: &mut Lines<'_>, is_inner: bool) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while let Some(line) = lines.next() {
        let mut words = words(line);
        match words.last().map(String::as_str) {
            None => {}
            Some("}") => return (is_inner && words.len() == 1).then_some(entries),
            Some("{") => {
                words.pop();
                if words.is_empty() {
                    return None;
                }
                entries.push(Entry { words, block: Some(block(lines, true)?) });
            }
            Some(_) => entries.push(Entry { words, block: None }),
        }
    }
    (!is_inner).then_some(entries)
}

/// The words of a line up to a comment; what stands in quotes is one, quotes included.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => {
                is_quoted = !is_quoted;
                word.push(c);
            }
            '!' | '#' if !is_quoted => break,
            _ if c.is_whitespace() && !is_quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_comments_are_nothing_and_words_are_something() {
        let one = "! mine\na {\n  b \"c  d\"\n  e {\n f\n}\n}\n";
        for (other, is_same) in [
            ("a {\n\tb   \"c  d\" # why\n\n  e {\n    f\n  }\n}", true),
            ("a {\n b \"c d\"\n e {\n f\n}\n}\n", false),
            ("a {\n b \"c  d\"\n e {\n}\n}\n", false),
            ("a {\n b \"c  d\"\n e {\n f\n}\n", false),
            ("a {\n b \"c  d\"\n e {\n f\n}\n}\n}\n", false),
            ("{\n}\n", false),
            ("", false),
        ] {
            assert_eq!(parse(other) == parse(one), is_same, "{other}");
        }
        assert!(parse(one).is_some());
    }
}
