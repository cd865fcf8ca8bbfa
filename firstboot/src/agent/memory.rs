//! What the agent must not forget: whether it was elected, and the place that it was offered. Written before anything follows from it.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::files;
use crate::hello::frame::Offer;
use crate::hello::rank::Progress;
use crate::identity::Decision;
use crate::outcome::Class;
use crate::runner::Runner;
use crate::site::Who;
use crate::system::Sysroot;

/// Where it is; only root may read it.
pub const FILE: &str = "/var/lib/cias/agent.json";
const SCHEMA: u32 = 1;

/// All that is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Version of this file's layout.
    schema: u32,
    /// Whose it is: the machine's NICs.
    macs: Vec<String>,
    /// Its serial number.
    serial: Option<String>,
    /// It was elected and founds the cluster.
    pub elected: bool,
    /// The boot in which it was elected, as the kernel names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// How far the founding got.
    pub progress: Progress,
    /// The place that a Master gave it.
    pub offer: Option<Kept>,
    /// The clock was set, and the hardware's is to follow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stepped: bool,
    /// It does nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

/// Why a machine does nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// For people.
    pub reason: String,
    /// It was removed from its cluster.
    pub is_retired: bool,
}

/// Why this machine has stopped, if it has.
pub fn stopped(root: &Sysroot, runner: &dyn Runner) -> Result<Option<Stopped>> {
    if !root.has(FILE) {
        return Ok(None);
    }
    Ok(match read(root, &Facts::gather(root, runner).who())? {
        Found::Mine(memory) => memory.stopped,
        Found::Nothing | Found::Unusable(_) => None,
    })
}

/// A place that was offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The node's own address.
    pub address: Ipv4Addr,
    /// Its host name.
    pub name: String,
    /// Where the Master is reached.
    pub master: Ipv4Addr,
    /// The Master's public host key.
    pub host_key: String,
}

impl From<&Offer> for Kept {
    fn from(offer: &Offer) -> Self {
        Self {
            address: offer.address,
            name: offer.name.clone(),
            master: offer.master,
            host_key: offer.host_key.clone(),
        }
    }
}

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Nothing,
    /// This machine's.
    Mine(Memory),
    /// It does not count, for this reason.
    Unusable(String),
}

impl Memory {
    /// Of a machine that has nothing to remember.
    pub fn of(who: &Who) -> Self {
        Self {
            schema: SCHEMA,
            macs: who.macs.clone(),
            serial: who.serial.clone(),
            elected: false,
            boot: None,
            progress: Progress::Nothing,
            offer: None,
            stepped: false,
            stopped: None,
        }
    }

    /// What follows from it for the identity in this `boot`. An election of which nothing was begun does not outlive its boot: meanwhile
    /// another machine may have been elected, and at a boot `cias run` comes before anybody is heard.
    pub fn decision(&self, boot: Option<&str>) -> Option<Decision> {
        let counts = self.progress > Progress::Nothing || self.boot.as_deref() == boot;
        match &self.offer {
            Some(kept) => Some(Decision::Offered {
                address: kept.address,
                name: kept.name.clone(),
                master: kept.master,
            }),
            None => (self.elected && counts).then_some(Decision::Elected),
        }
    }

    /// Writes it; it is on the disk when this returns.
    pub fn write(&self, root: &Sysroot) -> Result<()> {
        let path = root.path(FILE);
        if let Some(folder) = path.parent() {
            files::make_folder(folder, 0o755)?;
        }
        let mut text = serde_json::to_vec_pretty(self).context("writing the agent's state as JSON")?;
        text.push(b'\n');
        files::write(&path, text, 0o600)
    }

    /// One new NIC or a new main board is the same machine, as for the journal.
    fn is_of(&self, who: &Who) -> bool {
        self.macs.iter().any(|mac| who.macs.contains(mac))
            || self.serial.is_some() && self.serial == who.serial
    }
}

/// Reads the file, of which another version's is an error: whoever wrote it knows more.
pub fn read(root: &Sysroot, who: &Who) -> Result<Found> {
    let bytes = match std::fs::read(root.path(FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        result => result.with_context(|| format!("reading {FILE}"))?,
    };
    judge(&bytes, who)
}

fn judge(bytes: &[u8], who: &Who) -> Result<Found> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    if let Ok(Head { schema }) = serde_json::from_slice(bytes)
        && schema != SCHEMA
    {
        return Err(Class::BadInput.error(format!(
            "{FILE}: schema: found {schema}, wanted {SCHEMA}: it is another version's, use that version of cias-firstboot"
        )));
    }
    Ok(match serde_json::from_slice::<Memory>(bytes) {
        Err(error) => Found::Unusable(format!("{FILE} is damaged ({error})")),
        Ok(memory) if !memory.is_of(who) => Found::Unusable(format!(
            "{FILE} is another machine's: found {}, wanted one of {}",
            memory.macs.iter().chain(&memory.serial).map(String::as_str).collect::<Vec<_>>().join(", "),
            who.macs.iter().chain(&who.serial).map(String::as_str).collect::<Vec<_>>().join(", ")
        )),
        Ok(memory) => Found::Mine(memory),
    })
}

/// The agent's own reading: what does not count is put aside and told to `say`, and the machine begins anew. What it may have founded is in
/// the journal.
pub fn open(root: &Sysroot, who: &Who, say: impl Fn(&str)) -> Result<Memory> {
    match read(root, who)? {
        Found::Nothing => {}
        Found::Mine(memory) => return Ok(memory),
        Found::Unusable(reason) => {
            let aside = format!("{FILE}.damaged");
            files::rename(&root.path(FILE), &root.path(&aside))?;
            say(&format!("{reason}: it was renamed to {aside}, and this machine listens as a new one"));
        }
    }
    Ok(Memory::of(who))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    fn who(mac: &str, serial: &str) -> Who {
        Who { macs: vec![mac.into()], serial: Some(serial.into()) }
    }

    fn offered() -> Memory {
        let offer = Kept {
            address: [10, 254, 1, 1].into(),
            name: "pve-a-1-1".into(),
            master: [10, 254, 0, 254].into(),
            host_key: "k".into(),
        };
        Memory { offer: Some(offer), ..Memory::of(&who("a", "S")) }
    }

    #[test]
    fn what_was_written_is_read_again_by_root_alone() {
        use std::os::unix::fs::PermissionsExt;
        let tree = Tree::from_text("");
        let me = who("a", "S");
        assert_eq!(read(&tree.root(), &me).unwrap(), Found::Nothing);
        let memory = Memory { elected: true, progress: Progress::Settled, ..offered() };
        memory.write(&tree.root()).unwrap();
        assert_eq!(open(&tree.root(), &me, |line| panic!("{line}")).unwrap(), memory);
        let mode = std::fs::metadata(tree.root().path(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn only_what_is_whole_and_of_this_machine_counts() {
        let whole = serde_json::to_string(&offered()).unwrap();
        let me = who("b", "S");
        for (what, bytes, mine) in [
            ("whole, with another NIC", whole.as_bytes(), true),
            ("empty", b"", false),
            ("torn", &whole.as_bytes()[..whole.len() / 2], false),
            ("zeroes", &[0; 512], false),
            ("no text", &[0xff, 0xfe, 0x80], false),
            ("another file's", b"{\"a\": 1}", false),
            ("another machine's", whole.replace("\"S\"", "\"T\"").as_bytes(), false),
        ] {
            let tree = Tree::from_text("/var/lib/cias/agent.json = x\n");
            std::fs::write(tree.root().path(FILE), bytes).unwrap();
            let said = std::cell::RefCell::new(String::new());
            let memory = open(&tree.root(), &me, |line| said.borrow_mut().push_str(line)).unwrap();
            assert_eq!(memory.offer.is_some(), mine, "{what}");
            assert_eq!(said.borrow().contains("was renamed to"), !mine, "{what}: {said:?}");
            if !mine {
                let aside = std::fs::read(tree.root().path("/var/lib/cias/agent.json.damaged")).unwrap();
                assert_eq!(aside, bytes, "{what}");
            }
        }
    }

    #[test]
    fn another_versions_file_is_refused() {
        let tree = Tree::from_text("/var/lib/cias/agent.json = {\"schema\": 2}\n");
        let error = read(&tree.root(), &who("a", "S")).unwrap_err();
        assert_eq!(Class::of(&error), Class::BadInput);
    }

    #[test]
    fn an_offer_counts_before_an_election() {
        assert_eq!(Memory::of(&who("a", "S")).decision(None), None);
        let elected = Memory { elected: true, ..Memory::of(&who("a", "S")) };
        assert_eq!(elected.decision(None), Some(Decision::Elected));
        let both = Memory { elected: true, ..offered() };
        assert!(matches!(both.decision(None), Some(Decision::Offered { .. })));
    }

    #[test]
    fn an_election_of_which_nothing_was_begun_counts_in_its_own_boot_only() {
        let elected = Memory { elected: true, boot: Some("1".into()), ..Memory::of(&who("a", "S")) };
        let begun = Memory { progress: Progress::Settled, ..elected.clone() };
        for (memory, boot, counts) in [(&elected, "1", true), (&elected, "2", false), (&begun, "2", true)] {
            assert_eq!(memory.decision(Some(boot)).is_some(), counts, "{memory:?} in {boot}");
        }
    }
}
