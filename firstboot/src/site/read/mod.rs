//! Reads a site file: every key once, with its default, its judge and its place.
//!
//! A key that is missing or wrong leaves a finding and a stand-in value, so that one run reads the whole file;
//! a site with findings is never handed out.

mod servers;

use std::net::Ipv4Addr;

use super::keys;
use super::reader::Section;
use super::shown::Show;
use super::values::{self as judge, Network};
use super::{Backup, Enrol, General, Moosefs, Net, Notify, Role, Secrets, Site};

const BOND_MODES: &[&str] =
    &["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

/// Sections of the design that no command uses yet.
const NOT_YET: [&str; 3] = ["gateway", "power", "watch"];

/// TCP ports of a node on which something else listens: ssh, portmap, the SPICE proxy, the web console,
/// `MooseFS`, and dlm.
const TAKEN_PORTS: &[u16] = &[22, 111, 3128, 8006, 9419, 9420, 9421, 9422, 9423, 9424, 9425, 21064];

/// Mail that is encrypted from its first byte on (RFC 8314).
const SUBMISSIONS: u16 = 465;

const HASH: &str = "the hash of root's password, as `openssl passwd -6` makes it";

/// What a second file says, if `site.secrets_file` names one.
#[derive(Clone, Default)]
pub(super) struct Second {
    /// `site.root_password_hash`, if it stands there.
    pub hash: Option<String>,
    /// `[site.secrets]`
    pub secrets: Secrets,
}

impl Second {
    /// Stands for a file that could not be read: nothing in it counts as missing.
    pub(super) fn unread() -> Self {
        let secrets = Secrets { relay_password: Some(String::new()), ..Secrets::default() };
        Self { hash: Some(String::new()), secrets }
    }
}

/// Reads the whole file; `second` stands for a second file that holds its secrets.
pub(super) fn site(root: &Section, second: Option<&Second>) -> Site {
    match root.number("schema", 0..=i64::MAX) {
        Some(1) => {}
        Some(other) => root.note("schema", other.to_string(), "1, the only one that this version knows"),
        None if root.has("schema") => {}
        None => root.note_missing("schema", "schema = 1 in the first line"),
    }
    for name in NOT_YET {
        if root.has(name) {
            root.note(name, "a section that nothing uses", "no such section: not yet in this version");
        }
    }
    let (site, secrets) = general(&root.section("site"), second);
    let network = network(&root.section("network"));
    let nodes_network = nodes_of(network.lan, network.founder);
    let rack = site.rack.clone();
    let site = Site {
        site,
        secrets,
        enrol: enrol(&root.section("enrol")),
        network,
        nodes: servers::nodes(&root.section("nodes")),
        role: role(&root.section("role")),
        install: servers::install(&root.section("install")),
        disks: servers::disks(&root.section("disks")),
        moosefs: moosefs(&root.section("moosefs"), nodes_network),
        backup: backup(&root.section("backup")),
        notify: notify(&root.section("notify")),
        nas: root.sections("nas").iter().map(|section| servers::nas(section, &rack)).collect(),
    };
    root.finish();
    site
}

/// Reads a second file, which holds secrets and nothing else.
pub(super) fn second(root: &Section) -> Second {
    let section = root.section("site");
    let hash = section
        .has("root_password_hash")
        .then(|| section.secret("root_password_hash", HASH, judge::password_hash).unwrap_or_default());
    let secrets = secrets(&section.section("secrets"));
    section.finish();
    root.finish();
    Second { hash, secrets }
}

fn or(value: Option<String>, default: &str) -> String {
    value.unwrap_or_else(|| default.to_owned())
}

/// A number that its range has already bounded, in its own type.
fn narrow<T: TryFrom<i64>>(number: Option<i64>, default: T) -> T {
    number.and_then(|number| T::try_from(number).ok()).unwrap_or(default)
}

fn general(section: &Section, second: Option<&Second>) -> (General, Secrets) {
    let given = second.and_then(|second| second.hash.clone());
    for (key, elsewhere) in [("root_password_hash", given.is_some()), ("secrets", second.is_some())] {
        if elsewhere && section.has(key) {
            section.note(key, "it here and in site.secrets_file", "it in one of the two files");
        }
    }
    // Who loads the file has followed it; text from elsewhere has no file beside it.
    if section.has("secrets_file") && second.is_none() {
        section.note("secrets_file", "a second file", "the secrets merged into this one, as `build` does");
    }
    let hash = match given {
        Some(hash) => hash,
        None => section.secret("root_password_hash", HASH, judge::password_hash).unwrap_or_default(),
    };
    let general = General {
        cluster_name: or(section.text("cluster_name", judge::cluster_name), "DLLL-CIAS"),
        domain: or(section.needed("domain", "the DNS domain of the nodes", judge::domain), ""),
        rack: or(section.text("rack", judge::label), "rack-a"),
        mail: or(section.needed("mail", "the administrator's mail address", judge::mail), ""),
        timezone: or(section.text("timezone", judge::timezone), "Europe/Berlin"),
        country: or(section.text("country", judge::country), "de"),
        keyboard: or(section.text("keyboard", judge::keyboard), "en-us"),
        root_password_hash: hash,
        ssh_keys: section.texts("ssh_keys", Show::KeyKind, keys::public).unwrap_or_default(),
    };
    let secrets = match second {
        Some(second) => second.secrets.clone(),
        None => secrets(&section.section("secrets")),
    };
    section.finish();
    (general, secrets)
}

fn secrets(section: &Section) -> Secrets {
    let made = "a secret as `cias-builder init` makes it";
    let secret = |key, accept: fn(&str) -> Result<String, String>| or(section.secret(key, made, accept), "");
    let half = "the public half of the key above it";
    let public = |key| or(section.shown_needed(key, Show::KeyKind, half, keys::public), "");
    let secrets = Secrets {
        key: secret("key", judge::key),
        join_key: secret("join_key", keys::private_or_forgotten),
        join_key_public: public("join_key_public"),
        enrol_host_key: secret("enrol_host_key", keys::private),
        enrol_host_key_public: public("enrol_host_key_public"),
        vrrp_password: secret("vrrp_password", judge::vrrp_password),
        // One that is wrong is not missing.
        relay_password: section
            .has("relay_password")
            .then(|| secret("relay_password", judge::relay_password)),
    };
    section.finish();
    keys::judge_pairs(&secrets, section.findings());
    secrets
}

fn enrol(section: &Section) -> Enrol {
    let mode = or(section.text("mode", judge::word(&["open", "window", "list", "approve"])), "open");
    let port = narrow(section.number("port", 1..=65535), 7322);
    if TAKEN_PORTS.contains(&port) {
        section.note("port", port.to_string(), "a port that no other service of a node uses, such as 7322");
    }
    section.finish();
    Enrol { mode, port }
}

fn network(section: &Section) -> Net {
    let address = |key, standard: [u8; 4]| {
        section.text(key, judge::address).unwrap_or_else(|| Ipv4Addr::from(standard))
    };
    let gateway = address("gateway", [10, 0, 0, 254]);
    let dns = section.texts("dns", Show::Value, judge::address);
    let count = section.length("dns").unwrap_or(1);
    if !(1..=3).contains(&count) {
        section.note(
            "dns",
            format!("a list of {count}"),
            "one to three addresses (the resolver reads no more)",
        );
    }
    let net = Net {
        lan: section.text("lan", judge::network).unwrap_or(Network::LAN),
        gateway,
        dns: dns.unwrap_or_else(|| vec![gateway]),
        vip: address("vip", [10, 254, 0, 254]),
        vrid: section.number("vrid", 1..=255).and_then(|number| u8::try_from(number).ok()),
        founder: address("founder", [10, 254, 0, 1]),
        bond_mode: or(section.text("bond_mode", judge::word(BOND_MODES)), "active-backup"),
        bond_miimon: narrow(section.number("bond_miimon", 10..=10000), 100),
        wan_address: section.text("wan_address", judge::interface),
        wan_gateway: section.text("wan_gateway", judge::address),
        witness: section.text("witness", judge::address),
    };
    section.finish();
    net
}

fn role(section: &Section) -> Role {
    let founder = section.section("founder");
    let (founder_mac, founder_serial) =
        (founder.text("mac", judge::mac), founder.text("serial", judge::serial));
    if founder.has("mac") && founder.has("serial") {
        founder.note("serial", "mac and serial", "only one of them");
    } else if section.has("founder") && !founder.has("mac") && !founder.has("serial") {
        section.note("founder", "neither mac nor serial", "one of them, or no founder at all");
    }
    founder.finish();
    let priority = section.word_or_number("priority", "auto", 0..=100);
    section.finish();
    Role { founder_mac, founder_serial, priority: priority.and_then(|number| u8::try_from(number).ok()) }
}

/// The network of the nodes' addresses, which begin as the founder's do: what else is in a wide LAN, such as guests, mounts nothing.
fn nodes_of(lan: Network, founder: Ipv4Addr) -> Network {
    let [a, b, _, _] = founder.octets();
    if lan.prefix < 16 { Network { base: Ipv4Addr::new(a, b, 0, 0), prefix: 16 } } else { lan }
}

fn moosefs(section: &Section, nodes: Network) -> Moosefs {
    let moosefs = Moosefs {
        goal: narrow(section.number("goal", 1..=9), 2),
        trash_time: narrow(section.number("trash_time", 0..=31_536_000), 86400),
        networks: section.texts("networks", Show::Value, judge::network).unwrap_or_else(|| vec![nodes]),
    };
    if section.length("networks") == Some(0) {
        section.note("networks", "an empty list", "at least one network: the nodes themselves must mount");
    }
    section.finish();
    moosefs
}

fn backup(section: &Section) -> Backup {
    let backup = Backup {
        guests: or(section.text("guests", judge::schedule), "0 2 * * 7"),
        gateway: or(section.text("gateway", judge::schedule), "0 2 * * 1"),
    };
    section.finish();
    backup
}

fn notify(section: &Section) -> Notify {
    let relay_user = section.text("relay_user", judge::relay_user);
    let relay_port = narrow(section.number("relay_port", 1..=65535), 25);
    if relay_port == SUBMISSIONS {
        section.note(
            "relay_port",
            relay_port.to_string(),
            "587 with relay_tls = \"required\": postfix 2.9 on the target begins in the clear and then asks for TLS, which 465 does not take",
        );
    }
    // A password is worth more than a mail: with a user nothing is sent in the clear.
    let tls = if section.has("relay_user") { "required" } else { "may" };
    let notify = Notify {
        mail: section.text("mail", judge::mail),
        relay: section.text("relay", judge::host),
        relay_port,
        relay_tls: or(section.text("relay_tls", judge::word(&["none", "may", "required"])), tls),
        relay_user,
        // The path of such a URL often is what lets its caller in.
        webhook: section.shown_text("webhook", Show::Nothing, judge::url),
    };
    section.finish();
    notify
}
