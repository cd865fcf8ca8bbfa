//! Reads a site file: every key once, with its default, its judge and its place.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::reader::{Finding, Findings, Section, parse};
use super::values::{self as judge, Network};
use super::{
    Backup, DiskFilter, Disks, Enrol, General, Install, Machine, Moosefs, Nas, Net, Nodes, Notify, Role,
    Secrets, Site, address,
};
use crate::outcome::Class;

const BOND_MODES: &[&str] =
    &["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

/// Sections of the design that no command uses yet.
const NOT_YET: [&str; 3] = ["gateway", "power", "watch"];

/// Reads the site file at `path`. A file that others may read, or any finding, is bad input; all findings are in the error.
pub fn load(path: &Path) -> Result<(Site, String)> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let mode =
        std::fs::metadata(path).with_context(|| format!("reading {shown}"))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Class::BadInput.error(format!(
            "{shown} holds secrets and its mode is {mode:04o}, wanted 0600: run `chmod 600 {shown}`"
        )));
    }
    match from_text(&text) {
        Ok(site) => Ok((site, text)),
        Err(findings) => {
            let lines: Vec<String> = findings.iter().map(|finding| format!("{shown}:{finding}")).collect();
            Err(Class::BadInput.error(format!(
                "{} finding(s), mend them and run `cias-builder check {shown}` again:\n{}",
                findings.len(),
                lines.join("\n")
            )))
        }
    }
}

/// Reads a site from text; on failure all findings, in the order of the file.
pub fn from_text(text: &str) -> Result<Site, Vec<Finding>> {
    let findings = Findings::new(text);
    let site = parse(text, &findings).and_then(|document| {
        let root = Section::root(document.as_table(), &findings);
        let site = site(&root);
        root.finish();
        site
    });
    if let Some(site) = &site {
        address::judge(site, text, &findings);
    }
    let list = findings.into_list();
    match site {
        Some(site) if list.is_empty() => Ok(site),
        _ => Err(list),
    }
}

fn site(root: &Section) -> Option<Site> {
    if root.number("schema", 1..=1).is_none() && !root.has("schema") {
        root.note("schema", "nothing", "schema = 1 in the first line");
    }
    for name in NOT_YET {
        if root.has(name) {
            root.note(name, "a section that nothing uses", "no such section: not yet in this version");
        }
    }
    // Each part is read before any is missed, so that one run shows all findings.
    let (general, secrets) = general(&root.section("site"));
    let enrol = enrol(&root.section("enrol"));
    let network = network(&root.section("network"));
    let nodes = nodes(&root.section("nodes"));
    let role = role(&root.section("role"));
    let install = install(&root.section("install"));
    let disks = disks(&root.section("disks"));
    let moosefs = moosefs(&root.section("moosefs"), network.as_ref().map(|net| net.lan));
    let backup = backup(&root.section("backup"));
    let notify = notify(&root.section("notify"));
    let nas = root.sections("nas").into_iter().map(|section| nas(&section)).collect::<Option<Vec<_>>>();
    Some(Site {
        site: general?,
        secrets: secrets?,
        enrol,
        network: network?,
        nodes,
        role,
        install: install?,
        disks,
        moosefs,
        backup,
        notify,
        nas: nas?,
    })
}

fn or(value: Option<String>, default: &str) -> String {
    value.unwrap_or_else(|| default.to_owned())
}

fn general(section: &Section) -> (Option<General>, Option<Secrets>) {
    let cluster_name = or(section.text("cluster_name", judge::cluster_name), "DLLL-CIAS");
    let domain = section.needed("domain", "the DNS domain of the nodes", judge::domain);
    let rack = or(section.text("rack", judge::label), "rack-a");
    let mail = section.needed("mail", "the administrator's mail address", judge::mail);
    let timezone = or(section.text("timezone", judge::timezone), "Europe/Berlin");
    let country = or(section.text("country", judge::country), "de");
    let keyboard = or(section.text("keyboard", judge::keyboard), "en-us");
    let hash = section.secret("root_password_hash", judge::password_hash);
    let ssh_keys = section.texts("ssh_keys", judge::public_key).unwrap_or_default();
    let inner = section.section("secrets");
    let secrets = secrets(&inner);
    inner.finish();
    section.finish();
    let general = domain.zip(mail).zip(hash).map(|((domain, mail), root_password_hash)| General {
        cluster_name,
        domain,
        rack,
        mail,
        timezone,
        country,
        keyboard,
        root_password_hash,
        ssh_keys,
    });
    (general, secrets)
}

fn secrets(section: &Section) -> Option<Secrets> {
    let key = section.secret("key", judge::key);
    let join_key = section.secret("join_key", judge::private_key);
    let join_key_public = section.needed("join_key_public", "the public half of join_key", judge::public_key);
    let enrol_host_key = section.secret("enrol_host_key", judge::private_key);
    let enrol_host_key_public =
        section.needed("enrol_host_key_public", "the public half of enrol_host_key", judge::public_key);
    let vrrp_password = section.secret("vrrp_password", judge::vrrp_password);
    Some(Secrets {
        key: key?,
        join_key: join_key?,
        join_key_public: join_key_public?,
        enrol_host_key: enrol_host_key?,
        enrol_host_key_public: enrol_host_key_public?,
        vrrp_password: vrrp_password?,
    })
}

fn enrol(section: &Section) -> Enrol {
    let mode = or(section.text("mode", judge::word(&["open", "window", "list", "approve"])), "open");
    let port = narrow(section.number("port", 1..=65535), 7322);
    section.finish();
    Enrol { mode, port }
}

fn network(section: &Section) -> Option<Net> {
    let lan = section.text("lan", judge::network).or_else(|| default("10.0.0.0/8", judge::network));
    let address =
        |key, standard| section.text(key, judge::address).or_else(|| default(standard, judge::address));
    let gateway = address("gateway", "10.0.0.254");
    let vip = address("vip", "10.254.0.254");
    let founder = address("founder", "10.254.0.1");
    let dns = section.texts("dns", judge::address);
    if dns.as_ref().is_some_and(|list| list.is_empty() || list.len() > 3) {
        section.note("dns", "a list of another length", "one to three addresses");
    }
    let net = Net {
        lan: lan?,
        gateway: gateway?,
        dns: dns.unwrap_or_else(|| vec![gateway.unwrap_or(Ipv4Addr::LOCALHOST)]),
        vip: vip?,
        founder: founder?,
        bond_mode: or(section.text("bond_mode", judge::word(BOND_MODES)), "active-backup"),
        bond_miimon: narrow(section.number("bond_miimon", 10..=10000), 100),
        wan_address: section.text("wan_address", judge::address),
        wan_gateway: section.text("wan_gateway", judge::address),
        witness: section.text("witness", judge::address),
    };
    section.finish();
    Some(net)
}

fn nodes(section: &Section) -> Nodes {
    let pair = |key, standard: (u8, u8), least: u8| {
        let judged = section.text(key, |text| {
            let parsed =
                text.split_once("..").and_then(|(a, b)| Some((a.parse::<u8>().ok()?, b.parse::<u8>().ok()?)));
            parsed.filter(|(a, b)| a <= b && *a >= least && *b <= 254).ok_or_else(|| {
                format!("FIRST..LAST between {least} and 254, such as {}..{}", standard.0, standard.1)
            })
        });
        judged.unwrap_or(standard)
    };
    let rows = pair("rows", (1, 5), 0);
    let positions = pair("positions", (1, 99), 1);
    let name_pattern = section.text("name_pattern", |text| {
        let rendered = text.replace("{rack}", "a").replace("{row}", "1").replace("{pos}", "1");
        let whole = text.contains("{row}") && text.contains("{pos}");
        if whole && judge::label(&rendered).is_ok() {
            Ok(text.to_owned())
        } else {
            Err("letters, digits and hyphens with {row}, {pos} and, if wanted, {rack}".into())
        }
    });
    let machine = section.sections("machine").into_iter().map(|section| machine(&section)).collect();
    let nodes = Nodes { rows, positions, name_pattern: or(name_pattern, "pve-{rack}-{row}-{pos}"), machine };
    section.finish();
    nodes
}

fn machine(section: &Section) -> Machine {
    let machine = Machine {
        mac: section.text("mac", judge::mac),
        serial: section.text("serial", judge::line),
        rack: section.text("rack", judge::label),
        position: section.text("position", judge::position),
        address: section.text("address", judge::address),
        priority: section.number("priority", 0..=100).and_then(|number| u8::try_from(number).ok()),
        disk: {
            let inner = section.section("install");
            let filter = inner.has("disk").then(|| disk_filter(&inner.section("disk")));
            inner.finish();
            filter
        },
    };
    if !section.has("mac") && !section.has("serial") {
        section.note("mac", "neither mac nor serial", "one of them, so that the entry matches a server");
    }
    section.finish();
    machine
}

fn role(section: &Section) -> Role {
    let founder = section.section("founder");
    let (founder_mac, founder_serial) =
        (founder.text("mac", judge::mac), founder.text("serial", judge::line));
    if founder.has("mac") && founder.has("serial") {
        founder.note("serial", "mac and serial", "only one of them");
    }
    founder.finish();
    let priority =
        match section.text_or_number("priority", 0..=100, "\"auto\" or a whole number from 0 to 100") {
            Some(Ok(number)) => u8::try_from(number).ok(),
            Some(Err(word)) => {
                if word != "auto" {
                    section.note("priority", format!("{word:?}"), "\"auto\" or a whole number from 0 to 100");
                }
                None
            }
            None => None,
        };
    section.finish();
    Role { founder_mac, founder_serial, priority }
}

fn install(section: &Section) -> Option<Install> {
    let accepted = section.flag("accept_eula");
    if accepted == Some(false) || !section.has("accept_eula") {
        let found = accepted.map_or("nothing", |_| "false");
        section.note("accept_eula", found, "true, once you have read and accepted the licence of Proxmox VE");
    }
    let sizes = ["hdsize", "swapsize", "maxroot", "minfree", "maxvz"];
    let sizes = sizes.into_iter().filter_map(|name| {
        let least = i64::from(name == "hdsize") * 7 + 1;
        section.number(name, least..=1_000_000).map(|gib| (name.to_owned(), narrow(Some(gib), 0)))
    });
    let install = Install {
        accept_eula: accepted?,
        sizes: sizes.collect(),
        filesystem: or(section.text("filesystem", judge::word(&["ext3", "ext4"])), "ext3"),
        disk: disk_filter(&section.section("disk")),
        countdown: narrow(section.number("countdown", 0..=600), 10),
    };
    section.finish();
    Some(install)
}

fn disk_filter(section: &Section) -> DiskFilter {
    let gib = |key| section.number(key, 1..=10_000_000).map(|gib| narrow(Some(gib), 0));
    let filter = DiskFilter {
        path: section.text("path", |text| {
            let name = text.strip_prefix("/dev/").unwrap_or("");
            let legal = !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '/')
                && !name.starts_with("disk/");
            legal.then(|| text.to_owned()).ok_or_else(|| "a kernel name such as /dev/sda".into())
        }),
        serial: section.text("serial", judge::line),
        model: section.text("model", judge::line),
        min_gib: gib("min_gib"),
        max_gib: gib("max_gib"),
        pick: section.text("pick", judge::word(&["smallest", "largest", "first"])),
    };
    if let (Some(min), Some(max)) = (filter.min_gib, filter.max_gib)
        && min > max
    {
        section.note("max_gib", max.to_string(), format!("at least min_gib, which is {min}"));
    }
    section.finish();
    filter
}

fn disks(section: &Section) -> Disks {
    let disks = Disks {
        wipe: or(section.text("wipe", judge::word(&["blank", "foreign", "all"])), "blank"),
        models: section.texts("match", judge::line).unwrap_or_default(),
        inode_ratio: narrow(section.number("inode_ratio", 65536..=67_108_864), 4_194_304),
        journal_mib: narrow(section.number("journal_mib", 4..=1024), 64),
    };
    section.finish();
    disks
}

fn moosefs(section: &Section, lan: Option<Network>) -> Moosefs {
    let moosefs = Moosefs {
        goal: narrow(section.number("goal", 1..=9), 2),
        trash_time: narrow(section.number("trash_time", 0..=31_536_000), 86400),
        networks: section.texts("networks", judge::network).unwrap_or_else(|| lan.into_iter().collect()),
    };
    section.finish();
    moosefs
}

fn backup(section: &Section) -> Backup {
    let schedule = |text: &str| {
        let fields = text.split(' ').count() == 5;
        let good = fields && text.chars().all(|c| c.is_ascii_alphanumeric() || " */,-".contains(c));
        good.then(|| text.to_owned()).ok_or_else(|| "five fields as in crontab, such as 0 1 * * *".to_owned())
    };
    let backup = Backup {
        guests: or(section.text("guests", schedule), "0 1 * * *"),
        gateway: or(section.text("gateway", schedule), "0 3 * * 0"),
    };
    section.finish();
    backup
}

fn notify(section: &Section) -> Notify {
    let notify = Notify {
        mail: section.text("mail", judge::mail),
        relay: section.text("relay", |text| {
            judge::address(text).map(|ip| ip.to_string()).or_else(|_| judge::domain(text))
        }),
        webhook: section.text("webhook", |text| {
            let good = ["http://", "https://"]
                .iter()
                .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
            good.then(|| text.to_owned()).ok_or_else(|| "an http:// or https:// URL".into())
        }),
    };
    section.finish();
    notify
}

fn nas(section: &Section) -> Option<Nas> {
    let name = section.needed("name", "a host name", judge::label);
    let address = section.needed("address", "an address in the LAN", judge::address);
    section.finish();
    Some(Nas { name: name?, address: address? })
}

fn default<T>(text: &str, judge: impl Fn(&str) -> Result<T, String>) -> Option<T> {
    judge(text).ok()
}

/// A number that its range has already bounded, in its own type.
fn narrow<T: TryFrom<i64>>(number: Option<i64>, default: T) -> T {
    number.and_then(|number| T::try_from(number).ok()).unwrap_or(default)
}
