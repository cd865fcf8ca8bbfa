//! What follows from a site: who becomes what, before any server has been seen. Pure.

use std::fmt::Write;
use std::net::Ipv4Addr;

use cias_firstboot::keepalived::conf;
use cias_firstboot::site::{DiskFilter, Machine, Place, Site};
use serde::Serialize;

/// The plan of a site.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The first node.
    pub founder: Founder,
    /// Address of the Master's role, which moves.
    pub master: Ipv4Addr,
    /// What the other nodes get.
    pub pool: Pool,
    /// The servers that the site names.
    pub machines: Vec<Server>,
}

/// The node that founds the cluster.
#[derive(Debug, Serialize)]
pub struct Founder {
    /// What pins it, if anything.
    pub pinned_by: Option<String>,
    /// Its address and names, which it keeps.
    #[serde(flatten)]
    pub place: Place,
}

/// Addresses that are handed out one by one.
#[derive(Debug, Serialize)]
pub struct Pool {
    /// The first address.
    pub first: Ipv4Addr,
    /// Name that belongs to it.
    pub first_name: String,
    /// The last address.
    pub last: Ipv4Addr,
    /// Name that belongs to it.
    pub last_name: String,
    /// Number of addresses.
    pub nodes: u32,
}

/// One entry of `[[nodes.machine]]`.
#[derive(Debug, Serialize)]
pub struct Server {
    /// What it is known by.
    pub matched_by: String,
    /// Is it the founder?
    pub founder: bool,
    /// Address and names, if the entry fixes them.
    pub place: Option<Place>,
    /// Its priority; nothing stands for "from the hardware".
    pub priority: Option<u8>,
    /// Which disk becomes the system's.
    pub disk: DiskFilter,
}

impl Plan {
    /// The plan that follows from `site`.
    pub fn new(site: &Site) -> Self {
        let (mac, serial) = (&site.role.founder_mac, &site.role.founder_serial);
        let founds = |machine: &&Machine| {
            mac.is_some() && machine.mac == *mac || serial.is_some() && machine.serial == *serial
        };
        let (rows, positions) = (site.nodes.rows, site.nodes.positions);
        let (first, last) = ((rows.0, positions.0), (rows.1, positions.1));
        let number = |range: (u8, u8)| u32::from(range.1 - range.0) + 1;
        let server = |machine: &Machine| {
            let founder = founds(&machine);
            Server {
                matched_by: known_by(machine.mac.as_deref(), machine.serial.as_deref()).unwrap_or_default(),
                founder,
                place: if founder {
                    Some(site.founder_place(Some(machine)))
                } else {
                    site.entry_place(machine)
                },
                priority: machine.priority.or(site.role.priority),
                disk: machine.disk.clone().unwrap_or_else(|| site.install.disk.clone()),
            }
        };
        Self {
            founder: Founder {
                pinned_by: known_by(mac.as_deref(), serial.as_deref()),
                place: site.founder_place(site.nodes.machine.iter().find(founds)),
            },
            master: site.network.vip,
            pool: Pool {
                first: site.address_of(first),
                first_name: site.pool_place(None, first).name,
                last: site.address_of(last),
                last_name: site.pool_place(None, last).name,
                nodes: number(rows) * number(positions),
            },
            machines: site.nodes.machine.iter().map(server).collect(),
        }
    }

    /// The plan for a person.
    pub fn text(&self, site: &Site) -> String {
        let (founder, pool, net) = (&self.founder, &self.pool, &site.network);
        let pinned = match &founder.pinned_by {
            Some(what) => format!("pinned by {what}"),
            None => "pinned by nobody: pin one in [role], or every server waits".into(),
        };
        let outside = net.wan_address.zip(net.wan_gateway).map(|(wan, gateway)| {
            format!("outside   {}/{}, gateway {gateway}\n", wan.address, wan.network.prefix)
        });
        // A site without findings has a key.
        let vrid = conf::vrid(site).map_or(String::new(), |vrid| format!(", VRRP number {vrid}"));
        let mut text = format!(
            "cluster   {} ({})\n\
             founder   {} at {}, {pinned}\n\
             nodes     {} to {}, room for {}\n\
             names     {} to {}\n\
             Master    {} (moves with the role){vrid}\n\
             network   {}/{}, gateway {}, bond0 {} below vmbr0\n{}",
            site.site.cluster_name,
            site.site.domain,
            founder.place.fqdn,
            founder.place.address,
            pool.first,
            pool.last,
            pool.nodes,
            pool.first_name,
            pool.last_name,
            self.master,
            net.lan.base,
            net.lan.prefix,
            net.gateway,
            net.bond_mode,
            outside.unwrap_or_default(),
        );
        let data = match site.disks.wipe.as_str() {
            "blank" => "blank ones only",
            "foreign" => "also those with foreign data",
            _ => "all that are not in use",
        };
        let mail = site.notify.mail.as_ref().unwrap_or(&site.site.mail);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "system    {} on the disk: {}\n\
             data      {}; may be formatted: {data}\n\
             joining   {} on port {}\n\
             mail      {mail}\n",
            site.install.filesystem,
            rule(&site.install.disk),
            models(&site.disks.models),
            site.enrol.mode,
            site.enrol.port,
        );
        for server in &self.machines {
            let place = match &server.place {
                Some(place) => format!("{} at {}", place.fqdn, place.address),
                None => "the next free place".into(),
            };
            let role = if server.founder { "founder, " } else { "" };
            let priority = server.priority.map_or("from the hardware".into(), |number| number.to_string());
            let _ = writeln!(
                text,
                "machine   {}: {role}{place}, priority {priority}, system on the disk: {}",
                server.matched_by,
                rule(&server.disk)
            );
        }
        text
    }
}

fn known_by(mac: Option<&str>, serial: Option<&str>) -> Option<String> {
    let names = [("MAC", mac), ("serial", serial)];
    let names: Vec<String> =
        names.iter().filter_map(|(what, name)| name.map(|name| format!("{what} {name}"))).collect();
    (!names.is_empty()).then(|| names.join(" or "))
}

/// Which disks pass, in words.
fn rule(filter: &DiskFilter) -> String {
    let text = |key: &str, value: &Option<String>| value.as_ref().map(|value| format!("{key} {value}"));
    let size = |key: &str, gib: Option<u32>| gib.map(|gib| format!("{key} {gib} GiB"));
    let parts = [
        text("path", &filter.path),
        text("serial", &filter.serial),
        text("model", &filter.model),
        size("at least", filter.min_gib),
        size("at most", filter.max_gib),
        filter.pick.as_ref().map(|pick| format!("the {pick} of these")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "the only one there is".into() } else { parts.join(", ") }
}

fn models(models: &[String]) -> String {
    if models.is_empty() {
        "every other disk".into()
    } else {
        format!("other disks of {}", models.join(", "))
    }
}
