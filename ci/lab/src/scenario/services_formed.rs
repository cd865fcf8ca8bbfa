//! A cluster with all its services, and what is beside it on the segment: a NAS, a mail relay, a webhook's service, and the way out.

use anyhow::{Context, Result, ensure};
use cias_firstboot::runner::Call;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::Lab;
use super::fleet::{Fleet, Mould, unpin};
use super::formed::{self, CLUSTER, NODES};
use super::road::{self, BOOT, PHASES};
use crate::guest::{self, Guest};
use crate::nas::Nas;
use crate::net::{GATEWAY, Net};
use crate::phases::Phases;
use crate::sink::Sink;
use crate::sink::http::{self, Post};
use crate::sink::smtp::{self, Mail};

/// What these states are made from, besides the fleet.
pub const RECIPE: &str = include_str!("services_formed.rs");

/// The role address, by the plan.
pub const VIP: &str = "10.254.0.254";

/// The address outside, and the gateway there.
pub const OUTSIDE: (&str, &str) = ("192.168.56.101", "192.168.56.1");

/// The site's NAS.
pub const NAS: (&str, &str) = ("nas-1", "10.253.1.1");

/// Where the site's webhook leads.
pub const HOOK: &str = "/hook/T0KEN";

/// The folder of the saved cluster of three.
pub const THREE: &str = "saved-services";

/// Memory of a server in MiB: with less the metadata server is killed at the first mount.
const MEMORY: u32 = 1280;

/// The site's mail address.
const ADMINISTRATOR: &str = "admin@example.com";

/// Servers of the lab's site with a NAS, a way out and notifications; nobody is pinned.
pub fn mould(lab: &Lab) -> Result<Mould> {
    Ok(Mould::changed(lab, "services-site", site)?.with_memory(MEMORY))
}

fn site(site: &mut DocumentMut) {
    unpin(site);
    site["network"]["wan_address"] = value(format!("{}/24", OUTSIDE.0));
    site["network"]["wan_gateway"] = value(OUTSIDE.1);
    let mut nas = Table::new();
    nas["name"] = value(NAS.0);
    nas["address"] = value(NAS.1);
    site["nas"] = Item::ArrayOfTables([nas].into_iter().collect::<ArrayOfTables>());
    site["notify"]["relay"] = value(GATEWAY);
    site["notify"]["webhook"] = value(format!("http://{GATEWAY}:{}{HOOK}", http::PORT));
}

/// What is beside the cluster on its segment.
pub struct Beside<'n> {
    /// The NAS.
    pub nas: Nas<'n>,
    /// The relay.
    pub mails: Sink<Mail>,
    /// The webhook's service.
    pub posts: Sink<Post>,
}

impl<'n> Beside<'n> {
    /// Switches all of it on.
    pub fn start(fleet: &'n Fleet) -> Result<Self> {
        let net: &Net = &fleet.net;
        net.run(&Call::new("ip").args(["address", "add", &format!("{}/24", OUTSIDE.1), "dev", "lan"]))?;
        // One for all scenarios, as for the saved cluster that they go on from.
        let folder = fleet.folder.parent().context("finding the folder of the scenarios")?;
        Ok(Self {
            nas: Nas::start(net, folder, NAS.0, NAS.1)?,
            mails: smtp::listen(net)?,
            posts: http::listen(net)?,
        })
    }

    /// Waits until the administrator was told by mail and by the webhook that the cluster was founded, and of each node that it joined.
    pub fn has_told(&self, fleet: &Fleet, guests: &mut [Guest], addresses: &[&str]) -> Result<()> {
        let mut wanted = vec![("founded", format!("[{CLUSTER}] the cluster {CLUSTER} was founded"))];
        for address in &addresses[1..] {
            let name = fleet.node(address).ask("hostname")?;
            wanted.push(("joined", format!("[{CLUSTER}] {name}")));
        }
        for (event, subject) in wanted {
            guest::all(guests, &format!("mail {subject:?}"), BOOT, |_| {
                Ok(self.mails.received().iter().any(|mail| is_told(mail, &subject)).then_some(()))
            })?;
            guest::all(guests, &format!("post of the event {event}"), BOOT, |_| {
                Ok(self.posts.received().iter().any(|post| is_posted(post, event)).then_some(()))
            })?;
        }
        for mail in self.mails.received() {
            for line in ["\nNode      pve-rack-a-", "\nNext try  ", "\nWay out   "] {
                ensure!(mail.text.contains(line), "found {mail:?}, wanted a line {line:?}");
            }
            let sender = mail.from.starts_with("root@pve-") && mail.from.ends_with(".example.com");
            ensure!(
                sender && mail.to == [ADMINISTRATOR],
                "found {mail:?}, wanted one of a node to {ADMINISTRATOR}"
            );
        }
        for post in self.posts.received() {
            let json = post.json();
            for key in ["node", "role", "reason", "way_out", "time"] {
                let said = json[key].as_str().is_some_and(|text| !text.is_empty());
                ensure!(said, "found {post:?}, wanted text for {key}");
            }
        }
        let count = |event: &str| self.posts.received().iter().filter(|post| is_posted(post, event)).count();
        ensure!(
            (count("founded"), count("joined")) == (1, addresses.len() - 1),
            "found the posts {:?}, wanted one that the cluster was founded, and one for each other node",
            self.posts.received()
        );
        Ok(())
    }
}

/// Is it the mail with this subject, or with a longer one for a node's join?
fn is_told(mail: &Mail, subject: &str) -> bool {
    mail.head("Subject").is_some_and(|found| {
        found == subject || (found.starts_with(subject) && found.ends_with(" has joined"))
    })
}

/// Is it a post of this event?
pub fn is_posted(post: &Post, event: &str) -> bool {
    let json = post.json();
    post.path == HOOK
        && post.kind == "application/json"
        && json["event"] == event
        && json["cluster"] == CLUSTER
}

/// Three servers that were switched on together and have all services; the administrator was told of it.
pub fn three(lab: &Lab, name: &str) -> Result<Fleet> {
    Fleet::saved(lab, &mould(lab)?, name, (THREE, 3), |fleet, guests| {
        // Each of them was made from that installation, and is on since a moment ago.
        let mut phases = Phases::after(&road::installation(lab)?.join(PHASES))?;
        let beside = Beside::start(fleet)?;
        up(fleet, guests, &NODES, &mut phases)?;
        phases.end(&fleet.folder.join(PHASES))?;
        formed::whole(fleet, &NODES)?;
        beside.has_told(fleet, guests, &NODES)
    })
}

/// Waits until the nodes at `addresses` have all services and all is done, and notes when each got there.
pub fn up(fleet: &Fleet, guests: &mut [Guest], addresses: &[&str], phases: &mut Phases) -> Result<()> {
    guest::all(guests, "services on all nodes", BOOT * 5, |_| {
        for address in addresses {
            let [settled, mounted, done] =
                ["identity settled", "storage mounted", "all done"].map(|what| format!("{what}: {address}"));
            if !phases.has(&settled) && fleet.net.answers(address)? {
                phases.note(&settled);
            }
            let node = fleet.node(address);
            let is_next = phases.has(&settled) && !phases.has(&mounted);
            if is_next && node.try_ask("grep -q ' /mnt/mfs fuse' /proc/mounts")?.is_some() {
                phases.note(&mounted);
            }
            if phases.has(&mounted) && !phases.has(&done) && node.is_done()? {
                phases.note(&done);
            }
        }
        if !phases.has("role address answers") && fleet.net.answers(VIP)? {
            phases.note("role address answers");
        }
        Ok(addresses.iter().all(|address| phases.has(&format!("all done: {address}"))).then_some(()))
    })?;
    ensure!(phases.has("role address answers"), "all nodes are done, and nobody answers at {VIP}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_and_a_post_are_told_from_others() {
        let mail = |subject: &str| Mail { text: format!("Subject: {subject}\n\nbody\n"), ..Mail::default() };
        let joined = "[DLLL-CIAS] pve-a-1-1";
        assert!(is_told(&mail("[DLLL-CIAS] pve-a-1-1.example.com has joined"), joined));
        assert!(is_told(&mail("[DLLL-CIAS] pve-a-1-1 has joined"), joined));
        assert!(!is_told(&mail("[DLLL-CIAS] pve-a-1-1 has not joined"), joined));
        assert!(!is_told(&mail("[DLLL-CIAS] pve-a-1-2 has joined"), joined));
        let post = |path: &str, event: &str| Post {
            path: path.into(),
            kind: "application/json".into(),
            body: format!("{{\"event\":\"{event}\",\"cluster\":\"{CLUSTER}\"}}"),
        };
        assert!(is_posted(&post(HOOK, "joined"), "joined"));
        assert!(!is_posted(&post("/", "joined"), "joined") && !is_posted(&post(HOOK, "refused"), "joined"));
    }

    #[test]
    fn the_site_has_what_the_scenarios_need() {
        let mut document: DocumentMut =
            "[role]\nfounder = { serial = \"x\" }\n[network]\n[notify]\n".parse().unwrap();
        site(&mut document);
        let text = document.to_string();
        assert!(text.contains("[[nas]]\nname = \"nas-1\"\naddress = \"10.253.1.1\"\n"), "{text}");
        assert!(!text.contains("founder") && text.contains("relay = \"10.0.0.254\""), "{text}");
    }
}
