//! Public keys of nodes, and the file in which the cluster keeps them: `/etc/pve/priv/authorized_keys`. Pure.
//!
//! A key that gets in there opens root's shell on every node, so a line from the wire is taken apart and written anew.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Where the cluster's nodes find each other's keys.
pub const FILE: &str = "/etc/pve/priv/authorized_keys";

/// The kinds that OpenSSH 6.0 and the vendor's `ssh-keygen` make (docs/facts.md 11).
const KINDS: [&str; 4] = ["ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];

/// The longest line: RSA with 16384 bits.
const LONGEST: usize = 4096;

/// Fewest bytes of an RSA modulus: the 2048 bits of the vendor's `ssh-keygen`.
const MODULUS: usize = 256;

/// A public key that was taken apart and found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: &'static str,
    blob: String,
}

impl PublicKey {
    /// Judges one line: a kind, a key, and maybe a comment, which is forgotten. On failure says what was found.
    pub fn read(line: &str) -> Result<Self, String> {
        let line = line.trim_end_matches('\n');
        if line.len() > LONGEST {
            return Err(format!("a line of {} bytes", line.len()));
        }
        if line.chars().any(char::is_control) {
            return Err("more than one line, or control characters".to_owned());
        }
        let mut words = line.split(' ');
        let first = words.next().unwrap_or_default();
        let kind = KINDS
            .into_iter()
            .find(|kind| *kind == first)
            .ok_or_else(|| format!("a line that begins with {}", crate::site::shown_value(first)))?;
        let blob = words.next().unwrap_or_default();
        let bytes = STANDARD.decode(blob).map_err(|_| "a key that is no base64".to_owned())?;
        if !is_whole(kind, &bytes) {
            return Err(format!("a key that is no whole {kind} key of at least the usual length"));
        }
        Ok(Self { kind, blob: blob.to_owned() })
    }

    /// The line for the node of that name.
    pub fn line(&self, name: &str) -> String {
        format!("{} {} root@{name}", self.kind, self.blob)
    }

    /// Kind and key, as a file of known hosts has them.
    pub fn bare(&self) -> String {
        format!("{} {}", self.kind, self.blob)
    }

    /// The line of the file that has this key for somebody else than that node.
    pub fn taken_in<'t>(&self, text: &'t str, name: &str) -> Option<&'t str> {
        text.lines().find(|line| self.is_on(line) && *line != self.line(name))
    }

    /// The text of the file with this key for that node, and without another key of the same node.
    pub fn added_to(&self, text: &str, name: &str) -> String {
        let line = self.line(name);
        let comment = format!("root@{name}");
        let mut lines: Vec<&str> = text
            .lines()
            .filter(|other| *other == line || !(self.is_on(other) || is_comment(other, &comment)))
            .collect();
        if !lines.contains(&line.as_str()) {
            lines.push(&line);
        }
        lines.join("\n") + "\n"
    }

    /// The text of the file without this key.
    pub fn removed_from(&self, text: &str) -> String {
        text.lines().filter(|line| !self.is_on(line)).flat_map(|line| [line, "\n"]).collect()
    }

    /// Is the key on this line, with whatever options and comment?
    fn is_on(&self, line: &str) -> bool {
        !line.starts_with('#') && line.split_ascii_whitespace().any(|word| word == self.blob)
    }
}

fn is_comment(line: &str, comment: &str) -> bool {
    !line.starts_with('#') && line.split_ascii_whitespace().next_back() == Some(comment)
}

/// Has the key all its parts, and nothing after them?
fn is_whole(kind: &str, bytes: &[u8]) -> bool {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let Some((field, tail)) = tail.split_at_checked(u32::from_be_bytes(*length) as usize) else {
            return false;
        };
        fields.push(field);
        rest = tail;
    }
    let whole = rest.is_empty() && fields.first() == Some(&kind.as_bytes());
    whole
        && match (kind, &fields[1..]) {
            ("ssh-rsa", [exponent, modulus]) => {
                let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
                !exponent.is_empty() && modulus.len() >= MODULUS
            }
            (ecdsa, [curve, point]) => {
                let wanted = ecdsa.strip_prefix("ecdsa-sha2-").unwrap_or_default();
                *curve == wanted.as_bytes() && point.first() == Some(&4) && point.len() > 64
            }
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(fields: &[&[u8]]) -> String {
        let mut bytes = Vec::new();
        for field in fields {
            bytes.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            bytes.extend(*field);
        }
        STANDARD.encode(bytes)
    }

    fn rsa(byte: u8, length: usize) -> String {
        encode(&[b"ssh-rsa", &[1, 0, 1], &vec![byte; length]])
    }

    #[test]
    fn only_one_whole_key_of_a_known_kind_without_options_passes() {
        let good = rsa(0x81, 256);
        let point = [&[4][..], &[7; 64]].concat();
        let ecdsa = encode(&[b"ecdsa-sha2-nistp256", b"nistp256", &point]);
        let cut = &good[..good.len() - 8];
        let more = STANDARD.encode([&STANDARD.decode(&good).unwrap()[..], b"x"].concat());
        for (line, passes) in [
            (format!("ssh-rsa {good}"), true),
            (format!("ssh-rsa {good} root@pve\n"), true),
            (format!("ecdsa-sha2-nistp256 {ecdsa} a comment of words"), true),
            (format!("ecdsa-sha2-nistp384 {ecdsa}"), false),
            (format!("ssh-rsa {ecdsa}"), false),
            (format!("ssh-dss {good}"), false),
            (format!("ssh-ed25519 {good}"), false),
            (format!("command=\"sh\" ssh-rsa {good}"), false),
            (format!("from=\"*\",ssh-rsa ssh-rsa {good}"), false),
            (format!(" ssh-rsa {good}"), false),
            (format!("ssh-rsa {good}\nssh-rsa {good}"), false),
            (format!("ssh-rsa {good}\r"), false),
            (format!("ssh-rsa {good}\0"), false),
            (format!("ssh-rsa {cut}"), false),
            (format!("ssh-rsa {more}"), false),
            (format!("ssh-rsa {}", rsa(0x81, 128)), false),
            (format!("ssh-rsa {good} {}", "x".repeat(LONGEST)), false),
            ("ssh-rsa".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(PublicKey::read(&line).is_ok(), passes, "{line:?} {:?}", PublicKey::read(&line));
        }
    }

    #[test]
    fn a_node_has_one_key_and_all_other_lines_stay() {
        let (old, new) = (rsa(0x81, 256), rsa(0x82, 256));
        let key = PublicKey::read(&format!("ssh-rsa {new} whatever")).unwrap();
        let kept = format!(
            "# of admins\nssh-rsa {} root@pve-a-1-10\n\nfrom=\"10.0.0.1\" ssh-rsa AAAA admin\n",
            rsa(0x83, 256)
        );
        let text = format!("{kept}ssh-rsa {old} root@pve-a-1-1\nssh-rsa {new} root@proxmox\n");
        let added = key.added_to(&text, "pve-a-1-1");
        assert_eq!(added, format!("{kept}ssh-rsa {new} root@pve-a-1-1\n"));
        assert_eq!(key.added_to(&added, "pve-a-1-1"), added, "it is there once");
        assert_eq!(key.taken_in(&text, "pve-a-1-1").unwrap().split(' ').next_back(), Some("root@proxmox"));
        assert_eq!(key.taken_in(&added, "pve-a-1-1"), None);
        assert!(key.taken_in(&added, "pve-a-1-2").is_some());
        assert_eq!(key.removed_from(&added), kept);
        assert_eq!(key.removed_from(&kept), kept);
        assert_eq!(key.added_to("", "a"), format!("ssh-rsa {new} root@a\n"));
        assert_eq!(key.added_to("ssh-rsa AAAA x", "a"), format!("ssh-rsa AAAA x\nssh-rsa {new} root@a\n"));
    }
}
