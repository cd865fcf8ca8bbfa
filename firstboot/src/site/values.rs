//! Judges single values of a site file: each function returns the value, or what would have been right.

use std::net::Ipv4Addr;

use serde::{Serialize, Serializer};

use super::address::is_placeholder;
use super::shown::visible;

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
    /// The segment of the plan, 10.0.0.0/8 (docs/facts.md 12).
    pub const LAN: Self = Self { base: Ipv4Addr::new(10, 0, 0, 0), prefix: 8 };

    /// Have both networks an address in common?
    pub fn overlaps(&self, other: &Self) -> bool {
        let mask = u32::from(self.mask()) & u32::from(other.mask());
        u32::from(self.base) & mask == u32::from(other.base) & mask
    }

    /// The mask, as `255.0.0.0`.
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::MAX << (32 - u32::from(self.prefix)))
    }

    /// Does `address` lie in this network?
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & u32::from(self.mask()) == u32::from(self.base)
    }

    /// Can `address` be given to a host of this network?
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        let last = Ipv4Addr::from(u32::from(self.base) | !u32::from(self.mask()));
        self.contains(address) && address != self.base && address != last
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format!("{}/{}", self.base, self.prefix))
    }
}

/// An address with the network in which it lies, such as `192.168.56.101/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The host's own address.
    pub address: Ipv4Addr,
    /// Where it lies.
    pub network: Network,
}

impl Serialize for Interface {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format!("{}/{}", self.address, self.network.prefix))
    }
}

/// A number in plain digits: Rust's own reader takes a sign too.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.chars().all(|c| c.is_ascii_digit()))
}

/// Any text that can be seen, on one line; blanks at its ends would match nothing.
pub fn line(text: &str) -> Judged<String> {
    let good = !text.is_empty() && text.trim() == text && visible(text) == text;
    good.then(|| text.to_owned()).ok_or_else(|| "text on one line, without blanks at its ends".into())
}

/// The serial number of a server.
pub fn serial(text: &str) -> Judged<String> {
    if is_placeholder(text) {
        return Err("a serial number: this is what firmware writes where it knows none".into());
    }
    line(text)
}

/// Can a host have this address? Those of 0/8 mean this host, of 127/8 too, and from 224/4 on they mean many or none.
fn of_a_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

/// An IPv4 address of a host.
pub fn address(text: &str) -> Judged<Ipv4Addr> {
    let address: Ipv4Addr = text.parse().map_err(|_| "an IPv4 address such as 10.0.0.254")?;
    of_a_host(address).then_some(address).ok_or_else(|| {
        "an address by which other hosts reach it, such as 10.0.0.254: not of 0/8, 127/8 or from 224/4 on"
            .into()
    })
}

/// An IPv4 network whose host bits are zero.
pub fn network(text: &str) -> Judged<Network> {
    let wanted = || "an IPv4 network such as 10.0.0.0/8, with a prefix from 8 to 30".to_owned();
    let (base, prefix) = text.split_once('/').ok_or_else(wanted)?;
    let base: Ipv4Addr = base.parse().map_err(|_| wanted())?;
    let prefix = digits(prefix).filter(|bits| (8..=30).contains(bits)).ok_or_else(wanted)?;
    let network = Network { base, prefix };
    if !of_a_host(base) {
        return Err("a network of hosts such as 10.0.0.0/8: not of 0/8, 127/8 or from 224/4 on".into());
    }
    let first = Ipv4Addr::from(u32::from(base) & u32::from(network.mask()));
    if first == base { Ok(network) } else { Err(format!("the network's first address: {first}/{prefix}")) }
}

/// A host's address with the length of its network's prefix.
pub fn interface(text: &str) -> Judged<Interface> {
    let wanted = || "an address with its prefix, such as 192.168.56.101/24".to_owned();
    let (host, prefix) = text.split_once('/').ok_or_else(wanted)?;
    host.parse::<Ipv4Addr>().map_err(|_| wanted())?;
    let prefix = digits(prefix).filter(|bits| (8..=30).contains(bits)).ok_or_else(wanted)?;
    let address = address(host)?;
    let mask = Network { base: address, prefix }.mask();
    let network = Network { base: Ipv4Addr::from(u32::from(address) & u32::from(mask)), prefix };
    network.holds(address).then_some(Interface { address, network }).ok_or_else(wanted)
}

/// The name of a file, without a folder.
pub fn file_name(text: &str) -> Judged<String> {
    let good = (1..=255).contains(&text.len())
        && !text.contains('/')
        && !text.chars().any(char::is_control)
        && text != "."
        && text != "..";
    good.then(|| text.to_owned()).ok_or_else(|| "the name of a file, without a folder".into())
}

/// A host by address or by name.
pub fn host(text: &str) -> Judged<String> {
    if text.parse::<Ipv4Addr>().is_ok() {
        return address(text).map(|_| text.to_owned());
    }
    domain(text).map_err(|_| "an IPv4 address or a host name such as mail.example.com".into())
}

/// A user of a mail relay: what postfix's table of passwords can hold, which has a colon behind it.
pub fn relay_user(text: &str) -> Judged<String> {
    let good = (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() && c != ':');
    good.then(|| text.to_owned()).ok_or_else(|| {
        "a user such as cias@example.com: at most 128 ASCII characters without blanks and colons".into()
    })
}

/// The user's password.
pub fn relay_password(text: &str) -> Judged<String> {
    let good = (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    good.then(|| text.to_owned()).ok_or_else(|| {
        "the password of notify.relay_user: at most 128 ASCII characters without blanks".into()
    })
}

/// Where a POST can go.
pub fn url(text: &str) -> Judged<String> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let good = rest.is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(|c| c.is_ascii_graphic())
    });
    good.then(|| text.to_owned()).ok_or_else(|| "a URL such as https://alarm.example.com/cias".into())
}

/// Serialises a URL without its path and without who calls it.
pub(super) fn serialize_host<'u, S: Serializer>(
    url: impl Into<Option<&'u String>>,
    out: S,
) -> Result<S::Ok, S::Error> {
    url.into().map(|url| host_of(url)).serialize(out)
}

/// A URL without its path and without who calls it.
pub fn host_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{}/...", host.rsplit('@').next().unwrap_or_default())
}

/// A time as `vzdump.cron` writes it: PVE 3.2 knows jobs of this form only (docs/facts.md 12).
pub fn schedule(text: &str) -> Judged<String> {
    let number = |field: &str, last: u8| digits::<u8>(field).is_some_and(|number| number <= last);
    let day = |field: &str| field.len() == 1 && digits::<u8>(field).is_some_and(|day| (1..=7).contains(&day));
    let good = match text.split(' ').collect::<Vec<_>>()[..] {
        [minute, hour, "*", "*", days] => {
            number(minute, 59) && number(hour, 23) && (days == "*" || days.split(',').all(day))
        }
        _ => false,
    };
    good.then(|| text.to_owned())
        .ok_or_else(|| "MINUTE HOUR * * DAYS, with days from 1 (Monday) to 7 or *, such as 0 2 * * 7".into())
}

/// A disk as the kernel names it. Links below /dev/disk would name other disks in the installer than later.
pub fn disk(text: &str) -> Judged<String> {
    let name = text.strip_prefix("/dev/").unwrap_or("");
    let good = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '/')
        && !name.starts_with("disk/")
        && !name.split('/').any(str::is_empty);
    good.then(|| text.to_owned()).ok_or_else(|| "a kernel name such as /dev/sda".into())
}

/// `FIRST..LAST` between `least` and 254.
pub fn range(least: u8) -> impl Fn(&str) -> Judged<(u8, u8)> {
    move |text| {
        let parsed = text.split_once("..").and_then(|(a, b)| Some((digits(a)?, digits(b)?)));
        parsed
            .filter(|(first, last)| (least..=254).contains(first) && (*first..=254).contains(last))
            .ok_or_else(|| format!("FIRST..LAST between {least} and 254, such as 1..5"))
    }
}

/// How names are made from rack, row and position.
pub fn name_pattern(text: &str) -> Judged<String> {
    let rendered = text.replace("{rack}", "a").replace("{row}", "1").replace("{pos}", "1");
    let whole = text.contains("{row}") && text.contains("{pos}");
    (whole && label(&rendered).is_ok())
        .then(|| text.to_owned())
        .ok_or_else(|| "letters, digits and hyphens with {row}, {pos} and, if wanted, {rack}".into())
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
    // With a number at its end it is an address, or meant to be one.
    let number = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    let good = text.len() <= 190
        && text.split('.').all(|part| label(part).is_ok())
        && text.rsplit_once('.').is_some_and(|(_, last)| !number(last));
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

/// The rounds that crypt(3) takes.
const ROUNDS: std::ops::RangeInclusive<u32> = 1000..=999_999_999;

/// A password hash that wheezy verifies: SHA-256 or SHA-512 crypt (docs/facts.md 11).
pub fn password_hash(text: &str) -> Judged<String> {
    let wanted = "a hash that begins with $6$ or $5$ (the target verifies no other kind): run `openssl passwd -6`, or `mkpasswd -m sha-512`";
    let legal = |c: char| c.is_ascii_alphanumeric() || "./".contains(c);
    let parts: Vec<&str> = text.split('$').collect();
    let (kind, length) = match parts.get(1) {
        Some(&"6") => (true, 86),
        Some(&"5") => (true, 43),
        _ => (false, 0),
    };
    let rounds = parts.get(2).and_then(|part| part.strip_prefix("rounds=")).filter(|_| parts.len() == 5);
    // crypt(3) puts others in the place of these, and then its result is never the hash.
    if rounds.is_some_and(|n| !digits::<u32>(n).is_some_and(|n| ROUNDS.contains(&n)) || n.starts_with('0')) {
        return Err(
            "a hash with 1000 to 999999999 rounds, without leading zeros: crypt(3) knows no other".into()
        );
    }
    let good = kind
        && parts[0].is_empty()
        && (parts.len() == 4 || rounds.is_some())
        && parts.last().is_some_and(|hash| hash.len() == length && hash.chars().all(legal))
        && (1..=16).contains(&parts[parts.len() - 2].len())
        && parts[parts.len() - 2].chars().all(legal);
    good.then(|| text.to_owned()).ok_or_else(|| wanted.into())
}

/// A MAC address of one station, given back in lower case.
pub fn mac(text: &str) -> Judged<String> {
    let parts: Vec<Option<u8>> = text
        .split(':')
        .map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2 && !part.starts_with('+')))
        .collect();
    let good = parts.len() == 6
        && parts.iter().all(Option::is_some)
        && parts[0].is_some_and(|first| first & 1 == 0)
        && parts.iter().any(|part| *part != Some(0));
    good.then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "a MAC address of one station, such as 52:54:00:12:34:56".into())
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
    let good = (1..=15).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    good.then(|| text.to_owned()).ok_or_else(|| "letters, digits and inner hyphens, at most 15".into())
}

/// `ROW-POS`, each from 0 to 254 and 1 to 254: where a node stands and which address it gets.
pub fn position(text: &str) -> Judged<(u8, u8)> {
    let parsed = text.split_once('-').and_then(|(row, pos)| Some((digits(row)?, digits(pos)?)));
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
mod tests;
