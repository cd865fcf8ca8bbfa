//! What gives a secret away without knowing it: private keys, hashes, and values behind a telling word. Pure; each function names
//! the parts of a line that must not be shown.

use std::ops::Range;

/// Words in keys whose values are secrets, in lower case.
const TELLING: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "auth_pass",
    "auth_code",
    "authkey",
    "auth_key",
    "secret",
    "pveauthcookie",
    "csrfpreventiontoken",
];

/// A hash that is shorter than this is none: `$6$` and a salt of one character come to more.
const HASH: usize = 8;

/// No key has more lines; after them a missing end is not waited for any longer.
const PEM_LINES: usize = 512;

/// Blocks of PEM that a text may begin in one line and end in another.
#[derive(Debug, Default)]
pub struct Pem {
    left: usize,
}

impl Pem {
    /// The parts of the next line that lie in blocks. Blocks of any kind are hidden.
    pub fn hidden(&mut self, line: &[u8]) -> Vec<Range<usize>> {
        let mut hidden = Vec::new();
        let mut at = 0;
        loop {
            if self.left == 0 {
                let Some(begin) = find(line, b"-----BEGIN ", at) else { return hidden };
                self.left = PEM_LINES;
                at = begin;
            }
            let end = find(line, b"-----END ", at)
                .map(|end| find(line, b"-----", end + 5).map_or(line.len(), |tail| tail + 5));
            hidden.push(at..end.unwrap_or(line.len()));
            let Some(end) = end else {
                self.left -= 1;
                return hidden;
            };
            (self.left, at) = (0, end);
        }
    }
}

/// Hashes as crypt(3) makes them, also with each dollar escaped.
pub fn hashes(line: &[u8]) -> Vec<Range<usize>> {
    let is_material = |byte: u8| byte.is_ascii_alphanumeric() || b"./$=,+\\".contains(&byte);
    let mut hidden = Vec::new();
    let mut at = 0;
    while let Some(begin) = find(line, b"$", at) {
        let id = line[begin + 1..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let rest = &line[begin + 1 + id..];
        at = begin + 1;
        if (1..=8).contains(&id) && (rest.starts_with(b"$") || rest.starts_with(b"\\$")) {
            let length = rest.iter().take_while(|byte| is_material(**byte)).count();
            if length >= HASH {
                at = begin + 1 + id + length;
                hidden.push(begin..at);
            }
        }
    }
    hidden
}

/// Values behind a telling word: `passwd="x"`, `"secret": "x"`, `auth_pass x`, and passwords in URLs.
pub fn values(line: &[u8]) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut hidden: Vec<Range<usize>> = Vec::new();
    for word in TELLING {
        let mut at = 0;
        while let Some(begin) = find(&lower, word.as_bytes(), at) {
            at = begin + word.len();
            hidden.extend(value_behind(line, at, word == "auth_pass"));
        }
    }
    let mut at = 0;
    while let Some(scheme) = find(line, b"://", at) {
        at = scheme + 3;
        let authority = line[at..].iter().take_while(|byte| !b"/ \t\"'<>".contains(byte)).count();
        let user = line[at..at + authority].iter().rposition(|byte| *byte == b'@');
        hidden.extend(user.map(|user| at..at + user));
    }
    hidden
}

/// The value of the key that ends somewhere behind `at`.
fn value_behind(line: &[u8], at: usize, blank_is_enough: bool) -> Option<Range<usize>> {
    let skip = |from: usize, of: &dyn Fn(u8) -> bool| {
        from + line[from..].iter().take_while(|byte| of(**byte)).count()
    };
    let name = skip(at, &|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let quoted = skip(name, &|byte| b"\"'\\ \t".contains(&byte));
    let sign = line.get(quoted).is_some_and(|byte| b"=:".contains(byte));
    // Our own findings say nothing about a secret.
    if line[name..].starts_with(b": found ") {
        return None;
    }
    if !(sign || blank_is_enough && quoted > name) {
        return None;
    }
    let begin = skip(if sign { quoted + 1 } else { quoted }, &|byte| b" \t\\".contains(&byte));
    let end = match line.get(begin) {
        Some(quote @ (b'"' | b'\'')) => skip(begin + 1, &|byte| byte != *quote),
        _ => skip(begin, &|byte| !b" \t,;<>&\"'".contains(&byte)),
    };
    (end > begin).then_some(begin..end)
}

/// Where `part` begins in `line`, from `from` on.
pub fn find(line: &[u8], part: &[u8], from: usize) -> Option<usize> {
    let found = line.get(from..)?.windows(part.len()).position(|window| window == part)?;
    Some(from + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, hidden: &[Range<usize>]) -> String {
        let hides = |at: usize| hidden.iter().any(|range| range.contains(&at));
        line.char_indices().map(|(at, c)| if hides(at) { '*' } else { c }).collect()
    }

    #[test]
    fn hashes_are_found_whatever_stands_around_them() {
        for (line, wanted) in [
            ("root:$6$salt$abcDEF/.09:1:", "root:*******************:1:"),
            ("x=\\$6\\$salt\\$abcDEF0 y", "x=\\********************* y"),
            ("$y$j9T$abcdefgh", "***************"),
            ("echo $1$2 costs $5 and ${HOME}", "echo $1$2 costs $5 and ${HOME}"),
        ] {
            assert_eq!(shown(line, &hashes(line.as_bytes())).replace('*', ""), wanted.replace('*', ""));
        }
    }

    #[test]
    fn values_behind_telling_words_are_found() {
        for (line, wanted) in [
            ("auth_pass abcd1234", "auth_pass ********"),
            ("<fence passwd=\"p w\" x=\"1\"/>", "<fence passwd=****\" x=\"1\"/>"),
            ("{\"Secret_key\": \"ab\", \"b\": 1}", "{\"Secret_key\": ***\", \"b\": 1}"),
            ("password=hunter2&user=me", "password=*******&user=me"),
            ("https://me:pw@example.com/x", "https://*****@example.com/x"),
            ("vrrp_password: found nothing", "vrrp_password: found nothing"),
            ("Failed password for root", "Failed password for root"),
        ] {
            assert_eq!(shown(line, &values(line.as_bytes())), wanted);
        }
    }

    #[test]
    fn blocks_are_followed_over_lines_and_inside_one() {
        let mut pem = Pem::default();
        let mut all = |lines: &[&str]| -> Vec<String> {
            lines.iter().map(|line| shown(line, &pem.hidden(line.as_bytes())).replace('*', "")).collect()
        };
        assert_eq!(
            all(&["a -----BEGIN X KEY-----", "12:00 MHc", "x -----END X KEY----- b"]),
            ["a ", "", " b"]
        );
        assert_eq!(
            all(&["k = \"-----BEGIN A-----\\nMHc\\n-----END A-----\" -----BEGIN B-----", "-----END B-----c"]),
            ["k = \"\" ", "c"]
        );
        assert_eq!(all(&["-----BEGIN A-----"; PEM_LINES]).concat(), "");
        assert_eq!(all(&["after an end that never came"]), ["after an end that never came"]);
    }
}
