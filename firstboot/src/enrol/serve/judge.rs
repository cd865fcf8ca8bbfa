//! Is this machine let in now? Pure: what it asks, and what the Master knows.

use crate::cluster::members::Members;
use crate::enrol::keys::PublicKey;
use crate::enrol::policy::{self, Book, Verdict};
use crate::enrol::protocol::{Ask, VERSION};
use crate::enrol::tag;
use crate::hello::ledger::{Entry, Ledger};
use crate::site::{Site, shown_value};

/// What the Master knows.
pub struct Knows<'a> {
    /// Its site file.
    pub site: &'a Site,
    /// Its own version of Proxmox VE.
    pub release: Option<&'a str>,
    /// What the cluster's file system says, if it is there.
    pub members: Option<&'a Members>,
    /// Who has which place.
    pub ledger: &'a Ledger,
    /// What was said about machines.
    pub book: &'a Book,
    /// When the node asked, in seconds since 1970.
    pub asked: u64,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word for it, the same for the same reason.
    pub kind: &'static str,
    /// The sentence.
    pub reason: String,
    /// Asking again is without use.
    pub is_final: bool,
    /// The request is to be kept, for an administrator.
    pub pends: bool,
}

impl Refusal {
    /// One that may be another answer later.
    pub fn for_now(kind: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), is_final: false, pends: false }
    }

    fn for_good(kind: &'static str, reason: impl Into<String>) -> Self {
        Self { is_final: true, ..Self::for_now(kind, reason) }
    }
}

/// How a node asks for its place anew.
const ANEW: &str = "install the node anew, with cias.reinstall on the kernel line of its medium: it then asks for a place anew";

/// Judges: the machine's entry in the ledger and its key, or why not.
pub fn judge(ask: &Ask, knows: &Knows) -> Result<(Entry, PublicKey), Refusal> {
    origin(ask, knows)?;
    let entry = place(ask, knows.ledger)?;
    let name = &entry.place.name;
    if knows.members.is_some_and(|members| members.is_online(name)) {
        return Err(Refusal::for_now(
            "online",
            format!(
                "the cluster sees {name} online already, and a machine in it has nothing to ask for: if this is another machine with the same \
                 network card, one of the two must go; if it is {name} itself, `cias status` there tells how far it is"
            ),
        ));
    }
    let verdict = policy::judge(knows.site, knows.book, ask.machine, &ask.who, name, knows.asked)
        .map_err(|error| Refusal::for_now("site", format!("{error:#}")))?;
    match verdict {
        Verdict::Passes => {}
        Verdict::Refused(kind, reason) => return Err(Refusal::for_now(kind, reason)),
        Verdict::Pends(reason) => return Err(Refusal { pends: true, ..Refusal::for_now("pending", reason) }),
    }
    let key = PublicKey::read(&ask.key).map_err(|found| {
        Refusal::for_now(
            "key",
            format!(
                "found {found} as the public key of the node's root, wanted one line with an ssh-rsa key of 2048 bits or more, or an \
                 ecdsa-sha2 key, without options: `ssh-keygen -t rsa -b 3072` makes one"
            ),
        )
    })?;
    Ok((entry, key))
}

/// Does it speak our language, is it of our site and our version, and do we have a cluster to let it into?
fn origin(ask: &Ask, knows: &Knows) -> Result<(), Refusal> {
    if ask.version != VERSION {
        return Err(Refusal::for_now(
            "version",
            format!(
                "the node speaks version {} of the enrolment, wanted {VERSION}: use the same version of cias-firstboot on both",
                ask.version
            ),
        ));
    }
    let own = tag(&knows.site.secrets.key).map_err(|error| {
        Refusal::for_now("site", format!("the Master cannot tell its own site: {error:#}"))
    })?;
    if ask.site != own {
        return Err(Refusal::for_good(
            "site",
            format!(
                "the node is of another site, though it has this one's join key: found the tag {}, wanted {}: install it from this site's image",
                shown_value(&ask.site.chars().take(8).collect::<String>()),
                shown_value(&own.chars().take(8).collect::<String>())
            ),
        ));
    }
    if knows.release != Some(&*ask.release) {
        return Err(Refusal::for_now(
            "release",
            format!(
                "the node has Proxmox VE {}, wanted {} as on the Master: bring both to the same version, the older one first",
                shown_value(&ask.release),
                knows.release.unwrap_or("any, and the Master has none installed")
            ),
        ));
    }
    let cluster = &knows.site.site.cluster_name;
    if !knows.members.is_some_and(|members| members.is_quorate_in(cluster)) {
        return Err(Refusal::for_now(
            "quorum",
            format!(
                "the Master is no online member of the cluster {cluster} with quorum, so nobody can be let in: switch on more of its nodes; \
                 `pvecm status` on the Master counts them"
            ),
        ));
    }
    Ok(())
}

/// Is its place its own?
fn place(ask: &Ask, ledger: &Ledger) -> Result<Entry, Refusal> {
    let (address, name) = (ask.address, shown_value(&ask.name));
    let at = ledger.entries().find(|entry| entry.place.address == address);
    if at.is_some_and(|entry| entry.machine == ask.machine && ledger.is_retired(address)) {
        return Err(Refusal::for_good(
            "retired",
            format!(
                "the place {name} with {address} was retired when its node was removed, and is given to nobody again: {ANEW}"
            ),
        ));
    }
    let Some(entry) = ledger.of(ask.machine) else {
        let whose = at.map_or("nobody's".to_owned(), |entry| format!("machine {}'s", entry.machine));
        return Err(Refusal::for_now(
            if at.is_some() { "taken" } else { "unknown" },
            format!(
                "the ledger has no place for machine {}, which says that it is {name} with {address}; that address is {whose}: {ANEW}",
                ask.machine
            ),
        ));
    };
    if entry.place.address != address || entry.place.name != ask.name {
        return Err(Refusal::for_now(
            "taken",
            format!(
                "the machine says that it is {name} with {address}, and the ledger has it as {:?} with {}: {ANEW}",
                entry.place.name, entry.place.address
            ),
        ));
    }
    if let Some(other) = ledger.namesake(&entry.place) {
        return Err(Refusal::for_now(
            "taken",
            format!(
                "the ledger has the name {name} twice, for this machine with {address} and as {} of machine {} with {}, and a cluster \
                 knows its nodes by name: nobody joins under it until a person has removed one of the two lines below /etc/pve/priv/cias/ledger",
                other.state.name(),
                other.machine,
                other.place.address
            ),
        ));
    }
    Ok(entry.clone())
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
