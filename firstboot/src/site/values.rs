//! Judges single values of a site file: each function returns the value, or what would have been right.

use std::net::Ipv4Addr;

use serde::{Serialize, Serializer};

type Judged<T> = Result<T, String>;

/// An IPv4 network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first address.
    pub base: Ipv4Addr,
    /// The length of the prefix in bits, 8 to 30.
    pub prefix: u8,
}

impl Network {
    /// The mask, as `255.0.0.0`.
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::MAX << (32 - u32::from(self.prefix)))
    }

    /// Can `address` be given to a host of this network?
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        let (mask, address, base) = (u32::from(self.mask()), u32::from(address), u32::from(self.base));
        address & mask == base && address != base && address != base | !mask
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format!("{}/{}", self.base, self.prefix))
    }
}

/// Any text without line breaks, at least one character.
pub fn line(text: &str) -> Judged<String> {
    let good = !text.trim().is_empty() && !text.chars().any(char::is_control);
    good.then(|| text.to_owned()).ok_or_else(|| "text on one line".into())
}

/// An IPv4 address.
pub fn address(text: &str) -> Judged<Ipv4Addr> {
    text.parse().map_err(|_| "an IPv4 address such as 10.0.0.254".into())
}

/// An IPv4 network whose host bits are zero.
pub fn network(text: &str) -> Judged<Network> {
    let wanted = || "an IPv4 network such as 10.0.0.0/8".to_owned();
    let (base, prefix) = text.split_once('/').ok_or_else(wanted)?;
    let base: Ipv4Addr = base.parse().map_err(|_| wanted())?;
    let prefix = prefix.parse().ok().filter(|bits| (8..=30).contains(bits)).ok_or_else(wanted)?;
    let network = Network { base, prefix };
    let first = Ipv4Addr::from(u32::from(base) & u32::from(network.mask()));
    if first == base { Ok(network) } else { Err(format!("the network's first address: {first}/{prefix}")) }
}

/// One label of a host name: letters, digits, inner hyphens, at most 63 (docs/facts.md 9).
pub fn label(text: &str) -> Judged<String> {
    let good = (1..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    good.then(|| text.to_owned())
        .ok_or_else(|| "lower-case letters, digits and inner hyphens, at most 63".into())
}

/// A domain: labels with dots between them. The vendor's installer refuses `domain.tld` (docs/facts.md 3.2).
pub fn domain(text: &str) -> Judged<String> {
    if text == "domain.tld" || text.ends_with(".domain.tld") {
        return Err("a domain of your own: the vendor's installer refuses domain.tld".into());
    }
    let good = text.len() <= 190 && text.contains('.') && text.split('.').all(|part| label(part).is_ok());
    good.then(|| text.to_owned()).ok_or_else(|| "a domain such as example.com".into())
}

/// A mail address that the vendor's installer takes too (docs/facts.md 3.2).
pub fn mail(text: &str) -> Judged<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let good = text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && user.chars().all(legal) && domain(&host.to_ascii_lowercase()).is_ok()
    });
    good.then(|| text.to_owned()).ok_or_else(|| "a mail address such as admin@example.com".into())
}

/// A time zone as `Europe/Berlin`.
pub fn timezone(text: &str) -> Judged<String> {
    let word =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c));
    let good = text.split('/').count() >= 2 && text.split('/').all(word);
    good.then(|| text.to_owned()).ok_or_else(|| "a time zone such as Europe/Berlin".into())
}

/// A country by its two-letter code.
pub fn country(text: &str) -> Judged<String> {
    let good = text.len() == 2 && text.chars().all(|c| c.is_ascii_lowercase());
    good.then(|| text.to_owned()).ok_or_else(|| "a two-letter country code in lower case, such as de".into())
}

/// A keyboard by its id in the image's country.dat.
pub fn keyboard(text: &str) -> Judged<String> {
    let good =
        !text.is_empty() && text.len() <= 8 && text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    good.then(|| text.to_owned()).ok_or_else(|| "a keyboard id such as en-us or de".into())
}

/// A password hash that wheezy verifies: SHA-256 or SHA-512 crypt (docs/facts.md 11).
pub fn password_hash(text: &str) -> Judged<String> {
    let wanted = "a hash that begins with $6$ or $5$, as `openssl passwd -6` makes it (the target verifies no other kind)";
    let legal = |c: char| c.is_ascii_alphanumeric() || "./".contains(c);
    let parts: Vec<&str> = text.split('$').collect();
    let (kind, length) = match parts.get(1) {
        Some(&"6") => (true, 86),
        Some(&"5") => (true, 43),
        _ => (false, 0),
    };
    let rounds =
        parts.len() == 5 && parts[2].strip_prefix("rounds=").is_some_and(|n| n.parse::<u32>().is_ok());
    let good = kind
        && parts[0].is_empty()
        && (parts.len() == 4 || rounds)
        && parts.last().is_some_and(|hash| hash.len() == length && hash.chars().all(legal))
        && parts[parts.len() - 2].chars().all(legal);
    good.then(|| text.to_owned()).ok_or_else(|| wanted.into())
}

/// A public SSH key of a kind that OpenSSH 6.0 knows and that is not weak (docs/facts.md 11).
pub fn public_key(text: &str) -> Judged<String> {
    let wanted = "an `ecdsa-sha2-nistp256` or `ssh-rsa` (3072 bits or more) public key: OpenSSH 6.0 on the target knows no ed25519";
    let mut words = text.split_ascii_whitespace();
    let (kind, body) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap_or_default();
    // The blob repeats the kind behind a length; an RSA 3072 modulus alone has 384 bytes.
    let named = bytes.get(4..4 + kind.len()) == Some(kind.as_bytes());
    let strong = match kind {
        "ecdsa-sha2-nistp256" => bytes.len() == 104,
        "ssh-rsa" => bytes.len() >= 384 + 11 + 4,
        _ => false,
    };
    let one_line = !text.chars().any(char::is_control);
    (named && strong && one_line).then(|| text.to_owned()).ok_or_else(|| wanted.into())
}

/// A private key in the PEM form that OpenSSH 6.0 reads.
pub fn private_key(text: &str) -> Judged<String> {
    let good = ["EC", "RSA"].iter().any(|kind| {
        text.trim().starts_with(&format!("-----BEGIN {kind} PRIVATE KEY-----"))
            && text.trim().ends_with(&format!("-----END {kind} PRIVATE KEY-----"))
    });
    good.then(|| text.to_owned()).ok_or_else(|| {
        "a private key in PEM form (BEGIN EC PRIVATE KEY), as `cias-builder init` makes it".into()
    })
}

/// A MAC address of one station, given back in lower case.
pub fn mac(text: &str) -> Judged<String> {
    let parts: Vec<Option<u8>> =
        text.split(':').map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2)).collect();
    let good =
        parts.len() == 6 && parts.iter().all(Option::is_some) && parts[0].is_some_and(|first| first & 1 == 0);
    good.then(|| text.to_ascii_lowercase()).ok_or_else(|| "a MAC address such as 52:54:00:12:34:56".into())
}

/// 32 bytes as 64 hexadecimal digits.
pub fn key(text: &str) -> Judged<String> {
    let good = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit()) && text != "0".repeat(64);
    good.then(|| text.to_owned())
        .ok_or_else(|| "64 hexadecimal digits, as `cias-builder init` makes them".into())
}

/// A VRRP password: keepalived uses eight characters and drops the rest.
pub fn vrrp_password(text: &str) -> Judged<String> {
    let good = text.len() == 8 && text.chars().all(|c| c.is_ascii_alphanumeric());
    good.then(|| text.to_owned()).ok_or_else(|| "eight letters or digits".into())
}

/// The name of a cluster: at most 15 characters (cman).
pub fn cluster_name(text: &str) -> Judged<String> {
    let good = (1..=15).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    good.then(|| text.to_owned()).ok_or_else(|| "letters, digits and hyphens, at most 15".into())
}

/// `ROW-POS`, each from 0 to 254 and 1 to 254: where a node stands and which address it gets.
pub fn position(text: &str) -> Judged<(u8, u8)> {
    let parsed = text.split_once('-').and_then(|(row, pos)| Some((row.parse().ok()?, pos.parse().ok()?)));
    parsed
        .filter(|(row, pos)| *row < 255 && (1..255).contains(pos))
        .ok_or_else(|| "ROW-POSITION, such as 1-7".into())
}

/// One word out of `words`.
pub fn word(words: &'static [&'static str]) -> impl Fn(&str) -> Judged<String> {
    move |text| {
        if words.contains(&text) { Ok(text.to_owned()) } else { Err(format!("one of: {}", words.join(", "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_know_their_hosts() {
        let lan = network("10.0.0.0/8").unwrap();
        assert_eq!(lan.mask(), Ipv4Addr::new(255, 0, 0, 0));
        assert!(lan.holds(Ipv4Addr::new(10, 254, 0, 1)));
        for outside in [[11, 0, 0, 1], [10, 0, 0, 0], [10, 255, 255, 255]] {
            assert!(!lan.holds(Ipv4Addr::from(outside)), "{outside:?}");
        }
        assert_eq!(network("10.1.0.0/8").unwrap_err(), "the network's first address: 10.0.0.0/8");
    }

    #[test]
    fn values_are_judged() {
        let sha512 = format!("$6$saltsalt${}", "a".repeat(86));
        for (good, what) in [
            (mail("admin@example.com").is_ok(), "mail"),
            (mail("admin@localhost").is_err(), "mail without a dot"),
            (mail("a b@example.com").is_err(), "mail with a blank"),
            (domain("x.domain.tld").is_err(), "the vendor's example domain"),
            (label("pve-1").is_ok(), "label"),
            (label("-pve").is_err(), "leading hyphen"),
            (label(&"a".repeat(64)).is_err(), "64 characters"),
            (password_hash(&sha512).is_ok(), "sha512"),
            (password_hash(&sha512.replace("$6$", "$6$rounds=5000$")).is_ok(), "sha512 with rounds"),
            (password_hash("$y$j9T$abc$def").is_err(), "yescrypt"),
            (password_hash("secret").is_err(), "a plain password"),
            (public_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHBh").is_err(), "ed25519"),
            (mac("52:54:00:AA:bb:01") == Ok("52:54:00:aa:bb:01".into()), "mac"),
            (mac("01:00:5e:00:00:01").is_err(), "multicast mac"),
            (position("1-7") == Ok((1, 7)), "position"),
            (position("1-0").is_err(), "position 0"),
            (timezone("Berlin").is_err(), "zone without a region"),
        ] {
            assert!(good, "{what}");
        }
    }
}
