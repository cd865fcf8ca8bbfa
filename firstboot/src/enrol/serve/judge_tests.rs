//! Every refusal, in the order of the questions.

use super::*;
use crate::enrol::policy::{Application, Standing};
use crate::hello::MachineId;
use crate::hello::ledger::State;
use crate::site::{Who, from_text, tests::example};

const ID: MachineId = MachineId([7; 16]);

fn members(cluster: &str, quorate: u8, newcomer: u8) -> Members {
    serde_json::from_str(&format!(
        r#"{{"nodename": "m", "cluster": {{"name": "{cluster}", "quorate": {quorate}}},
            "nodelist": {{"m": {{"online": 1, "ip": "10.254.0.1"}}, "pve-rack-a-1-1": {{"online": {newcomer}}}}}}}"#
    ))
    .unwrap()
}

/// The site, and a ledger in which our machine and another one have places.
fn known() -> (Site, Ledger) {
    let site = from_text(&example()).unwrap();
    let mut ledger = Ledger::default();
    for (id, mac) in [(ID, "52:54:00:00:00:01"), (MachineId([8; 16]), "52:54:00:00:00:02")] {
        ledger.grant(id, &Who { macs: vec![mac.into()], serial: None }, &site).unwrap();
    }
    (site, ledger)
}

fn ask(site: &Site) -> Ask {
    let blob = [&b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\x01\0"[..], &[0x81; 256]].concat();
    let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, blob);
    Ask {
        version: VERSION,
        site: tag(&site.secrets.key).unwrap(),
        machine: ID,
        who: Who { macs: vec!["52:54:00:00:00:01".into()], serial: None },
        release: "3.2-4".into(),
        address: [10, 254, 1, 1].into(),
        name: "pve-rack-a-1-1".into(),
        key: format!("ssh-rsa {key} root@proxmox"),
    }
}

/// What is different in one case.
struct Case {
    ask: Ask,
    site: Site,
    ledger: Ledger,
    release: Option<&'static str>,
    members: Option<Members>,
    book: Book,
}

#[test]
fn each_reason_has_its_word_and_only_what_never_changes_is_final() {
    type Change = fn(&mut Case);
    let table: [(&str, bool, Change); 19] = [
        ("", false, |_| ()),
        ("version", false, |case| case.ask.version += 1),
        ("site", true, |case| case.ask.site = "00".repeat(32)),
        ("release", false, |case| case.ask.release = "3.3-1".into()),
        ("release", false, |case| case.release = None),
        ("quorum", false, |case| case.members = None),
        ("quorum", false, |case| case.members = Some(members("DLLL-CIAS", 0, 0))),
        ("quorum", false, |case| case.members = Some(members("OTHER", 1, 0))),
        ("unknown", false, |case| case.ledger = Ledger::default()),
        ("taken", false, |case| case.ask.machine = MachineId([9; 16])),
        ("taken", false, |case| case.ask.address = [10, 254, 1, 2].into()),
        ("taken", false, |case| case.ask.name = "pve-rack-a-1-2".into()),
        ("taken", false, |case| {
            let id = "09".repeat(16);
            let line = format!(
                r#"{{"machine":"{id}","state":"member","address":"10.254.9.9","name":"pve-rack-a-1-1","fqdn":"x"}}"#
            );
            case.ledger.read("9", &line).unwrap();
        }),
        ("retired", true, |case| {
            case.ledger.set(case.ask.address, State::Retired);
        }),
        ("retired", true, |case| {
            case.ledger.set(case.ask.address, State::Retired);
            case.ledger.grant(ID, &case.ask.who, &case.site).unwrap();
        }),
        ("online", false, |case| case.members = Some(members("DLLL-CIAS", 1, 1))),
        ("closed", false, |case| case.site.enrol.mode = "window".into()),
        ("denied", false, |case| {
            let (who, address, name) = (Who::default(), case.ask.address, case.ask.name.clone());
            let denied =
                Application { machine: ID, standing: Standing::Denied, name, address, who, since: 0 };
            case.book.applications.insert(ID, denied);
        }),
        ("key", false, |case| case.ask.key = format!("command=\"sh\" {}", case.ask.key)),
    ];
    for (kind, is_final, change) in table {
        let (site, ledger) = known();
        let mut case = Case {
            ask: ask(&site),
            site,
            ledger,
            release: Some("3.2-4"),
            members: Some(members("DLLL-CIAS", 1, 0)),
            book: Book::default(),
        };
        change(&mut case);
        let Case { ask, site, ledger, release, members, book } = &case;
        let knows =
            Knows { site, release: *release, members: members.as_ref(), ledger, book, asked: 1_400_000_000 };
        match judge(ask, &knows) {
            Ok((entry, _)) => assert_eq!((kind, entry.machine), ("", ID)),
            Err(refusal) => {
                assert_eq!((refusal.kind, refusal.is_final), (kind, is_final), "{}", refusal.reason);
                assert!(!refusal.pends && refusal.reason.len() > 60, "{}", refusal.reason);
                assert!(!refusal.reason.contains(char::is_control), "{}", refusal.reason);
            }
        }
    }
}

#[test]
fn what_is_not_approved_yet_is_kept_and_what_is_wrong_otherwise_is_not() {
    let (mut site, ledger) = known();
    site.enrol.mode = "approve".into();
    let (members, book) = (members("DLLL-CIAS", 1, 0), Book::default());
    let knows = Knows {
        site: &site,
        release: Some("3.2-4"),
        members: Some(&members),
        ledger: &ledger,
        book: &book,
        asked: 0,
    };
    let refusal = judge(&ask(&site), &knows).unwrap_err();
    assert!(refusal.pends && !refusal.is_final);
    assert!(
        refusal.reason.contains("`cias enrol approve pve-rack-a-1-1` on the Master"),
        "{}",
        refusal.reason
    );
    let other = Ask { release: "3.1".into(), ..ask(&site) };
    assert!(!judge(&other, &knows).unwrap_err().pends);
}
