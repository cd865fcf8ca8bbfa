//! Fresh secrets, in the forms that the target reads (docs/facts.md 11).

use anyhow::{Context, Result};
use base64::Engine as _;
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::LineEnding;

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
    let pem = secret
        .to_sec1_pem(LineEnding::LF)
        .map_err(|error| anyhow::anyhow!("writing a key as PEM: {error}"))?;
    let private = pem.to_string();
    let point = secret.public_key().to_encoded_point(false);
    let mut blob = Vec::new();
    for part in [&b"ecdsa-sha2-nistp256"[..], b"nistp256", point.as_bytes()] {
        blob.extend(u32::try_from(part.len()).context("measuring a key")?.to_be_bytes());
        blob.extend(part);
    }
    let public =
        format!("ecdsa-sha2-nistp256 {} {comment}", base64::engine::general_purpose::STANDARD.encode(blob));
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
