//! What a finding shows of a file: never a secret, and no character that a terminal would obey.

use toml_edit::Value;

/// So many characters of a value are shown.
const VALUE: usize = 60;

/// So many characters of an unknown key are shown: twice as many as any known one has.
const NAME: usize = 40;

/// A word of so many letters and digits may be key material; names and numbers are shorter.
const WORD: usize = 32;

/// What is shown instead of a secret.
pub(super) const HIDDEN: &str = "something else (not shown: it is a secret)";

/// What is shown instead of a value that may be one.
const NOT_SHOWN: &str = "something else (not shown: it may be a secret)";

/// What is shown instead of a value that has the look of one.
const LIKE_A_SECRET: &str = "something that looks like a secret (not shown)";

/// The kinds of SSH keys by the words that they begin with.
const KINDS: [&str; 7] = [
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "ssh-dss",
    "ssh-ed25519",
    "ssh-rsa",
];

/// How much of a value that is wrong a finding shows.
#[derive(Clone, Copy)]
pub enum Show {
    /// Its beginning, unless it looks like a secret.
    Value,
    /// The kind of a public key: a private one may stand there by mistake.
    KeyKind,
    /// Nothing.
    Nothing,
}

impl Show {
    /// What is shown of a text.
    pub(super) fn text(self, text: &str) -> String {
        match self {
            Self::Value if is_like_a_secret(text) => LIKE_A_SECRET.into(),
            Self::Value => brief(&format!("{text:?}")),
            Self::KeyKind if text.is_empty() => "nothing".into(),
            Self::KeyKind if text.contains("PRIVATE KEY") => "a private key (not shown)".into(),
            Self::KeyKind => {
                let kind = KINDS.into_iter().find(|kind| text.split(' ').next() == Some(kind));
                kind.map_or(NOT_SHOWN.into(), |kind| format!("a key of the kind {kind} (not shown)"))
            }
            Self::Nothing => NOT_SHOWN.into(),
        }
    }

    /// What is shown of a value that may have the wrong type. What lies inside others is never shown.
    pub(super) fn value(self, value: &Value) -> String {
        match (self, value) {
            (_, Value::String(text)) => self.text(text.value()),
            (_, Value::Array(_)) => "a list".into(),
            (_, Value::InlineTable(_)) => "a table".into(),
            (Self::Value, scalar) => brief(scalar.to_string().trim()),
            (Self::KeyKind | Self::Nothing, _) => NOT_SHOWN.into(),
        }
    }
}

/// What a message shows of a value that holds no secret by its meaning.
pub fn shown_value(text: &str) -> String {
    Show::Value.text(text)
}

/// What is shown of an unknown key: its name, unless a value got there by mistake.
pub(super) fn name(key: &str) -> String {
    let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match key.chars().count() {
        length if length > NAME || is_like_a_secret(key) => format!("(a key of {length} characters)"),
        0 => "\"\"".into(),
        _ if bare => key.to_owned(),
        _ => format!("{key:?}"),
    }
}

/// `text` with each character escaped that a terminal would obey, that turns the writing round, or that nobody can see.
pub fn visible(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    text.chars().map(escaped).collect()
}

/// Has the text marks of a key, of a hash, or of a URL with a password?
fn is_like_a_secret(text: &str) -> bool {
    let material = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    text.contains("PRIVATE KEY")
        || text.matches('$').count() > 1
        || text.split_once('@').is_some_and(|(user, _)| user.contains(':'))
        || text.split(|c| !material(c)).any(|word| word.len() >= WORD)
}

/// The beginning of a value, enough to know it again.
fn brief(value: &str) -> String {
    match value.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_unless_they_look_like_secrets() {
        let long = "a ".repeat(40);
        for (text, shown) in [
            ("10.0.0.256", "\"10.0.0.256\""),
            ("", "\"\""),
            ("a\u{1b}[2J", "\"a\\u{1b}[2J\""),
            ("/dev/disk/by-id/ata-X", "\"/dev/disk/by-id/ata-X\""),
            ("-----BEGIN EC PRIVATE KEY-----", LIKE_A_SECRET),
            ("$6$a$b", LIKE_A_SECRET),
            ("https://me:pw@example.com", LIKE_A_SECRET),
            ("5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a", LIKE_A_SECRET),
            (&long, &format!("\"{}...", &long[..59])),
        ] {
            assert_eq!(Show::Value.text(text), shown, "{text}");
        }
    }

    #[test]
    fn of_a_key_only_its_kind_is_shown() {
        assert_eq!(Show::KeyKind.text("ssh-rsa AAAA"), "a key of the kind ssh-rsa (not shown)");
        assert_eq!(Show::KeyKind.text("MHcCAQEE AAAA"), NOT_SHOWN);
        assert_eq!(Show::KeyKind.text("-----BEGIN RSA PRIVATE KEY-----"), "a private key (not shown)");
    }

    #[test]
    fn unknown_keys_are_shown_unless_a_value_got_there() {
        assert_eq!(name("viip"), "viip");
        assert_eq!(name("a\u{1b}b"), "\"a\\u{1b}b\"");
        assert_eq!(name(""), "\"\"");
        assert_eq!(name(&"a".repeat(41)), "(a key of 41 characters)");
        assert_eq!(name("$6$a$b"), "(a key of 6 characters)");
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(
            visible("a\u{1b}]0;x\u{7}\r\n\u{9b}\u{202e}\u{7f}"),
            "a\\u{1b}]0;x\\u{7}\\r\\n\\u{9b}\\u{202e}\\u{7f}"
        );
        assert_eq!(visible("\"K\u{f6}ln\" it's C:\\x"), "\"K\u{f6}ln\" it's C:\\x");
    }
}
