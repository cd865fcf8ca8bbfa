use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::hello::Nonce;
use crate::hello::frame::Request;
use crate::site::{Who, from_text, tests::example};
use crate::tree::Tree;

const ME: MachineId = MachineId([1; 16]);
const OTHER: MachineId = MachineId([2; 16]);

fn members(quorate: u8) -> String {
    format!(
        "{{\"nodename\": \"m\", \"version\": 1, \"cluster\": {{\"name\": \"DLLL-CIAS\", \"version\": 1, \"nodes\": 1, \"quorate\": {quorate}}}, \
         \"nodelist\": {{\"m\": {{\"id\": 1, \"online\": 1}}}}}}"
    )
}

/// A founder whose cluster stands.
fn master(role: &str) -> (Tree, Clerk) {
    let place = "{\"address\":\"10.254.0.1\",\"name\":\"m\",\"fqdn\":\"m.example.com\"}";
    let tree = Tree::from_text(&format!(
        "/etc/pve/local -> nodes/m\n/run/cias/\n/etc/ssh/ssh_host_rsa_key.pub = ssh-rsa AAAA root@m\n\
         /var/lib/cias/journal.json = {{\"schema\":1,\"role\":\"{role}\",\"place\":{place},\"machine\":[],\"stages\":[]}}\n"
    ));
    std::fs::write(tree.root().path("/etc/pve/.members"), members(1)).unwrap();
    let site = from_text(&example()).unwrap();
    let clerk = Clerk {
        root: tree.root(),
        site,
        me: ME,
        serial: None,
        release: "3.2".into(),
        log: Arc::new(Log::silent()),
        trouble: Mutex::default(),
        word: Mutex::default(),
        keep: |_, _, _| Ok(()),
    };
    (tree, clerk)
}

fn asking(from: MachineId, release: &str, holds: Option<[u8; 4]>) -> Asking {
    let who = Who { macs: vec!["52:54:00:00:00:02".into()], serial: None };
    let request = Request { echo: Nonce(1), who, release: release.into(), holds: holds.map(Into::into) };
    Asking { from, nonce: Nonce(9), request }
}

fn sentence(answers: &[Answer]) -> (String, bool) {
    match &answers[0] {
        Answer::Refusal(refusal, who) if who.macs == ["52:54:00:00:00:02"] => {
            (refusal.reason.clone(), refusal.is_final)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_founder_serves_once_its_cluster_stands_and_the_ledger_has_it() {
    let (_tree, clerk) = master("founder");
    assert_eq!(clerk.stand().unwrap(), Standing::Serving);
    let ledger = register::read(&clerk.root).unwrap();
    let entry = ledger.of(ME).unwrap();
    assert_eq!((entry.state, entry.place.name.as_str()), (State::Member, "m"));
    std::fs::write(clerk.root.path("/etc/pve/.members"), members(0)).unwrap();
    assert_eq!(clerk.stand().unwrap(), Standing::Away);
    std::fs::remove_file(clerk.root.path("/etc/pve/local")).unwrap();
    assert_eq!(clerk.stand().unwrap(), Standing::Away);

    let (_tree, clerk) = master("node");
    assert_eq!(clerk.stand().unwrap(), Standing::Member);
    assert!(register::read(&clerk.root).unwrap().of(ME).is_none());
}

#[test]
fn a_service_of_the_enrolment_that_does_not_run_is_tried_again_after_a_rest_and_keeps_no_place_waiting() {
    static TRIES: AtomicU32 = AtomicU32::new(0);
    let (_tree, clerk) = master("founder");
    let clerk = Clerk {
        keep: |_, _, _| match TRIES.fetch_add(1, Ordering::Relaxed) {
            2 => Ok(()),
            _ => anyhow::bail!("the port is taken"),
        },
        ..clerk
    };
    let tries = |rested: bool| {
        if let Some((_, tried)) = &mut *clerk.trouble.lock().unwrap()
            && rested
        {
            *tried = tried.checked_sub(REST).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(clerk.stand().unwrap(), Standing::Serving);
        }
        TRIES.load(Ordering::Relaxed)
    };
    assert_eq!([tries(false), tries(true)], [1, 2]);
    assert!(clerk.trouble.lock().unwrap().as_ref().unwrap().0.contains("the port is taken"));
    assert_eq!(tries(true), 4, "once it runs it is looked at each time");
}

#[test]
fn a_founder_that_the_ledger_does_not_know_as_such_does_not_serve() {
    let (_tree, clerk) = master("founder");
    clerk.stand().unwrap();
    let stranger = Clerk { me: OTHER, ..master("founder").1 };
    let stranger = Clerk { root: clerk.root.clone(), ..stranger };
    assert_eq!(Class::of(&stranger.stand().unwrap_err()), Class::Refused);
    register::change(&clerk.root, |ledger| Ok(ledger.set([10, 254, 0, 1].into(), State::Retired))).unwrap();
    assert_eq!(Class::of(&clerk.stand().unwrap_err()), Class::Refused);
}

#[test]
fn a_place_is_in_the_ledger_before_it_is_offered_and_stays_the_same() {
    let (_tree, clerk) = master("founder");
    let asked = || vec![Work::Ask(asking(OTHER, "3.2", None)), Work::Look];
    for _ in 0..2 {
        let answers = clerk.work(asked());
        let Answer::Offer(offer) = &answers[0] else { panic!("{answers:?}") };
        assert_eq!((offer.to, offer.echo), (OTHER, Nonce(9)));
        assert_eq!(
            (offer.address, offer.master),
            ([10, 254, 1, 1].into(), std::net::Ipv4Addr::new(10, 254, 0, 1))
        );
        assert_eq!(offer.host_key, "ssh-rsa AAAA");
        assert_eq!(answers[1], Answer::Stands(Standing::Serving));
        let ledger = register::read(&clerk.root).unwrap();
        assert_eq!(ledger.of(OTHER).unwrap().state, State::Offered);
    }
}

#[test]
fn each_refusal_says_why_and_only_a_retired_place_is_for_good() {
    let (_tree, clerk) = master("founder");
    clerk.work(vec![Work::Ask(asking(OTHER, "3.2", None))]);
    let third = MachineId([3; 16]);
    let ask = |asking: Asking| sentence(&clerk.work(vec![Work::Ask(asking)]));
    for (asking, wanted) in [
        (asking(third, "3.1", None), "has Proxmox VE \"3.1\", wanted \"3.2\""),
        (asking(third, "3.2", Some([10, 254, 1, 1])), "as machine 0202"),
        (asking(third, "3.2", Some([10, 254, 1, 9])), "does not know 10.254.1.9"),
    ] {
        let (reason, is_final) = ask(asking);
        assert!(reason.contains(wanted) && !is_final, "{reason}");
    }
    let held = || asking(OTHER, "3.1", Some([10, 254, 1, 1]));
    assert!(matches!(clerk.work(vec![Work::Ask(held())])[0], Answer::Offer(_)), "its place stands");
    register::change(&clerk.root, |ledger| Ok(ledger.set([10, 254, 1, 1].into(), State::Retired))).unwrap();
    let (reason, is_final) = ask(held());
    assert!(reason.contains("removed from the cluster") && is_final, "{reason}");
    std::fs::write(clerk.root.path("/etc/pve/.members"), members(0)).unwrap();
    let (reason, is_final) = ask(held());
    assert!(reason.contains("no quorum") && !is_final, "{reason}");
}
