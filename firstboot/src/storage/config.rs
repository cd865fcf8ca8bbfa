//! `/etc/pve/storage.cfg`: what is defined, and what is to be done so that the site's storages are. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::site::Site;

/// The type of a NAS.
const NFS: &str = "nfs";

/// A storage as the file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// `dir`, `nfs` and others.
    pub kind: String,
    /// Its properties; one that is there without a value has an empty one.
    pub values: BTreeMap<String, String>,
}

/// All storages by their id. Lines that Proxmox VE warns about and passes over are passed over; of two with one id the last counts.
pub fn parse(text: &str) -> BTreeMap<String, Storage> {
    let mut found = BTreeMap::new();
    let mut open: Option<(String, Storage)> = None;
    for line in text.lines() {
        let is_inside = line.starts_with([' ', '\t']);
        let line = line.trim();
        match (&mut open, is_inside && !line.is_empty()) {
            (Some((_, storage)), true) => {
                let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                storage.values.insert(name.to_owned(), value.trim().to_owned());
            }
            (_, true) => {}
            (_, false) => {
                found.extend(open.take());
                open = header(line);
            }
        }
    }
    found.extend(open);
    found
}

fn header(line: &str) -> Option<(String, Storage)> {
    let (kind, id) = line.split_once(':')?;
    let (kind, id) = (kind.trim(), id.trim());
    let is_word =
        |text: &str| !text.is_empty() && !text.starts_with('#') && !text.contains(char::is_whitespace);
    (is_word(kind) && is_word(id))
        .then(|| (id.to_owned(), Storage { kind: kind.to_owned(), values: BTreeMap::new() }))
}

/// A storage that the site wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its id.
    pub id: String,
    /// `dir` or `nfs`.
    pub kind: &'static str,
    /// What cannot be changed once it is defined.
    pub fixed: Vec<(&'static str, String)>,
    /// What can.
    pub changing: Vec<(&'static str, String)>,
}

/// The storages of a site: two on `MooseFS`, where the cluster has that, and each NAS.
pub fn wanted(site: &Site, has_moosefs: bool) -> Vec<Wanted> {
    let folder = |id: &str, path: &str, content: &str, most: u8| Wanted {
        id: id.to_owned(),
        kind: "dir",
        fixed: vec![("path", path.to_owned())],
        changing: vec![
            ("content", content.to_owned()),
            ("maxfiles", most.to_string()),
            // Without it each node would take the same folder for its own.
            ("shared", "1".to_owned()),
        ],
    };
    let mut wanted = Vec::new();
    if has_moosefs {
        wanted.push(folder("a_mfs", "/mnt/mfs/a", "images,iso,vztmpl,backup", 1));
        wanted.push(folder("mfs-backup", "/mnt/mfs/backup", "backup", 5));
    }
    wanted.extend(site.nas.iter().map(|nas| Wanted {
        id: nas.name.clone(),
        kind: NFS,
        fixed: vec![("server", nas.address.to_string()), ("export", format!("/{}", nas.name))],
        changing: vec![("content", nas.content.join(","))],
    }));
    wanted
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is not defined.
    Add(Wanted),
    /// These properties of the one with that id are others.
    Set(String, Vec<(&'static str, String)>),
}

impl Deed {
    /// A sentence for the plan.
    pub fn sentence(&self) -> String {
        match self {
            Self::Add(wanted) => {
                let at: Vec<String> =
                    wanted.fixed.iter().map(|(name, value)| format!("{name} {value}")).collect();
                format!("define the storage {} ({}, {})", wanted.id, wanted.kind, at.join(", "))
            }
            Self::Set(id, values) => {
                let values: Vec<String> =
                    values.iter().map(|(name, value)| format!("{name} {value}")).collect();
                format!("set {} of the storage {id}", values.join(", "))
            }
        }
    }

    /// The words of each call of `pvesm` for it. The type is an option in 3.2, and a new storage is mounted at once unless it is
    /// disabled (docs/facts.md 19), for which a dead NAS would have everything wait.
    pub fn words(&self) -> Vec<Vec<String>> {
        let options = |values: &[(&'static str, String)]| -> Vec<String> {
            values.iter().flat_map(|(name, value)| [format!("-{name}"), value.clone()]).collect()
        };
        match self {
            Self::Add(wanted) => {
                let words = ["add", &wanted.id, "-type", wanted.kind].map(str::to_owned);
                let add = [words.to_vec(), options(&wanted.fixed), options(&wanted.changing)].concat();
                if wanted.kind != NFS {
                    return vec![add];
                }
                let (off, on) = (["-disable", "1"], ["set", &wanted.id, "-disable", "0"]);
                vec![[add, off.map(str::to_owned).to_vec()].concat(), on.map(str::to_owned).to_vec()]
            }
            Self::Set(id, values) => vec![[vec!["set".to_owned(), id.clone()], options(values)].concat()],
        }
    }
}

/// What is to be done so that all of `wanted` are defined, and a sentence for each that a person must look at.
pub fn deeds(found: &BTreeMap<String, Storage>, wanted: Vec<Wanted>) -> (Vec<Deed>, Vec<String>) {
    let (mut deeds, mut warnings) = (Vec::new(), Vec::new());
    for wanted in wanted {
        let Some(storage) = found.get(&wanted.id) else {
            deeds.push(Deed::Add(wanted));
            continue;
        };
        if let Some(sentence) = misfit(storage, &wanted) {
            warnings.push(sentence);
            continue;
        }
        let differs = |(name, value): &(&'static str, String)| !is_same(storage.values.get(*name), value);
        let changed: Vec<_> = wanted.changing.into_iter().filter(differs).collect();
        if !changed.is_empty() {
            deeds.push(Deed::Set(wanted.id, changed));
        }
    }
    (deeds, warnings)
}

/// A sentence for each NAS that is defined and out of use, by a person or by a power cut in the middle.
pub fn disabled(found: &BTreeMap<String, Storage>, site: &Site) -> Vec<String> {
    let is_off = |id: &String| {
        found.get(id).and_then(|storage| storage.values.get("disable")).is_some_and(|value| value != "0")
    };
    let off = site.nas.iter().map(|nas| &nas.name).filter(|id| is_off(id));
    off.map(|id| format!("the storage {id} is disabled: `pvesm set {id} -disable 0` has it used")).collect()
}

fn misfit(storage: &Storage, wanted: &Wanted) -> Option<String> {
    let (id, way) = (
        &wanted.id,
        "it is left alone; `pvesm remove` takes it away without any data, and then `cias run` defines it",
    );
    if storage.kind != wanted.kind {
        return Some(format!(
            "/etc/pve/storage.cfg: {id}: found the type {}, wanted {}: {way}",
            storage.kind, wanted.kind
        ));
    }
    wanted.fixed.iter().find_map(|(name, value)| {
        let found = storage.values.get(*name).map_or("nothing", String::as_str);
        (found != value)
            .then(|| format!("/etc/pve/storage.cfg: {id}: {name}: found {found}, wanted {value}: {way}"))
    })
}

/// A list is a set of words, and a property without a value is on.
fn is_same(found: Option<&String>, wanted: &str) -> bool {
    let words =
        |text: &str| -> BTreeSet<String> { text.split(',').map(|word| word.trim().to_owned()).collect() };
    found.is_some_and(|found| {
        let found = if found.is_empty() { "1" } else { found };
        words(found) == words(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::from_text;
    use crate::site::tests::example;

    const FOUND: &str = "dir: local\n\tpath /var/lib/vz\n\tcontent images,iso,vztmpl,rootdir\n\tmaxfiles 0\n\n\
                         dir: a_mfs\n\tmaxfiles 1\n\tshared\n\tpath /mnt/mfs/a\n\tcontent iso,images,backup,vztmpl\n\n\
                         dir: mfs-backup\n\tpath /mnt/mfs/backup\n\tcontent backup\n\tshared 1\n\tmaxfiles 5\n";

    fn site() -> Site {
        from_text(&format!("{}[[nas]]\nname = \"nas-1\"\naddress = \"10.253.1.1\"\n", example())).unwrap()
    }

    fn words(found: &str) -> (Vec<String>, Vec<String>) {
        let (deeds, warnings) = deeds(&parse(found), wanted(&site(), true));
        (deeds.iter().flat_map(Deed::words).map(|words| words.join(" ")).collect(), warnings)
    }

    #[test]
    fn sections_are_read_as_proxmox_ve_reads_them() {
        let found = parse(&format!("# a comment\n{FOUND}\nnfs: x\n  server 10.1.1.1\nrubbish\n\tlost 1\n"));
        let ids: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(ids, ["a_mfs", "local", "mfs-backup", "x"]);
        assert_eq!(found["a_mfs"].values["shared"], "");
        assert_eq!((found["x"].kind.as_str(), found["x"].values.len()), ("nfs", 1));
        assert_eq!(parse(""), BTreeMap::new());
    }

    #[test]
    fn what_is_missing_is_defined_and_what_is_there_in_another_order_is_left_alone() {
        let nas = [
            "add nas-1 -type nfs -server 10.253.1.1 -export /nas-1 -content backup,iso,vztmpl -disable 1",
            "set nas-1 -disable 0",
        ];
        assert_eq!(words(FOUND), (nas.map(str::to_owned).to_vec(), Vec::new()));
        let (all, warnings) = words("");
        assert_eq!(
            all,
            [
                "add a_mfs -type dir -path /mnt/mfs/a -content images,iso,vztmpl,backup -maxfiles 1 -shared 1",
                "add mfs-backup -type dir -path /mnt/mfs/backup -content backup -maxfiles 5 -shared 1",
                nas[0],
                nas[1]
            ]
        );
        assert!(warnings.is_empty());
        assert_eq!(wanted(&site(), false).len(), 1, "without MooseFS there is no folder to name");
    }

    #[test]
    fn what_can_be_changed_is_set_and_what_cannot_is_told() {
        let (set, _) = words(&FOUND.replace("maxfiles 1", "maxfiles 3").replace("\tshared\n", ""));
        assert_eq!(set[0], "set a_mfs -maxfiles 1 -shared 1");
        for (from, to, wanted) in [
            ("path /mnt/mfs/a", "path /srv/a", "a_mfs: path: found /srv/a, wanted /mnt/mfs/a: "),
            ("\tpath /mnt/mfs/a\n", "", "a_mfs: path: found nothing, wanted /mnt/mfs/a: "),
            ("dir: a_mfs", "nfs: a_mfs", "a_mfs: found the type nfs, wanted dir: "),
        ] {
            let (deeds, warnings) = words(&FOUND.replace(from, to));
            assert_eq!((deeds.len(), warnings.len()), (2, 1), "{deeds:?}");
            assert!(warnings[0].contains(wanted) && warnings[0].contains("pvesm remove"), "{warnings:?}");
        }
    }

    #[test]
    fn a_nas_that_is_out_of_use_is_told() {
        let nas = "nfs: nas-1\n\tserver 10.253.1.1\n\texport /nas-1\n\tcontent iso,backup,vztmpl\n";
        let off = format!("{nas}\tdisable\n");
        assert_eq!(disabled(&parse(nas), &site()), Vec::<String>::new());
        assert!(disabled(&parse(&off), &site())[0].contains("`pvesm set nas-1 -disable 0`"));
        assert!(!words(&format!("{FOUND}\n{off}")).0.iter().any(|line| line.contains("nas-1")));
    }
}
