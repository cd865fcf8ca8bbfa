//! Fresh secrets, in the forms that the target reads (docs/facts.md 11).

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint;

/// An ECDSA P-256 key pair.
pub struct Pair {
    /// PEM in the form of SEC 1: OpenSSH 6.0 reads no other.
    pub private: String,
    /// As one line of `authorized_keys`.
    pub public: String,
}

/// A new key pair; `comment` ends the public half.
pub fn pair(comment: &str) -> Result<Pair> {
    // Of all 32-byte strings one in 2^32 is no key.
    let secret = loop {
        if let Ok(secret) = SecretKey::from_slice(&random::<32>()?) {
            break secret;
        }
    };
    let point = secret.public_key().to_encoded_point(false);
    // RFC 5915 with the curve's name and the public key in it, as OpenSSL writes it; all lengths are fixed on P-256.
    let mut der = b"\x30\x77\x02\x01\x01\x04\x20".to_vec();
    der.extend(secret.to_bytes());
    der.extend(b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\xa1\x44\x03\x42\x00");
    der.extend(point.as_bytes());
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    let private =
        format!("-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n", lines.join("\n"));
    let mut blob = Vec::new();
    for part in [&b"ecdsa-sha2-nistp256"[..], b"nistp256", point.as_bytes()] {
        blob.extend(u32::try_from(part.len()).context("measuring a key")?.to_be_bytes());
        blob.extend(part);
    }
    let public = format!("ecdsa-sha2-nistp256 {} {comment}", STANDARD.encode(blob));
    Ok(Pair { private, public })
}

/// 32 random bytes as hexadecimal digits.
pub fn hexadecimal() -> Result<String> {
    Ok(random::<32>()?.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

/// Eight random letters and digits.
pub fn word() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    // 256 is a multiple of 32, so every letter is as likely as the others.
    Ok(random::<8>()?.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("asking the kernel for randomness: {error}"))?;
    Ok(bytes)
}
