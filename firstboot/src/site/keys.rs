//! Judges SSH keys: of a kind that OpenSSH 6.0 reads, strong enough, and each private one beside its own public half.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Secrets;
use super::findings::Findings;

/// The object identifier of the curve P-256 (1.2.840.10045.3.1.7) in DER.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Fewest bytes of an RSA modulus: 3072 bits.
const MODULUS: usize = 384;

type Judged<T> = Result<T, String>;

/// A public SSH key of a kind that OpenSSH 6.0 knows and that is not weak (docs/facts.md 11).
pub fn public(text: &str) -> Judged<String> {
    let wanted = "an `ecdsa-sha2-nistp256` or `ssh-rsa` (3072 bits or more) public key: OpenSSH 6.0 on the target knows no ed25519";
    let one_line = !text.chars().any(char::is_control);
    (one_line && number_of(text).is_some()).then(|| text.to_owned()).ok_or_else(|| wanted.into())
}

/// A private key without a pass phrase, in the PEM form that OpenSSH 6.0 reads.
pub fn private(text: &str) -> Judged<String> {
    let good = match der(text) {
        Some(("EC", der)) => holds(&der, P256),
        Some((_, der)) => der.len() > 2 * MODULUS,
        None => false,
    };
    good.then(|| text.to_owned()).ok_or_else(|| {
        "an ECDSA P-256 or RSA (3072 bits or more) private key in PEM form (BEGIN EC PRIVATE KEY), as `cias-builder init` makes it"
            .into()
    })
}

/// What stands in the join key's place on a node that has joined.
pub const FORGOTTEN: &str = "removed from this node, which has joined";

/// Judges the join key: a private key, or what a node has once it has joined.
pub fn private_or_forgotten(text: &str) -> Judged<String> {
    if text == FORGOTTEN { Ok(text.to_owned()) } else { private(text) }
}

/// Notes each public key that does not belong to its private one.
pub(super) fn judge_pairs(secrets: &Secrets, findings: &Findings) {
    let pairs = [
        ("join_key", &secrets.join_key, &secrets.join_key_public),
        ("enrol_host_key", &secrets.enrol_host_key, &secrets.enrol_host_key_public),
    ];
    for (name, private, public) in pairs {
        let path = format!("site.secrets.{name}_public");
        if *private == FORGOTTEN {
            continue;
        }
        let own = der(private).zip(number_of(public)).is_some_and(|((_, der), number)| holds(&der, &number));
        if !own && !findings.is_bad(&format!("site.secrets.{name}")) && !findings.is_bad(&path) {
            findings.note(
                &path,
                "the public half of another key",
                format!("that of {name}: run `ssh-keygen -y`"),
            );
        }
    }
}

/// What makes a public key this one: the point of an ECDSA key, the modulus of an RSA key. A private key holds it too.
fn number_of(text: &str) -> Option<Vec<u8>> {
    let mut words = text.split_ascii_whitespace();
    let kind = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    let mut fields = Vec::new();
    let mut rest = &blob[..];
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (field, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        fields.push(field);
        rest = tail;
    }
    match (kind, &fields[..]) {
        ("ecdsa-sha2-nistp256", [name, b"nistp256", point]) => {
            (*name == kind.as_bytes() && point.len() == 65 && point[0] == 4).then(|| point.to_vec())
        }
        ("ssh-rsa", [b"ssh-rsa", _, modulus]) => {
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
            (modulus.len() >= MODULUS).then(|| modulus.to_vec())
        }
        _ => None,
    }
}

/// Kind and content of a PEM file.
fn der(text: &str) -> Option<(&'static str, Vec<u8>)> {
    ["EC", "RSA"].into_iter().find_map(|kind| {
        let body = text.trim().strip_prefix(&format!("-----BEGIN {kind} PRIVATE KEY-----"))?;
        let body = body.strip_suffix(&format!("-----END {kind} PRIVATE KEY-----"))?;
        // An encrypted key has headers here, which are no base64.
        let body: String = body.split_ascii_whitespace().collect();
        Some((kind, STANDARD.decode(body).ok()?))
    })
}

fn holds(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}
