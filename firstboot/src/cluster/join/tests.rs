use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::super::testing::Node;
use super::*;
use crate::enrol::protocol::{FromMaster, Refused, hear, tell};
use crate::runner::fake::Fake;

const PASSES: Probe = |_, _, own| {
    assert_eq!(own, Ipv4Addr::new(10, 254, 1, 1));
    Ok(Outcome { asked: 3, answered: 3 })
};

const SILENCE: Probe = |_, _, _| Ok(Outcome { asked: 50, answered: 0 });

fn step(node: &Node) -> Box<dyn Step> {
    Box::new(Join { probe: PASSES, ..Join::new(&node.site, &node.place) })
}

/// What the Master heard, and how it answers an `Ask`; what follows a welcome it confirms.
type Heard = Arc<Mutex<Vec<FromNode>>>;

fn master(commands: Fake, answers: Vec<FromMaster>) -> (Fake, Heard) {
    let heard = Heard::default();
    let record = heard.clone();
    let commands = commands.speaks(move |mut stream: UnixStream| {
        let mut input = BufReader::new(stream.try_clone().unwrap());
        while let Ok(Some(said)) = hear::<FromNode>(&mut input) {
            record.lock().unwrap().push(said.clone());
            match said {
                FromNode::Ask(_) => answers.iter().for_each(|answer| tell(&mut stream, answer).unwrap()),
                FromNode::Joined => tell(&mut stream, &FromMaster::Confirmed).unwrap(),
                FromNode::Failed(_) => {}
            }
            if answers.is_empty() || matches!(answers.last(), Some(FromMaster::Refused(_))) {
                return drop(stream.shutdown(std::net::Shutdown::Both));
            }
        }
    });
    (commands, heard)
}

fn welcome(cluster: &str) -> FromMaster {
    FromMaster::Welcome(Welcome {
        master: "m".into(),
        address: [10, 254, 0, 1].into(),
        host_keys: vec!["ssh-rsa MASTER".into()],
        cluster: cluster.into(),
    })
}

fn kind(node: &Node) -> Fake {
    master(node.commands(), vec![FromMaster::Wait("another joins".into()), welcome("DLLL-CIAS")]).0
}

#[test]
fn a_node_joins_wherever_the_power_goes() {
    Node::survives_cuts(step, kind);
}

#[test]
fn the_master_hears_who_asks_and_the_joined_node_leaves_no_key_behind() {
    let node = Node::new();
    let (commands, heard) = master(node.commands(), vec![welcome("DLLL-CIAS")]);
    node.run(step(&node).as_ref(), &commands).unwrap();
    node.is_member("joined");
    let heard = heard.lock().unwrap();
    let FromNode::Ask(ask) = &heard[0] else { panic!("{heard:?}") };
    assert_eq!((ask.name.as_str(), ask.key.as_str()), ("me", "ssh-rsa OWN me"));
    assert_eq!(ask.site, enrol::tag(&node.site.secrets.key).unwrap());
    assert_eq!(heard[1..], [FromNode::Joined]);
    assert!(!node.root().has("/run/cias/join/key"));
    assert_eq!(node.root().text("/root/.ssh/known_hosts").unwrap(), "10.254.0.1,m ssh-rsa MASTER\n");
    let lines = commands.lines();
    let session = lines.iter().find(|line| line.starts_with("ssh -T")).unwrap();
    assert!(
        session.ends_with("root@10.254.0.254") && session.contains("StrictHostKeyChecking=yes"),
        "{session}"
    );
    let known = node.root().text("/run/cias/join/known_hosts").unwrap();
    assert!(known.starts_with("cias-enrol ecdsa-sha2-nistp256 "), "{known}");
}

#[test]
fn a_refusal_has_its_class_and_changes_nothing() {
    for (is_final, wanted) in [(true, Class::Refused), (false, Class::TryLater)] {
        let node = Node::new();
        let refused = FromMaster::Refused(Refused { reason: "not on the list".into(), is_final });
        let (commands, _) = master(node.commands(), vec![refused]);
        let error = node.run(step(&node).as_ref(), &commands).unwrap_err();
        assert_eq!(Class::of(&error), wanted);
        assert!(error.to_string().contains("not on the list"), "{error:#}");
        assert!(!commands.lines().iter().any(|line| line.starts_with("pvecm")));
    }
    let node = Node::new();
    let (commands, _) = master(node.commands().fails("ssh -T", 255, "Connection refused"), Vec::new());
    let error = node.run(step(&node).as_ref(), &commands).unwrap_err();
    assert_eq!(Class::of(&error), Class::TryLater);
    assert!(error.to_string().contains("exit code 255: Connection refused"), "{error:#}");
}

#[test]
fn without_multicast_nothing_is_begun_and_the_master_is_told() {
    let node = Node::new();
    let (commands, heard) = master(node.commands(), vec![welcome("DLLL-CIAS")]);
    let step = Join { probe: SILENCE, ..Join::new(&node.site, &node.place) };
    let error = node.run(&step, &commands).unwrap_err();
    assert_eq!(Class::of(&error), Class::TryLater);
    assert!(error.to_string().contains("IGMP querier") && error.to_string().contains("0 of 50"), "{error:#}");
    assert!(!commands.lines().iter().any(|line| line.starts_with("pvecm")));
    assert!(
        matches!(&heard.lock().unwrap()[1], FromNode::Failed(reason) if reason.contains("239.192.141.238"))
    );
}

#[test]
fn another_sites_master_is_refused() {
    let node = Node::new();
    let (commands, _) = master(node.commands(), vec![welcome("OTHER")]);
    assert_eq!(Class::of(&node.run(step(&node).as_ref(), &commands).unwrap_err()), Class::Refused);
}

#[test]
fn what_does_not_become_a_member_is_rolled_back_and_joins_the_next_time() {
    let node = Node::new();
    node.world.has_others.store(false, Ordering::SeqCst);
    let (commands, heard) =
        master(node.commands().fails("pvecm add", 1, "no luck"), vec![welcome("DLLL-CIAS")]);
    let error = node.run(step(&node).as_ref(), &commands).unwrap_err();
    assert_eq!(Class::of(&error), Class::TryLater);
    assert!(error.to_string().contains("no luck"), "{error:#}");
    let seen = Seen::look(&node.root());
    assert_eq!(stand::stand(&seen, "DLLL-CIAS"), Stand::Alone, "{seen:?}");
    assert!(node.root().text("/etc/pve/priv/authorized_keys").unwrap().contains("ADMIN"));
    assert!(node.root().has("/var/lib/pve-cluster/cias-before-config.db"));
    assert!(matches!(heard.lock().unwrap().last(), Some(FromNode::Failed(_))));
    node.world.has_others.store(true, Ordering::SeqCst);
    node.run(step(&node).as_ref(), &kind(&node)).unwrap();
    node.is_member("the next time");
}

#[test]
fn a_join_ends_with_its_session_and_is_tried_again() {
    let node = Node::new();
    node.world.has_others.store(false, Ordering::SeqCst);
    // The Master's power goes after its welcome.
    let dying = |mut stream: UnixStream| {
        hear::<FromNode>(&mut BufReader::new(stream.try_clone().unwrap())).unwrap();
        tell(&mut stream, &welcome("DLLL-CIAS")).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    };
    let error =
        node.run(step(&node).as_ref(), &node.commands().speaks(dying).hangs("pvecm add")).unwrap_err();
    assert_eq!(Class::of(&error), Class::TryLater);
    assert!(error.to_string().contains("killed, because the session with the Master ended"), "{error:#}");
    assert_eq!(stand::stand(&Seen::look(&node.root()), "DLLL-CIAS"), Stand::Alone);
    node.world.has_others.store(true, Ordering::SeqCst);
    node.run(step(&node).as_ref(), &kind(&node)).unwrap();
    node.is_member("the next time");
}

#[test]
fn a_master_that_is_too_slow_to_let_root_in_is_asked_again() {
    let node = Node::new();
    let slow = "Connection timed out during banner exchange";
    let (commands, _) = master(
        node.commands().fails("ssh -o BatchMode=yes -o ConnectTimeout=30 root@10.254.0.1", 255, slow),
        vec![welcome("DLLL-CIAS")],
    );
    let error = node.run(step(&node).as_ref(), &commands).unwrap_err();
    assert_eq!(Class::of(&error), Class::TryLater, "{error:#}");
    assert!(error.to_string().contains(slow), "{error:#}");
    node.run(step(&node).as_ref(), &kind(&node)).unwrap();
    node.is_member("the next time");
}

#[test]
fn a_half_joined_node_goes_back_only_when_the_master_lets_it_in_anew() {
    let node = Node::new();
    let half = || stand::stand(&Seen::look(&node.root()), "DLLL-CIAS");
    node.world.has_others.store(false, Ordering::SeqCst);
    // The power goes once `pvecm add` has done its work.
    let whole = Node::new();
    let undisturbed = kind(&whole);
    whole.run(step(&whole).as_ref(), &undisturbed).unwrap();
    let add = undisturbed.lines().iter().position(|line| line.starts_with("pvecm add")).unwrap();
    node.run(step(&node).as_ref(), &kind(&node).cut_at(2 * add + 1)).unwrap_err();
    node.world.boot();
    assert_eq!(half(), Stand::Half);
    // The Master is not there.
    let (commands, _) = master(node.commands(), Vec::new());
    node.run(step(&node).as_ref(), &commands).unwrap_err();
    assert_eq!((half(), commands.rested()), (Stand::Half, bring::QUORUM));
    // It is there again.
    let world = node.world.clone();
    let commands =
        kind(&node).does("service cman stop", move || world.has_others.store(true, Ordering::SeqCst));
    node.run(step(&node).as_ref(), &commands).unwrap();
    node.is_member("joined anew");
}

#[test]
fn a_way_back_that_was_cut_off_leaves_no_person_locked_out() {
    let node = Node::new();
    node.world.has_others.store(false, Ordering::SeqCst);
    let commands = || master(node.commands(), vec![welcome("DLLL-CIAS")]).0;
    let whole = Node::new();
    whole.world.has_others.store(false, Ordering::SeqCst);
    let failing = master(whole.commands(), vec![welcome("DLLL-CIAS")]).0;
    whole.run(step(&whole).as_ref(), &failing).unwrap_err();
    let start = failing.lines().iter().position(|line| line == "service pve-cluster start").unwrap();
    node.run(step(&node).as_ref(), &commands().cut_at(2 * start + 1)).unwrap_err();
    node.world.boot();
    let shared = || node.root().text("/etc/pve/priv/authorized_keys").unwrap();
    assert!(!shared().contains("ADMIN"));
    // The Master is not there, so that the join does not come further.
    node.run(step(&node).as_ref(), &master(node.commands(), Vec::new()).0).unwrap_err();
    assert!(shared().contains("ADMIN"));
}

#[test]
fn a_member_never_goes_back() {
    let node = Node::new();
    node.run(step(&node).as_ref(), &kind(&node)).unwrap();
    node.world.has_others.store(false, Ordering::SeqCst);
    node.world.boot();
    for _ in 0..3 {
        let commands = kind(&node);
        let error = node.run(step(&node).as_ref(), &commands).unwrap_err();
        assert_eq!(Class::of(&error), Class::TryLater);
        assert_eq!(commands.lines(), ["service cman start"]);
    }
    node.world.has_others.store(true, Ordering::SeqCst);
    node.run(step(&node).as_ref(), &kind(&node)).unwrap();
    node.is_member("again");
}
