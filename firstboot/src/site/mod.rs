//! The schema of `site.toml`, version 1: what it says, and everything that is wrong with it in one run.

mod address;
pub mod document;
pub mod findings;
mod judge;
pub mod keys;
mod load;
mod read;
pub mod reader;
mod shown;
mod source;
pub mod tables;
pub mod values;

use std::net::Ipv4Addr;

use serde::Serialize;

pub use address::{Place, Who, is_placeholder};
pub use findings::Finding;
pub use load::{Loaded, beside, examine, examine_with, from_text, load, load_of_node, refusal};
pub use shown::{Show, shown_value, visible};
pub use values::{Interface, Network};

/// A whole site. Serialised it carries no secret.
#[derive(Clone, Debug, Serialize)]
pub struct Site {
    /// `[site]`
    pub site: General,
    /// `[site.secrets]`
    #[serde(skip)]
    pub secrets: Secrets,
    /// `[enrol]`
    pub enrol: Enrol,
    /// `[network]`
    pub network: Net,
    /// `[nodes]`
    pub nodes: Nodes,
    /// `[role]`
    pub role: Role,
    /// `[install]`
    pub install: Install,
    /// `[disks]`
    pub disks: Disks,
    /// `[moosefs]`
    pub moosefs: Moosefs,
    /// `[backup]`
    pub backup: Backup,
    /// `[notify]`
    pub notify: Notify,
    /// `[[nas]]`
    pub nas: Vec<Nas>,
}

/// `[site]`: what all nodes share.
#[derive(Clone, Serialize)]
pub struct General {
    /// Name of the cluster.
    pub cluster_name: String,
    /// DNS domain of the nodes.
    pub domain: String,
    /// Where the nodes stand, if `[[nodes.machine]]` says nothing else; a part of their names.
    pub rack: String,
    /// The administrator.
    pub mail: String,
    /// As `Europe/Berlin`.
    pub timezone: String,
    /// Two-letter code.
    pub country: String,
    /// Id in the image's `country.dat`.
    pub keyboard: String,
    /// `$5$` or `$6$`.
    #[serde(skip)]
    pub root_password_hash: String,
    /// Public keys for root.
    pub ssh_keys: Vec<String>,
}

impl std::fmt::Debug for General {
    /// As it is serialised: without the hash.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

/// `[site.secrets]`, made by `cias-builder init`.
#[derive(Clone, Default)]
pub struct Secrets {
    /// 64 hexadecimal digits; signs frames and the site's region.
    pub key: String,
    /// Private key, PEM, that a node joins with.
    pub join_key: String,
    /// Its public half.
    pub join_key_public: String,
    /// Private host key, PEM, of the enrolment service.
    pub enrol_host_key: String,
    /// Its public half.
    pub enrol_host_key_public: String,
    /// Eight characters.
    pub vrrp_password: String,
    /// Of `notify.relay_user`.
    pub relay_password: Option<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secrets")
    }
}

/// `[enrol]`: who may join, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Enrol {
    /// `open`, `window`, `list` or `approve`.
    pub mode: String,
    /// TCP port of the enrolment service.
    pub port: u16,
}

/// `[network]`
#[derive(Clone, Debug, Serialize)]
pub struct Net {
    /// The segment that all nodes share.
    pub lan: Network,
    /// Default gateway.
    pub gateway: Ipv4Addr,
    /// Resolvers, at most three.
    pub dns: Vec<Ipv4Addr>,
    /// The Master's role address.
    pub vip: Ipv4Addr,
    /// The number by which the site's VRRP messages are told from others on the same wire; nothing stands for one from the site's key.
    pub vrid: Option<u8>,
    /// The founder's own, permanent address (docs/facts.md 12).
    pub founder: Ipv4Addr,
    /// Mode of bond0.
    pub bond_mode: String,
    /// How often bond0 looks for carrier, in milliseconds.
    pub bond_miimon: u16,
    /// The Master's address outside, in the upstream network.
    pub wan_address: Option<Interface>,
    /// The upstream gateway.
    pub wan_gateway: Option<Ipv4Addr>,
    /// Decides in a site of two nodes.
    pub witness: Option<Ipv4Addr>,
}

/// `[nodes]`
#[derive(Clone, Debug, Serialize)]
pub struct Nodes {
    /// First two octets are those of the founder; rows are the third, positions the fourth.
    pub rows: (u8, u8),
    /// First and last position in a row.
    pub positions: (u8, u8),
    /// With `{rack}`, `{row}` and `{pos}`.
    pub name_pattern: String,
    /// `[[nodes.machine]]`
    pub machine: Vec<Machine>,
}

/// `[[nodes.machine]]`: what differs on one server.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// Matches any NIC's permanent MAC address, in lower case.
    pub mac: Option<String>,
    /// Matches the serial number that the firmware reports.
    pub serial: Option<String>,
    /// Instead of `site.rack`.
    pub rack: Option<String>,
    /// Row and position.
    pub position: Option<(u8, u8)>,
    /// Instead of the address that follows from the position.
    pub address: Option<Ipv4Addr>,
    /// Instead of `role.priority`.
    pub priority: Option<u8>,
    /// Instead of `[install.disk]`.
    pub disk: Option<DiskFilter>,
}

/// `[role]`
#[derive(Clone, Debug, Serialize)]
pub struct Role {
    /// Pins the founder by MAC.
    pub founder_mac: Option<String>,
    /// Pins the founder by serial number.
    pub founder_serial: Option<String>,
    /// 0 (never Master) to 100; nothing stands for `"auto"`: from the hardware.
    pub priority: Option<u8>,
}

/// `[install]`
#[derive(Clone, Debug, Serialize)]
pub struct Install {
    /// The vendor's licence was read and accepted.
    pub accept_eula: bool,
    /// `ext3` or `ext4`.
    pub filesystem: String,
    /// Sizes in GiB, as words of the vendor's kernel line: hdsize, swapsize, maxroot, minfree, maxvz.
    pub sizes: Vec<(String, u32)>,
    /// Which disk becomes the system's.
    pub disk: DiskFilter,
    /// Time in which a person can still stop the installation, in seconds.
    pub countdown: u16,
}

/// `[install.disk]`: filters that the system disk must pass, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskFilter {
    /// As `/dev/sda`.
    pub path: Option<String>,
    /// The disk's own serial number.
    pub serial: Option<String>,
    /// Model with `*` and `?`.
    pub model: Option<String>,
    /// Least size in GiB.
    pub min_gib: Option<u32>,
    /// Greatest size in GiB.
    pub max_gib: Option<u32>,
    /// `smallest`, `largest` or `first` of those left; without it exactly one must be left.
    pub pick: Option<String>,
}

/// `[disks]`: the data disks.
#[derive(Clone, Debug, Serialize)]
pub struct Disks {
    /// `blank`, `foreign` or `all`.
    pub wipe: String,
    /// Models with `*` and `?` that are data disks; none means all.
    pub models: Vec<String>,
    /// Bytes per inode.
    pub inode_ratio: u32,
    /// Size of the journal in MiB, at most.
    pub journal_mib: u32,
}

/// `[moosefs]`
#[derive(Clone, Debug, Serialize)]
pub struct Moosefs {
    /// Copies of each chunk.
    pub goal: u8,
    /// How long deleted files are kept, in seconds.
    pub trash_time: u32,
    /// Who may mount.
    pub networks: Vec<Network>,
}

/// `[backup]`: the two schedules, as cron writes times.
#[derive(Clone, Debug, Serialize)]
pub struct Backup {
    /// Of all guests.
    pub guests: String,
    /// Of the gateway.
    pub gateway: String,
}

/// `[notify]`
#[derive(Clone, Serialize)]
pub struct Notify {
    /// Instead of `site.mail`.
    pub mail: Option<String>,
    /// Host that takes mail.
    pub relay: Option<String>,
    /// Its TCP port.
    pub relay_port: u16,
    /// `none`, `may` or `required`.
    pub relay_tls: String,
    /// Who the nodes are to it.
    pub relay_user: Option<String>,
    /// URL that gets a POST. Its path may be a secret, so that only its host is serialised.
    #[serde(serialize_with = "values::serialize_host")]
    pub webhook: Option<String>,
}

impl std::fmt::Debug for Notify {
    /// As it is serialised: without what may be a secret.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

/// `[[nas]]`: a storage server beside the cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Nas {
    /// Host name.
    pub name: String,
    /// Its address in the LAN.
    pub address: Ipv4Addr,
    /// What lies on it, out of [`Nas::CONTENT`].
    pub content: Vec<String>,
}

impl Nas {
    /// What may lie on one. No images: a guest whose disk is on one NAS stops with it.
    pub const CONTENT: &[&str] = &["backup", "iso", "vztmpl"];

    /// The network of the original plan for them, in a LAN that has it.
    pub const NETWORK: Network = Network { base: Ipv4Addr::new(10, 253, 0, 0), prefix: 16 };

    /// The address that belongs to a row and position.
    pub(crate) fn address_of((row, pos): (u8, u8)) -> Ipv4Addr {
        let [a, b, _, _] = Self::NETWORK.base.octets();
        Ipv4Addr::new(a, b, row, pos)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A site file as `cias-builder init` writes it, in short.
    pub(crate) fn example() -> String {
        let encode = |parts: &[&[u8]]| {
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, parts.concat())
        };
        // Key material of no key, but with the marks of one: the curve's identifier, and the same point in both halves.
        let key = encode(&[b"\0\0\0\x13ecdsa-sha2-nistp256\0\0\0\x08nistp256\0\0\0A\x04", &[7; 64]]);
        let body = encode(&[b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04", &[7; 64]]);
        let pem = format!("\"\"\"-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY-----\"\"\"");
        format!(
            "schema = 1\n[site]\ndomain = \"example.com\"\nmail = \"admin@example.com\"\nroot_password_hash = \"$6$salt${}\"\n\
             [site.secrets]\nkey = \"{}\"\njoin_key = {pem}\njoin_key_public = \"ecdsa-sha2-nistp256 {key}\"\n\
             enrol_host_key = {pem}\nenrol_host_key_public = \"ecdsa-sha2-nistp256 {key}\"\nvrrp_password = \"abcd1234\"\n\
             [install]\naccept_eula = true\n",
            "a".repeat(86),
            "5a".repeat(32)
        )
    }

    #[test]
    fn the_example_is_a_site_with_the_plans_defaults() {
        let site = from_text(&example()).unwrap();
        assert_eq!(site.network.founder, Ipv4Addr::new(10, 254, 0, 1));
        assert_eq!(site.founder_place(None).fqdn, "pve-rack-a-0-1.example.com");
        assert!(!serde_json::to_string(&site).unwrap().contains("$6$"));
    }

    #[test]
    fn two_entries_for_one_server_are_refused() {
        let text =
            example() + "[[nodes.machine]]\nserial = \"A\"\n[[nodes.machine]]\nmac = \"52:54:00:00:00:01\"\n";
        let site = from_text(&text).unwrap();
        let who = Who { macs: vec!["52:54:00:00:00:01".into()], serial: Some("A".into()) };
        assert!(site.machine(&who).unwrap_err().to_string().contains("two entries"));
        assert_eq!(
            site.machine(&Who { serial: None, ..who }).unwrap().unwrap().mac.as_deref(),
            Some("52:54:00:00:00:01")
        );
    }
}
