use super::*;
use crate::journal::{Cause, Resumed, Step};

fn journal_of(identity: Progress, provision: Option<Progress>) -> State {
    let mut journal = State::default();
    let steps = |progress: Progress| {
        let warnings =
            if progress == Progress::Warning { vec!["/dev/vdd was refused".into()] } else { vec![] };
        let last = Step { name: "second".into(), progress, warnings };
        vec![Step { name: "first".into(), progress: Progress::Done, warnings: vec![] }, last]
    };
    for (name, progress) in [("identity", Some(identity)), ("provision", provision)] {
        let Some(progress) = progress else { continue };
        let stage = journal.stage_mut(name);
        stage.progress = progress;
        stage.steps = steps(progress);
        stage.resumed = (name == "identity").then_some(Resumed { step: 2, of: 2, cause: Cause::PowerLoss });
        stage.reason = (progress == Progress::Failed).then(|| "step 2 of 2: second: broken".into());
    }
    journal
}

#[test]
fn the_first_stage_that_is_not_done_decides() {
    use Progress as P;
    for (identity, provision, at_work, wanted, step) in [
        (P::Done, Some(P::Done), true, Overall::Done, None),
        (P::Done, Some(P::Warning), false, Overall::Done, None),
        (P::Done, None, false, Overall::Pending, None),
        (P::Done, Some(P::Working), true, Overall::Working, Some(2)),
        (P::Done, Some(P::Working), false, Overall::Interrupted, Some(2)),
        (P::Failed, None, false, Overall::Failed, Some(2)),
        (P::Waiting, Some(P::Done), false, Overall::Waiting, Some(2)),
    ] {
        let status = Status::of(&journal_of(identity, provision), at_work);
        assert_eq!(status.state, wanted);
        assert_eq!(status.step.map(|at| at.number), step, "{wanted:?}");
    }
}

#[test]
fn a_machine_that_has_stopped_is_not_done_whatever_its_journal_says() {
    let tree = crate::tree::Tree::from_text("/run/cias/\n");
    let mut journal = journal::Journal::open(&tree.root()).unwrap();
    journal.update(|state| *state = journal_of(Progress::Done, Some(Progress::Done))).unwrap();
    let mut published = published::Published::of_this_process();
    for (stopped, wanted) in [(None, Overall::Done), (Some("it was removed"), Overall::Stopped)] {
        published.stopped = stopped.map(ToOwned::to_owned);
        published.write(&tree.root()).unwrap();
        let status = Status::read(&tree.root()).unwrap();
        assert_eq!(status.state, wanted);
        let text = status.to_string();
        let told = ["STOPPED\n", "reason: it was removed\n", "way out: whoever has looked"];
        assert!(told.iter().all(|told| text.contains(told) == stopped.is_some()), "{text}");
    }
}

#[test]
fn a_person_reads_reason_warning_and_way_out() {
    let text = Status::of(&journal_of(Progress::Warning, Some(Progress::Failed)), false).to_string();
    assert!(
        text.starts_with(
            "CIAS 0.1.0: a node without a name (unsettled): failed at step 2 of 2 of provision\n"
        ),
        "{text}"
    );
    for line in [
        "identity: 2 of 2 steps done, resumed at step 2 of 2 after power loss",
        "provision: 1 of 2 steps done",
        "warning: /dev/vdd was refused",
        "reason: step 2 of 2: second: broken",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    assert!(text.contains("way out: "));
}

#[test]
fn a_held_lock_is_seen_without_touching_it() {
    let tree = crate::tree::Tree::from_text("");
    let journal = journal::Journal::open(&tree.root()).unwrap();
    assert!(at_work(&tree.root()));
    drop(journal);
    assert!(!at_work(&tree.root()));
}

#[test]
fn a_page_is_named_whether_the_cluster_can_be_seen_or_not() {
    let tree = crate::tree::Tree::from_text("/etc/cias/\n/var/lib/cias/\n");
    let root = tree.root();
    let pages = || Status::read(&root).unwrap().pages;
    assert_eq!(pages(), [""; 0]);
    let path = root.path(crate::node::SITE);
    crate::files::write(&path, crate::site::tests::example(), 0o600).unwrap();
    let promised = ["https://10.254.0.1:8006/", "https://10.254.0.254:8006/"];
    assert_eq!(pages(), promised, "it waits for its place");
    let mut journal = journal::Journal::open(&root).unwrap();
    let place = crate::site::Place { address: [10, 254, 1, 1].into(), name: "n".into(), fqdn: "n.x".into() };
    journal.update(|state| state.place = Some(place)).unwrap();
    crate::cluster::record::remember(&root, "DLLL-CIAS").unwrap();
    let status = Status::read(&root).unwrap();
    assert_eq!(status.pages, [&promised[..], &["https://10.254.1.1:8006/"]].concat());
    let text = status.to_string();
    assert!(
        text.contains("\nnodes of the cluster: not to be seen: the cluster's file system is not mounted"),
        "{text}"
    );
    assert!(text.ends_with("https://10.254.1.1:8006/\n"), "{text}");
    std::fs::create_dir_all(root.path("/etc/pve/priv/cias/ledger")).unwrap();
    std::os::unix::fs::symlink("nodes/m", root.path("/etc/pve/local")).unwrap();
    let members = r#"{"nodename": "m", "nodelist": {"m": {"online": 1}, "n": {"online": 0}}}"#;
    std::fs::write(root.path("/etc/pve/.members"), members).unwrap();
    let line = |number: u8, name: &str| {
        let machine = format!("{number:02x}").repeat(16);
        format!(
            "{{\"machine\":\"{machine}\",\"state\":\"member\",\"address\":\"10.254.3.{number}\",\"name\":\"{name}\",\"fqdn\":\"x\"}}\n"
        )
    };
    std::fs::write(root.path("/etc/pve/priv/cias/ledger/3"), line(1, "m") + &line(2, "n")).unwrap();
    assert_eq!(pages(), ["https://10.254.3.1:8006/"], "only of nodes that are there");
}

#[test]
fn what_is_waited_for_is_told_while_something_is_at_work() {
    let tree = crate::tree::Tree::from_text("/run/cias/waits-for = another node joins\n");
    let mut journal = journal::Journal::open(&tree.root()).unwrap();
    journal.update(|state| *state = journal_of(Progress::Done, Some(Progress::Working))).unwrap();
    let told = Status::read(&tree.root()).unwrap().to_string();
    assert!(told.contains("\nreason: another node joins\n"), "{told}");
    drop(journal);
    assert_eq!(Status::read(&tree.root()).unwrap().error, None);
}
