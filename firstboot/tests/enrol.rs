//! Stand-in: a Master in a folder (support/master.rs). Drives `cias enrol serve` through a real sshd, as nodes do and as whoever else
//! holds the join key would.

#[path = "support/master.rs"]
mod master;

use std::fs;

use cias_firstboot::cluster::register;
use cias_firstboot::enrol::protocol::{Ask, FromMaster, FromNode};
use cias_firstboot::hello::MachineId;
use cias_firstboot::hello::ledger::State;
use master::{Master, machine, name, pid, wait};

/// What is different in a question.
type Change = fn(&mut Ask);

const KEYS: &str = "etc/pve/priv/authorized_keys";

/// The cluster's commands that were run.
fn pvecm(master: &Master) -> Vec<String> {
    let calls = master.read("calls");
    calls.lines().filter(|line| line.starts_with("pvecm ")).map(ToOwned::to_owned).collect()
}

#[test]
fn the_real_sshd_takes_the_files_and_is_started_once_and_anew_after_a_change() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let root = master.path("");
    let first = pid(&root);
    assert!(!first.is_empty());
    master.keep();
    assert_eq!(pid(&root), first, "what runs is left alone");
    let config = master.path("etc/cias/enrol/sshd_config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "# by hand\n").unwrap();
    master.keep();
    assert!(!fs::read_to_string(&config).unwrap().contains("by hand") && pid(&root) != first);
    master.asks(master.ask(1)).is_welcome();
}

#[test]
fn a_node_is_let_in_and_confirmed_once_the_cluster_sees_it() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let mut session = master.asks(master.ask(1));
    let welcome = session.is_welcome();
    assert_eq!((&*welcome.master, &*welcome.cluster), ("pve-rack-a-0-1", "DLLL-CIAS"));
    assert_eq!(welcome.address.to_string(), "10.254.0.1");
    let host = fs::read_to_string(master.key("host.pub")).unwrap();
    let host: Vec<&str> = host.split_whitespace().take(2).collect();
    assert_eq!(welcome.host_keys, [host.join(" ")], "only kinds that the target knows");
    let key = fs::read_to_string(master.key("node1.pub")).unwrap().replace("node1", "root@pve-rack-a-1-1");
    assert_eq!(master.read(KEYS), format!("ssh-rsa AAAA admin\n{key}"));
    assert_eq!(master.state(1), State::Offered);
    master.cluster(true, &[&name(1)], &[&name(1)]);
    session.says(&FromNode::Joined);
    assert_eq!(session.hears(), FromMaster::Confirmed);
    assert_eq!((master.state(1), master.state(2)), (State::Member, State::Offered));
    wait("the mail", || master.subjects() == ["pve-rack-a-1-1 has joined"]);
    assert_eq!(pvecm(&master), [""; 0]);
    assert!(master.log().contains("pve-rack-a-1-1 has joined"), "{}", master.log());
    let (reason, is_final) = master.asks(master.ask(1)).is_refused();
    assert!(reason.contains("online already") && !is_final, "{reason}");
}

#[test]
fn a_join_that_the_cluster_does_not_see_is_taken_back() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let mut session = master.asks(master.ask(1));
    session.is_welcome();
    master.cluster(true, &[&name(1)], &[]);
    session.says(&FromNode::Joined);
    let (reason, is_final) = session.is_refused();
    assert!(reason.contains("the cluster does not see it") && !is_final, "{reason}");
    assert_eq!(pvecm(&master), ["pvecm delnode pve-rack-a-1-1"]);
    assert_eq!((master.read(KEYS).as_str(), master.state(1)), ("ssh-rsa AAAA admin\n", State::Offered));
    wait("the mail", || master.subjects() == ["pve-rack-a-1-1 has not joined"]);
}

#[test]
fn a_killed_node_and_one_that_failed_are_taken_back_and_the_next_may_join() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let mut session = master.asks(master.ask(1));
    session.is_welcome();
    master.cluster(true, &[&name(1)], &[]);
    session.dies();
    wait("the way back", || master.read(KEYS) == "ssh-rsa AAAA admin\n");
    assert_eq!(pvecm(&master), ["pvecm delnode pve-rack-a-1-1"]);
    let mut next = master.asks(master.ask(2));
    next.is_welcome();
    master.cluster(true, &[&name(2)], &[]);
    next.says(&FromNode::Failed("no \u{1b}[2J quorum".into()));
    let (reason, _) = next.is_refused();
    assert!(reason.contains("failed") && !reason.contains('\u{1b}'), "{reason}");
    assert_eq!(pvecm(&master).len(), 2);
    assert!(!master.read("etc/pve/cluster.conf").contains("pve-rack-a-1-2"));
}

#[test]
fn somebody_elses_key_opens_nothing_for_a_node_and_stays_where_it_is() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let key = master.ask(2).key;
    let (kind, rest) = key.split_once(' ').unwrap();
    let theirs = format!("{kind} {} admin@desk\n", rest.split(' ').next().unwrap());
    master.put(KEYS, &theirs);
    for _ in 0..2 {
        let (reason, _) = master.asks(Ask { key: key.clone(), ..master.ask(1) }).is_refused();
        assert!(reason.contains("stands in") && reason.contains("admin@desk"), "{reason}");
        assert_eq!(master.read(KEYS), theirs);
    }
    // Its own is taken, and again after `ssh-copy-id` has put it there once more.
    let own = master.ask(1).key;
    let mut session = master.asks(master.ask(1));
    session.is_welcome();
    let text = master.read(KEYS);
    assert!(text.starts_with(&theirs) && text.lines().count() == 2, "{text}");
    master.put(KEYS, &format!("{text}{own}\n"));
    session.dies();
    wait("the way back", || master.read(KEYS) == theirs);
    master.asks(master.ask(1)).is_welcome();
}

#[test]
fn what_an_earlier_session_left_is_taken_back_first_and_a_member_stays_in_the_cluster() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    master.cluster(true, &[&name(1), &name(2)], &[]);
    register::change(&master.root, |ledger| Ok(ledger.set([10, 254, 1, 2].into(), State::Member))).unwrap();
    master.asks(master.ask(1)).is_welcome();
    assert_eq!(pvecm(&master), ["pvecm delnode pve-rack-a-1-1"]);
    wait("the lock", || master.log().contains("came to nothing"));
    let mut member = master.asks(master.ask(2));
    member.is_welcome();
    member.dies();
    wait("the way back", || master.log().matches("came to nothing").count() == 2);
    wait("the key", || master.read(KEYS) == "ssh-rsa AAAA admin\n");
    assert_eq!(pvecm(&master), ["pvecm delnode pve-rack-a-1-1"], "a member is not taken out");
}

#[test]
fn a_node_is_not_taken_out_for_another_machine_that_has_its_name() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let mut session = master.asks(master.ask(1));
    session.is_welcome();
    // A member that is switched off, entered meanwhile.
    let id = MachineId([9; 16]);
    let other = format!(
        "{{\"machine\":\"{id}\",\"state\":\"member\",\"address\":\"10.254.9.9\",\"name\":\"{}\",\"fqdn\":\"x\"}}\n",
        name(1)
    );
    master.put("etc/pve/priv/cias/ledger/9", &other);
    master.cluster(true, &[&name(1)], &[]);
    session.says(&FromNode::Failed("no quorum".into()));
    let (reason, is_final) = session.is_refused();
    assert!(reason.contains("for 10.254.9.9 too, as member of machine 0909") && !is_final, "{reason}");
    assert_eq!(pvecm(&master), [""; 0]);
    assert!(master.read("etc/pve/cluster.conf").contains("pve-rack-a-1-1"));
    let (reason, _) = master.asks(master.ask(1)).is_refused();
    assert!(reason.contains("has the name \"pve-rack-a-1-1\" twice"), "{reason}");
    assert_eq!(pvecm(&master), [""; 0]);
}

#[test]
fn a_node_that_joined_without_a_word_of_it_is_a_member() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let mut session = master.asks(master.ask(1));
    session.is_welcome();
    master.cluster(true, &[&name(1)], &[&name(1)]);
    session.dies();
    wait("the ledger", || master.state(1) == State::Member);
    wait("the mail", || master.subjects() == ["pve-rack-a-1-1 has joined"]);
    assert!(master.read(KEYS).contains("root@pve-rack-a-1-1") && pvecm(&master).is_empty());
}

#[test]
fn two_joins_go_one_after_the_other_and_a_waiting_node_may_leave() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let mut first = master.asks(master.ask(1));
    first.is_welcome();
    let mut second = master.asks(master.ask(2));
    for _ in 0..2 {
        let line = second.hears();
        assert!(
            matches!(&line, FromMaster::Wait(why) if why.contains("another node is joining")),
            "{line:?}"
        );
    }
    assert!(!master.read(KEYS).contains("pve-rack-a-1-2"), "nothing is done for it before its turn");
    second.dies();
    wait("its end", || master.log().contains("ended while it waited"));
    let mut second = master.asks(master.ask(2));
    assert!(matches!(second.hears(), FromMaster::Wait(_)));
    master.cluster(true, &[&name(1)], &[&name(1)]);
    first.says(&FromNode::Joined);
    assert_eq!(first.hears(), FromMaster::Confirmed);
    second.is_welcome();
}

#[test]
fn each_refusal_reaches_the_node_and_the_same_one_is_mailed_once() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let table: [(&str, bool, Change); 7] = [
        ("speaks version 2", false, |ask| ask.version = 2),
        ("is of another site", true, |ask| ask.site = "0".repeat(64)),
        ("has Proxmox VE \"3.3-1\", wanted 3.2-4", false, |ask| ask.release = "3.3-1".into()),
        ("the ledger has no place for machine", false, |ask| ask.machine = MachineId([9; 16])),
        ("the ledger has it as \"pve-rack-a-1-1\"", false, |ask| ask.name = "x".into()),
        ("the ledger has it as \"pve-rack-a-1-1\"", false, |ask| ask.address = [10, 254, 1, 2].into()),
        ("wanted one line with an ssh-rsa key", false, |ask| ask.key = format!("{}\n{}", ask.key, ask.key)),
    ];
    for (wanted, wanted_final, change) in table {
        let mut ask = master.ask(1);
        change(&mut ask);
        let (reason, is_final) = master.asks(ask).is_refused();
        assert!(reason.contains(wanted) && is_final == wanted_final, "{wanted}: {reason}");
    }
    master.cluster(false, &[], &[]);
    for _ in 0..2 {
        let (reason, _) = master.asks(master.ask(1)).is_refused();
        assert!(reason.contains("no online member of the cluster DLLL-CIAS with quorum"), "{reason}");
    }
    master.cluster(true, &[], &[]);
    register::change(&master.root, |ledger| Ok(ledger.set([10, 254, 1, 1].into(), State::Retired))).unwrap();
    let (reason, is_final) = master.asks(master.ask(1)).is_refused();
    assert!(reason.contains("was retired") && is_final, "{reason}");
    assert_eq!(master.read(KEYS), "ssh-rsa AAAA admin\n");
    wait("the mails", || master.subjects().iter().any(|subject| subject.ends_with("(retired)")));
    let quorum = master.subjects().iter().filter(|subject| subject.ends_with("(quorum)")).count();
    assert_eq!(quorum, 1, "{:?}", master.subjects());
    assert_eq!(master.log().matches("refused (quorum)").count(), 2, "each stands in the log");
}

#[test]
fn who_does_not_ask_first_is_refused_and_that_is_mailed_once() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    for _ in 0..2 {
        let (reason, _) = master.begins(&FromNode::Joined).is_refused();
        assert!(reason.contains("before it had asked for one"), "{reason}");
    }
    let mut ask = master.ask(1);
    ask.version = 2;
    master.asks(ask).is_refused();
    // Mails come in their order.
    wait("the mails", || master.subjects().iter().any(|subject| subject.ends_with("(version)")));
    assert_eq!(
        master.subjects(),
        ["a connection was refused (early)", "pve-rack-a-1-1 was refused (version)"]
    );
    let mails = master.read("mails");
    assert!(
        mails.contains("before it had asked for one") && mails.contains("\nIt came from 127.0.0.1"),
        "{mails}"
    );
}

#[test]
fn a_window_lets_in_while_it_is_open() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("window", "");
    let (reason, is_final) = master.asks(master.ask(1)).is_refused();
    assert!(reason.contains("the window is closed: `cias enrol open --minutes 30`") && !is_final, "{reason}");
    assert!(master.cias(0, &["enrol", "list"]).contains("mode: window, closed"));
    master.cias(2, &["enrol", "open", "--minutes", "1441"]);
    assert!(master.cias(0, &["enrol", "open", "--minutes", "30"]).contains("servers may join until"));
    assert!(master.cias(0, &["enrol", "list"]).contains("mode: window, open until"));
    master.asks(master.ask(1)).is_welcome();
    master.cias(0, &["enrol", "close"]);
    assert!(master.asks(master.ask(2)).is_refused().0.contains("the window is closed"));
}

#[test]
fn only_listed_machines_join_where_the_list_counts() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("list", "[[nodes.machine]]\nmac = \"52:54:00:00:00:01\"\n");
    assert!(master.asks(master.ask(2)).is_refused().0.contains("wanted a MAC address or serial number"));
    master.asks(master.ask(1)).is_welcome();
    assert!(master.cias(3, &["enrol", "open", "--minutes", "5"]).contains("which has no window"));
}

#[test]
fn an_administrator_approves_and_denies() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("approve", "");
    let (reason, is_final) = master.asks(master.ask(1)).is_refused();
    assert!(reason.contains("`cias enrol approve pve-rack-a-1-1` on the Master") && !is_final, "{reason}");
    let list: serde_json::Value =
        serde_json::from_str(&master.cias(0, &["enrol", "list", "--json"])).unwrap();
    let shown = &list["machines"][0];
    assert_eq!(shown["id"], machine(1).to_string());
    assert_eq!((&shown["standing"], &shown["macs"][0]), (&"pending".into(), &"52:54:00:00:00:01".into()));
    assert!(list["machines"][1]["standing"].is_null());
    master.cias(0, &["enrol", "approve", "52:54:00:00:00:01"]);
    master.asks(master.ask(1)).is_welcome();
    assert!(master.cias(3, &["enrol", "approve", "nobody"]).contains("pve-rack-a-1-2 (10.254.1.2, machine "));
    master.cias(0, &["enrol", "deny", "10.254.1.1"]);
    for mode in ["approve", "open"] {
        master.write_site(mode, "");
        assert!(
            master.asks(master.ask(1)).is_refused().0.contains("was denied by an administrator"),
            "{mode}"
        );
    }
    master.cias(0, &["enrol", "approve", &machine(1).to_string()]);
    master.asks(master.ask(1)).is_welcome();
    fs::remove_file(master.path("etc/pve/local")).unwrap();
    assert!(master.cias(6, &["enrol", "list"]).contains("not mounted"));
}

#[test]
fn the_join_key_opens_one_command_and_another_key_nothing() {
    if !master::allowed() {
        return;
    }
    let master = Master::new("open", "");
    let witness = master.path("witness");
    let touch = format!("/usr/bin/touch {}", witness.display());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let output = master.ssh_ends("join", &[], &[&touch]);
    assert!(!witness.exists(), "a command of its own: {}", text(&output.stderr));
    let output = master.ssh_ends("join", &["-tt"], &[]);
    assert!(text(&output.stderr).contains("PTY allocation request failed"), "{}", text(&output.stderr));
    let output = master.ssh_ends("join", &["-s"], &["sftp"]);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    let aim = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let aim = format!("127.0.0.1:{}", aim.local_addr().unwrap().port());
    let output = master.ssh_ends("join", &["-W", &aim], &[]);
    assert!(!output.status.success() && text(&output.stderr).contains("prohibited"), "{output:?}");
    let back = format!("0:{aim}");
    let output = master.ssh_ends("join", &["-o", "ExitOnForwardFailure=yes", "-N", "-R", &back], &[]);
    assert!(text(&output.stderr).contains("remote port forwarding failed"), "{output:?}");
    let output = master.ssh_ends("other", &[], &[&touch]);
    assert!(text(&output.stderr).contains("Permission denied (publickey)"), "{output:?}");
    assert!(!witness.exists() && master.log().contains("ended without a word"), "{}", master.log());
}
