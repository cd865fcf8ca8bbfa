use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::log::Log;
use crate::runner::fake::Fake;
use crate::site::{from_text, tests::example};
use crate::tree::Tree;

/// As the vendor's installer writes it, with a setting of a person's.
const BEFORE: &str = "myhostname=n.example.com\nmydestination = $myhostname, localhost\nrelayhost =\ninet_interfaces = loopback-only\nmessage_size_limit = 7\n";

/// A node on which postfix runs, with the way to say a password.
fn node() -> Tree {
    let tree = Tree::from_text(
        "/usr/sbin/postfix = x\n/usr/lib/x86_64-linux-gnu/sasl2/libplain.so.2 = x\n/var/spool/postfix/pid/master.pid =     77\n\
         /proc/77/stat = 77 (master) S\n/etc/postfix/main.cf = x\n",
    );
    std::fs::write(tree.root().path(MAIN), BEFORE).unwrap();
    tree
}

fn site(user: bool) -> Site {
    let mut text = example();
    if user {
        text = text.replace("[install]", "relay_password = \"correct-horse9\"\n[install]");
    }
    let user = if user { "relay_port = 587\nrelay_user = \"cias\"\n" } else { "" };
    from_text(&format!("{text}[notify]\nrelay = \"mail.example.com\"\n{user}")).unwrap()
}

/// Applies the step, which must be found done then; the sentences of what there was to do.
fn settle(tree: &Tree, fake: &Fake, site: &Site) -> Vec<String> {
    let log = Log::silent();
    let system = System { root: tree.root(), runner: fake, log: &log };
    let step = Relay::new(site).unwrap();
    let found = step.check(&system).unwrap();
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    if !found.todo.is_empty() {
        assert!(step.apply(&system).unwrap().is_empty());
    }
    assert_eq!(step.check(&system).unwrap(), Finding::done());
    found.todo
}

fn main_cf(tree: &Tree) -> String {
    tree.root().text(MAIN).unwrap()
}

#[test]
fn without_a_relay_there_is_no_step() {
    assert!(Relay::new(&from_text(&example()).unwrap()).is_none());
}

#[test]
fn the_relay_is_set_and_all_else_stays_and_a_second_run_does_nothing() {
    let (tree, fake) = (node(), Fake::default());
    let todo = settle(&tree, &fake, &site(false));
    assert_eq!(todo, ["set the relay in /etc/postfix/main.cf", "have postfix read its configuration anew"]);
    let wanted = BEFORE.replace("relayhost =", "relayhost = [mail.example.com]:25")
        + "smtp_tls_security_level = may\n";
    assert_eq!(main_cf(&tree), wanted);
    assert!(settle(&tree, &fake, &site(false)).is_empty());
    // A change of another key is a person's; one of ours is put right.
    std::fs::write(tree.root().path(MAIN), main_cf(&tree).replace("= 7", "= 8")).unwrap();
    assert!(settle(&tree, &fake, &site(false)).is_empty());
    std::fs::write(tree.root().path(MAIN), main_cf(&tree).replace(":25", ":26")).unwrap();
    assert_eq!(settle(&tree, &fake, &site(false)).len(), 2);
    assert!(main_cf(&tree).contains("[mail.example.com]:25\n") && main_cf(&tree).contains("= 8\n"));
    assert_eq!(fake.lines(), ["postfix reload", "postfix reload"]);
}

#[test]
fn the_password_is_in_a_file_of_roots_and_nowhere_else_and_goes_with_its_user() {
    let (tree, fake) = (node(), Fake::default());
    let log = Log::to_file(&tree.path().join("log")).unwrap();
    let system = System { root: tree.root(), runner: &fake, log: &log };
    Relay::new(&site(true)).unwrap().apply(&system).unwrap();
    assert!(settle(&tree, &fake, &site(true)).is_empty());
    let text = main_cf(&tree);
    for line in [
        "relayhost = [mail.example.com]:587",
        "smtp_tls_security_level = encrypt",
        "smtp_sasl_auth_enable = yes",
        "smtp_sasl_password_maps = texthash:/etc/postfix/cias-relay",
        "smtp_sasl_security_options = noanonymous",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let table = tree.root().path(TABLE);
    assert_eq!(std::fs::read_to_string(&table).unwrap(), "[mail.example.com]:587 cias:correct-horse9\n");
    assert_eq!(std::fs::metadata(&table).unwrap().permissions().mode() & 0o7777, 0o600);
    let said = fake.lines().join("\n") + &tree.root().text("/log").unwrap() + &text;
    assert!(!said.contains("correct-horse9"), "{said}");
    // A table that others may read is no longer a secret.
    std::fs::set_permissions(&table, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(settle(&tree, &fake, &site(true))[0], "write /etc/postfix/cias-relay");

    let todo = settle(&tree, &fake, &site(false));
    assert_eq!(todo[1], "remove /etc/postfix/cias-relay");
    let text = main_cf(&tree);
    assert!(text.contains("smtp_sasl_auth_enable = no\nsmtp_sasl_password_maps = \n"), "{text}");
    assert!(!table.exists());
}

#[test]
fn a_table_of_somebody_elses_stays_in_use() {
    let (tree, fake) = (node(), Fake::default());
    let own =
        format!("{BEFORE}smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl\n");
    std::fs::write(tree.root().path(MAIN), own).unwrap();
    settle(&tree, &fake, &site(false));
    assert!(
        main_cf(&tree)
            .contains("smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl\n")
    );
}

#[test]
fn a_power_cut_anywhere_loses_no_setting_and_no_reload() {
    for point in 0..4 {
        let tree = node();
        let log = Log::silent();
        let cut = Fake::default().cut_at(point);
        let system = System { root: tree.root(), runner: &cut, log: &log };
        // Only its program was ended, so that postfix runs on with what it read.
        let _ = Relay::new(&site(true)).unwrap().apply(&system);
        let fake = Fake::default();
        settle(&tree, &fake, &site(true));
        let reloads = cut.lines().len() + fake.lines().len();
        assert!(reloads >= 1 && !tree.root().has(UNREAD), "{point}");
    }
}

#[test]
fn where_postfix_is_not_or_does_not_run_or_knows_no_passwords_the_step_warns() {
    let (log, fake) = (Log::silent(), Fake::default());
    let tree = Tree::from_text("/etc/hostname = n\n");
    let system = System { root: tree.root(), runner: &fake, log: &log };
    let found = Relay::new(&site(true)).unwrap().check(&system).unwrap();
    assert!(found.todo.is_empty() && found.warnings[0].contains("install the package postfix"), "{found:?}");

    let tree = node();
    let system = System { root: tree.root(), runner: &fake, log: &log };
    for path in ["/proc/77/stat", "/usr/lib/x86_64-linux-gnu/sasl2/libplain.so.2"] {
        std::fs::remove_file(tree.root().path(path)).unwrap();
    }
    let step = Relay::new(&site(true)).unwrap();
    step.apply(&system).unwrap();
    let found = step.check(&system).unwrap();
    assert!(found.todo.is_empty() && found.warnings.len() == 2, "{found:?}");
    assert!(found.warnings[1].contains("libsasl2-modules"), "{found:?}");
    assert!(fake.lines().is_empty(), "what does not run reads it when it starts");
}
