//! The step and `cias export-vms`, with a stand-in of rsync that copies between two trees.

use std::sync::{Arc, Mutex};

use super::export::export;
use super::step::Folders;
use super::*;
use crate::cluster::members;
use crate::hello::MachineId;
use crate::hello::ledger::{Entry, State};
use crate::journal::Role;
use crate::keepalived::health::tests::master;
use crate::log::Log;
use crate::outcome::Class;
use crate::runner::Output;
use crate::runner::fake::Fake;
use crate::site::Site;
use crate::step::{Finding, Step};
use crate::system::{Sysroot, System};
use crate::tree::Tree;

const OTHER: &str = "10.254.1.1";

/// What a real rsync with the step's options does between the folder of `root` and that of the only other node, as docs/facts.md 16 says.
fn rsync(root: Sysroot, other: &Arc<Mutex<Tree>>) -> Fake {
    let other = Arc::clone(other);
    Fake::default().fails("ethtool", 71, "no").answers("rsync", move |line| {
        let other = other.lock().unwrap().root();
        let is_push = line.ends_with(&format!(" root@{OTHER}:{OWN}/"));
        assert!(is_push || line.contains(&format!(" root@10.254.0.1:{OWN}/{} ", FILES[0])), "{line}");
        let (from, to) = if is_push { (&root, &other) } else { (&other, &root) };
        let mut said = Vec::new();
        for name in FILES {
            let path = format!("{OWN}/{name}");
            let Ok(text) = from.text(&path) else {
                return Output { code: 23, stderr: "link_stat failed".into(), ..Output::default() };
            };
            if to.text(&path).ok().as_ref() == Some(&text) {
                continue;
            }
            said.push(format!("{}f+++++++++ {name}\n", if is_push { '<' } else { '>' }));
            if !line.contains("--dry-run") {
                std::fs::create_dir_all(to.path(OWN)).unwrap();
                std::fs::write(to.path(&path), text).unwrap();
            }
        }
        Output { stdout: said.concat(), ..Output::default() }
    })
}

/// A Master with one guest, on which `MooseFS` is mounted.
fn with_guest(whole: &(Tree, Site)) -> Sysroot {
    let root = whole.0.root();
    for (path, text) in [
        ("/etc/pve/.vmlist", "{\"ids\": {\"100\": {\"node\": \"me\", \"type\": \"qemu\"}}}"),
        ("/proc/mounts", "mfs#cias-pve-master:9421 /mnt/mfs fuse.mfs rw 0 0\n"),
        ("/usr/sbin/cias-firstboot", ""),
        ("/etc/cron.d/x", ""),
        ("/mnt/mfs/x", ""),
    ] {
        let path = root.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

/// A second node is a member, and there.
fn add_other(root: &Sysroot) {
    let place = crate::site::Place {
        address: OTHER.parse().unwrap(),
        name: "other".into(),
        fqdn: "other.example.com".into(),
    };
    let machine = MachineId::of(&["52:54:00:00:00:09".to_owned()]).unwrap();
    crate::cluster::register::change(root, |ledger| {
        ledger.enter(Entry { machine, state: State::Member, place, serial: None })
    })
    .unwrap();
    let text = root.text(members::FILE).unwrap();
    let both = text.replace("\"me\": {\"online\": 1}", "\"me\": {\"online\": 1}, \"other\": {\"online\": 1}");
    std::fs::write(root.path(members::FILE), both).unwrap();
}

fn applied(step: &dyn Step, system: &System) -> usize {
    let todo = step.check(system).unwrap().todo;
    assert!(!todo.is_empty());
    assert_eq!(step.apply(system).unwrap(), [""; 0]);
    assert_eq!(step.check(system).unwrap(), Finding::done());
    todo.len()
}

#[test]
fn the_founder_writes_both_folders_and_a_node_gets_its_own_from_it() {
    let whole = master();
    let (founder, log) = (with_guest(&whole), Log::silent());
    let other = Arc::new(Mutex::new(Tree::from_text("")));
    let fake = rsync(founder.clone(), &other);
    let system = System { root: founder.clone(), runner: &fake, log: &log };
    // Four links and two files in each of two folders, and cron's lines.
    assert_eq!(applied(&Folders::new(&whole.1, Role::Founder), &system), 13);
    for folder in [OWN, SHARED] {
        assert!(founder.text(&format!("{folder}/{}", guests::NAME)).unwrap().ends_with("\n100 me qemu -\n"));
    }

    let node = master();
    let root = with_guest(&node);
    let founders = Arc::new(Mutex::new(whole.0));
    let fake = rsync(root.clone(), &founders);
    let system = System { root: root.clone(), runner: &fake, log: &log };
    assert_eq!(applied(&Folders::new(&whole.1, Role::Node), &system), 7);
    assert_eq!(
        root.text("/data/cias/cias-network.conf").unwrap(),
        founder.text("/data/cias/cias-network.conf").unwrap()
    );
    assert!(!root.has(SHARED));

    // Cron's line was changed, and a person has one beside it.
    let cron = root.path("/etc/cron.d/cias-export");
    let added = std::fs::read_to_string(&cron).unwrap() + "1 1 * * * root /root/pages\n";
    std::fs::write(&cron, added.replace("*/5", "*/9")).unwrap();
    assert_eq!(applied(&Folders::new(&whole.1, Role::Node), &system), 1);
    assert_eq!(std::fs::read_to_string(&cron).unwrap(), added);
}

#[test]
fn before_the_cluster_is_there_it_is_planned_and_too_early() {
    let (tree, log, fake) = (Tree::from_text("/etc/pve/\n"), Log::silent(), Fake::default());
    let system = System { root: tree.root(), runner: &fake, log: &log };
    // Two files, and cron's lines.
    for role in [Role::Founder, Role::Node] {
        let step = Folders::new(&master().1, role);
        assert_eq!(step.check(&system).unwrap().todo.len(), 3);
        assert_eq!(Class::of(&step.apply(&system).unwrap_err()), Class::TryLater);
    }
    assert!(!system.root.has(OWN) && fake.lines().is_empty());
}

#[test]
fn a_master_that_does_not_answer_keeps_no_node_from_being_one() {
    let whole = master();
    let (root, log) = (with_guest(&whole), Log::silent());
    let fake =
        Fake::default().fails("rsync", 255, "ssh: connect to host 10.254.0.1 port 22: No route to host");
    let system = System { root, runner: &fake, log: &log };
    let step = Folders::new(&whole.1, Role::Node);
    assert!(step.check(&system).unwrap().warnings[0].contains("No route to host"));
    assert!(step.apply(&system).unwrap()[0].contains("No route to host"));
    let done = step.check(&system).unwrap();
    assert_eq!((done.todo.len(), done.warnings.len()), (0, 1));
}

#[test]
fn the_master_brings_every_node_that_is_there_up_to_date() {
    let whole = master();
    let (root, log) = (with_guest(&whole), Log::silent());
    add_other(&root);
    let other = Arc::new(Mutex::new(Tree::from_text("")));
    let fake = rsync(root.clone(), &other);
    let system = System { root: root.clone(), runner: &fake, log: &log };
    let said = export(&system, &whole.1).unwrap();
    assert!(said.contains("on 1 other nodes"), "{said}");
    assert_eq!(fake.lines().iter().filter(|line| line.starts_with("rsync")).count(), 2, "copied, and looked");
    let names = |root: &Sysroot| root.text("/data/cias/pve_master_vmid.conf").unwrap();
    assert_eq!(names(&other.lock().unwrap().root()), names(&root));
    export(&system, &whole.1).unwrap();
    assert_eq!(fake.lines().iter().filter(|line| line.starts_with("rsync")).count(), 3, "nothing differs");

    // A guest more, somebody's own page, and a node that was changed by hand.
    std::fs::write(root.path("/etc/pve/.vmlist"), "{\"ids\": {}}").unwrap();
    let own = root.path("/data/cias/cias-network.conf");
    std::fs::write(&own, std::fs::read_to_string(&own).unwrap() + "PAGE_NAS=\"https://nas.example.com/\"\n")
        .unwrap();
    std::fs::write(other.lock().unwrap().root().path("/data/cias/cias-network.conf"), "x").unwrap();
    export(&system, &whole.1).unwrap();
    let copied = other.lock().unwrap().root();
    assert_eq!(names(&copied), names(&root));
    assert!(copied.text("/data/cias/cias-network.conf").unwrap().contains("PAGE_NAS"));
    assert!(root.text("/mnt/mfs/cias/cias-network.conf").unwrap().contains("PAGE_NAS"));
}

#[test]
fn what_is_not_there_is_told_and_who_is_not_the_master_does_nothing() {
    let whole = master();
    let (root, log) = (with_guest(&whole), Log::silent());
    add_other(&root);
    let fake =
        Fake::default().fails("ethtool", 71, "no").fails("rsync", 255, "Permission denied (publickey)");
    let system = System { root: root.clone(), runner: &fake, log: &log };
    let error = export(&system, &whole.1).unwrap_err().to_string();
    assert!(error.starts_with("other: ") && error.contains("Permission denied"), "{error}");
    assert!(root.has("/mnt/mfs/cias/pve_master_vmid.conf"), "one node keeps nothing else");

    let other = Arc::new(Mutex::new(Tree::from_text("")));
    let fake = rsync(root.clone(), &other);
    let system = System { root: root.clone(), runner: &fake, log: &log };
    std::fs::write(root.path("/proc/mounts"), "").unwrap();
    assert_eq!(Class::of(&export(&system, &whole.1).unwrap_err()), Class::TryLater);
    assert!(
        other.lock().unwrap().root().has("/data/cias/pve_master_vmid.conf"),
        "the nodes have it all the same"
    );

    let text = root.text(members::FILE).unwrap().replace("\"quorate\": 1", "\"quorate\": 0");
    std::fs::write(root.path(members::FILE), text).unwrap();
    std::fs::remove_dir_all(root.path(OWN)).unwrap();
    assert!(export(&system, &whole.1).unwrap().contains("not the Master"));
    assert!(!root.has(OWN));
}
