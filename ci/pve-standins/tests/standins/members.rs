//! Two and three stand-ins of pmxcfs on loopback, with a fake membership: replication, minority, merge and locks
//! (pve-3.2-tools.md 2.2, 2.5 and 2.6).
use std::fs;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Node, conf, errno, may_mount, wait};
use nix::libc::{EACCES, EEXIST};

/// Nodes that all see each other and have settled on one database.
fn cluster(count: u32) -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..=count).map(|id| Node::new(id, Some(&conf(count)))).collect();
    for node in &mut nodes {
        node.start(&[]);
    }
    meet(&nodes.iter().collect::<Vec<_>>());
    nodes
}

/// All of these see each other, and can write.
fn meet(nodes: &[&Node]) {
    for node in nodes {
        node.sees(nodes, true);
    }
    for node in nodes {
        wait(&format!("{} to settle", node.name), || online(node) == nodes.len());
    }
}

fn online(node: &Node) -> usize {
    let members = node.json(".members");
    let Some(list) = members.get("nodelist").and_then(|list| list.as_object()) else { return 0 };
    list.values().filter(|entry| entry["online"] == 1).count()
}

#[test]
fn what_one_writes_all_read_at_once() {
    if !may_mount() {
        return;
    }
    let nodes = cluster(3);
    for (round, writer) in nodes.iter().enumerate() {
        let name = format!("file{round}");
        fs::write(writer.pve(&name), format!("by {}", writer.name)).unwrap();
        for reader in &nodes {
            assert_eq!(reader.read(&name), format!("by {}", writer.name), "{} reads {name}", reader.name);
        }
    }
    fs::create_dir_all(nodes[2].pve("nodes/pve3/qemu-server")).unwrap();
    fs::create_dir_all(nodes[1].pve("nodes/pve2/qemu-server")).unwrap();
    fs::write(nodes[2].pve("qemu-server/100.conf"), "memory: 1\n").unwrap();
    assert_eq!(errno(fs::write(nodes[1].pve("qemu-server/100.conf"), "x")), Some(EEXIST));
    fs::rename(nodes[1].pve("nodes/pve3/qemu-server/100.conf"), nodes[1].pve("qemu-server/100.conf"))
        .unwrap();
    for node in &nodes {
        assert_eq!(node.json(".vmlist")["ids"]["100"]["node"], "pve2", "{}", node.name);
    }
    let members = nodes[2].json(".members");
    assert_eq!(members["cluster"]["name"], "DLLL-CIAS");
    assert_eq!((&members["nodelist"]["pve1"]["id"], &members["cluster"]["nodes"]), (&1.into(), &3.into()));
}

#[test]
fn exactly_one_gets_the_lock() {
    if !may_mount() {
        return;
    }
    let nodes = cluster(3);
    fs::create_dir_all(nodes[0].pve("priv/lock")).unwrap();
    for round in 0..20 {
        let (name, start) = (format!("priv/lock/{round}"), Barrier::new(nodes.len()));
        let race = |node: &Node| {
            start.wait();
            errno(fs::create_dir(node.pve(&name)))
        };
        let results: Vec<Option<i32>> = std::thread::scope(|scope| {
            let threads: Vec<_> = nodes.iter().map(|node| scope.spawn(|| race(node))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_none()).count(), 1, "{results:?}");
        assert_eq!(results.iter().filter(|result| **result == Some(EEXIST)).count(), 2, "{results:?}");
    }
}

#[test]
fn a_minority_only_reads_and_takes_over_what_the_others_wrote() {
    if !may_mount() {
        return;
    }
    let nodes = cluster(3);
    let [one, two, three] = &nodes[..] else { panic!("three nodes") };
    fs::write(one.pve("before"), "all").unwrap();
    // The node that led is cut off.
    one.sees(&[one], false);
    two.sees(&[two, three], true);
    three.sees(&[two, three], true);
    wait("the loss of quorum", || one.mode("local") == 0o550);
    assert_eq!(errno(fs::write(one.pve("lost"), "x")), Some(EACCES));
    fs::write(three.pve("after"), "majority").unwrap();
    assert_eq!((two.read("after").as_str(), one.read("after").as_str()), ("majority", ""));
    assert_eq!((one.read("before").as_str(), online(one), online(two)), ("all", 1, 2));
    meet(&[one, two, three]);
    assert_eq!(one.read("after"), "majority");
    fs::write(one.pve("again"), "together").unwrap();
    assert_eq!(three.read("again"), "together");
}

/// Both halves were written to: the one that wrote more replaces the other as a whole, whatever its number.
#[test]
fn the_highest_version_wins_whole() {
    if !may_mount() {
        return;
    }
    let nodes = cluster(2);
    let [one, two] = &nodes[..] else { panic!("two nodes") };
    one.sees(&[one], true);
    two.sees(&[two], true);
    wait("the split", || online(one) == 1 && online(two) == 1);
    fs::write(one.pve("one"), "x").unwrap();
    for name in ["two", "more"] {
        fs::write(two.pve(name), "x").unwrap();
    }
    meet(&[one, two]);
    for node in &nodes {
        assert!(!node.pve("one").exists(), "{}: the loser's file is gone", node.name);
        assert_eq!((node.read("two").as_str(), node.read("more").as_str()), ("x", "x"));
    }
}

#[test]
fn a_joining_node_gets_everything() {
    if !may_mount() {
        return;
    }
    let one = {
        let mut one = Node::new(1, Some(&conf(2)));
        one.start(&[]);
        one
    };
    one.sees(&[&one], true);
    wait("one node", || online(&one) == 1 && one.mode("local") == 0o750);
    fs::create_dir_all(one.pve("nodes/pve2/qemu-server")).unwrap();
    fs::write(one.pve("nodes/pve2/qemu-server/100.conf"), "memory: 1\n").unwrap();
    let mut two = Node::new(2, Some(&conf(2)));
    // cman counts it before its file system runs: nobody has to wait for that.
    one.sees(&[&one, &two], true);
    two.sees(&[&one, &two], true);
    fs::write(one.pve("meanwhile"), "x").unwrap();
    assert_eq!(online(&one), 1);
    two.start(&[]);
    wait("both", || online(&one) == 2 && online(&two) == 2);
    assert_eq!(
        (two.read("qemu-server/100.conf").as_str(), two.read("meanwhile").as_str()),
        ("memory: 1\n", "x")
    );
    two.kill();
    fs::write(one.pve("while it was dead"), "x").unwrap();
    two.start(&[]);
    wait("its return", || two.read("while it was dead") == "x");
    fs::write(two.pve("alive"), "x").unwrap();
    assert_eq!(one.read("alive"), "x");
}

/// A member that is said to be there and does not answer holds a write up until it leaves the view, as corosync does.
#[test]
fn a_dead_member_holds_writes_up_until_it_is_noticed() {
    if !may_mount() {
        return;
    }
    let nodes = cluster(3);
    let [one, two, three] = &nodes[..] else { panic!("three nodes") };
    // It refuses those that it does not see.
    three.sees(&[three], false);
    wait("its view", || online(three) == 1);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let write = scope.spawn(|| fs::write(two.pve("late"), "x"));
        std::thread::sleep(Duration::from_secs(1));
        assert!(
            !write.is_finished(),
            "found an answer, wanted it to wait for a member that is said to be there"
        );
        one.sees(&[one, two], true);
        two.sees(&[one, two], true);
        write.join().unwrap().unwrap();
    });
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!((one.read("late").as_str(), three.read("late").as_str()), ("x", ""));
}

#[test]
fn a_wrong_key_gets_nobody_in() {
    if !may_mount() {
        return;
    }
    let (mut one, mut two) = (Node::new(1, Some(&conf(2))), Node::new(2, Some(&conf(2))));
    fs::write(two.at("lib/corosync.authkey"), [8; 128]).unwrap();
    one.start(&[]);
    two.start(&[]);
    one.sees(&[&one], true);
    wait("one node", || one.mode("local") == 0o750);
    fs::write(one.pve("secret"), "x").unwrap();
    one.sees(&[&one, &two], true);
    two.sees(&[&one, &two], true);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        assert_eq!(two.read("secret"), "");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// cluster.conf is copied for cman on each node, never over a newer one.
#[test]
fn cluster_conf_is_copied_unless_the_copy_is_newer() {
    if !may_mount() {
        return;
    }
    let nodes = cluster(2);
    let write = |text: &str| {
        fs::write(nodes[1].pve("cluster.conf.new"), text).unwrap();
        fs::rename(nodes[1].pve("cluster.conf.new"), nodes[1].pve("cluster.conf")).unwrap();
    };
    write(&conf(5));
    for node in &nodes {
        assert_eq!(fs::read_to_string(node.at("cluster.conf")).unwrap(), conf(5), "{}", node.name);
        assert_eq!(node.json(".members")["cluster"]["version"], 5);
    }
    write(&conf(4));
    for node in &nodes {
        assert_eq!(fs::read_to_string(node.at("cluster.conf")).unwrap(), conf(5), "{}", node.name);
        let log = fs::read_to_string(node.at("log")).unwrap();
        assert!(log.contains("local cluster.conf is newer"), "{log}");
    }
}

/// One after the other is cut off and comes back, while all write: what was answered with success is on all in the end.
#[test]
fn nothing_that_was_answered_is_lost() {
    if !may_mount() {
        return;
    }
    let nodes = cluster(3);
    let done = AtomicBool::new(false);
    let write = |node: &Node| {
        let mut written = Vec::new();
        for number in 0.. {
            let name = format!("{}-{number}", node.name);
            if done.load(Ordering::Relaxed) {
                break;
            }
            match fs::create_dir(node.pve(&name)) {
                Ok(()) => written.push(name),
                // Cut off. Anything else would be a wrong answer.
                Err(error) => assert_eq!(error.raw_os_error(), Some(EACCES), "{name}"),
            }
        }
        written
    };
    let written: Vec<String> = std::thread::scope(|scope| {
        let writers: Vec<_> = nodes.iter().map(|node| scope.spawn(|| write(node))).collect();
        for round in 0..6 {
            let (cut, rest): (Vec<&Node>, Vec<&Node>) =
                nodes.iter().partition(|node| node.id == round % 3 + 1);
            cut[0].sees(&cut, false);
            for node in &rest {
                node.sees(&rest, true);
            }
            std::thread::sleep(Duration::from_millis(300));
            meet(&nodes.iter().collect::<Vec<_>>());
        }
        done.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert!(written.len() > 20, "found {} writes, wanted enough to prove something", written.len());
    for (node, name) in nodes.iter().flat_map(|node| written.iter().map(move |name| (node, name))) {
        assert!(node.pve(name).is_dir(), "{} lost {name} of {} writes", node.name, written.len());
    }
}
