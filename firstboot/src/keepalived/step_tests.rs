//! The step on a machine whose keepalived is a process id in a file.

use std::fs;

use super::*;
use crate::log::Log;
use crate::runner::fake::Fake;
use crate::site::{from_text, tests::example};
use crate::tree::Tree;

const SHARED: &str = "[role]\npriority = 50\n";

/// A node with the package as it was installed: it starts at boot, and nothing configures it.
fn installed() -> Tree {
    Tree::from_text(
        "/usr/sbin/keepalived = x\n/etc/init.d/keepalived = x\n/etc/rc2.d/S20keepalived -> ../init.d/keepalived\n/run/\n",
    )
}

fn set_running(root: &Sysroot, runs: bool) {
    if runs {
        fs::create_dir_all(root.path("/proc/77")).unwrap();
        fs::write(root.path("/proc/77/stat"), "77 (keepalived) S 1").unwrap();
        fs::write(root.path(PID_FILE), "77\n").unwrap();
    } else {
        let _ = fs::remove_file(root.path(PID_FILE));
    }
}

fn move_link(root: &Sysroot, from: &str, to: &str) {
    let _ = fs::rename(root.path(&format!("/etc/rc2.d/{from}")), root.path(&format!("/etc/rc2.d/{to}")));
}

/// Its commands.
fn commands(tree: &Tree) -> Fake {
    let with = |deed: fn(&Sysroot)| {
        let root = tree.root();
        move || deed(&root)
    };
    Fake::default()
        .fails("ethtool", 71, "no")
        .does("service keepalived start", with(|root| set_running(root, true)))
        .does("service keepalived stop", with(|root| set_running(root, false)))
        .does(
            "update-rc.d keepalived disable",
            with(|root| move_link(root, "S20keepalived", "K80keepalived")),
        )
        .does("update-rc.d keepalived enable", with(|root| move_link(root, "K80keepalived", "S20keepalived")))
}

/// Runs the step as the engine does, and returns what was run.
fn run(tree: &Tree, more: &str, fake: &Fake) -> Result<Vec<String>> {
    let site = from_text(&(example() + more)).unwrap();
    let step = Keepalived::new(&site, &site.founder_place(None));
    let log = Log::silent();
    let system = System { root: tree.root(), runner: fake, log: &log };
    if !step.check(&system)?.todo.is_empty() {
        step.apply(&system)?;
        assert_eq!(step.check(&system)?.todo, [""; 0], "it was applied and is to be done");
    }
    Ok(fake.lines())
}

fn lines(tree: &Tree, more: &str) -> Vec<String> {
    run(tree, more, &commands(tree)).unwrap()
}

fn text(tree: &Tree) -> String {
    tree.root().text(FILE).unwrap()
}

#[test]
fn where_it_is_not_installed_a_warning_says_so_and_nothing_is_done() {
    let tree = Tree::from_text("");
    let fake = commands(&tree);
    assert_eq!(run(&tree, SHARED, &fake).unwrap(), [""; 0]);
    let site = from_text(&example()).unwrap();
    let log = Log::silent();
    let system = System { root: tree.root(), runner: &fake, log: &log };
    let found = Keepalived::new(&site, &site.founder_place(None)).check(&system).unwrap();
    assert!(found.warnings[0].contains("install the package keepalived"), "{found:?}");
}

#[test]
fn it_is_configured_once_and_read_anew_when_the_site_changes() {
    let tree = installed();
    assert_eq!(lines(&tree, SHARED), ["service keepalived start"]);
    assert!(files::is(&tree.root().path(FILE), text(&tree), 0o600) && text(&tree).contains("priority 50\n"));
    assert_eq!(lines(&tree, SHARED), [""; 0]);
    assert_eq!(lines(&tree, "[role]\npriority = 60\n"), ["service keepalived reload"]);
    // What says the same is left alone.
    let same = text(&tree).replace("    priority", "  priority ");
    files::write(&tree.root().path(FILE), &same, 0o600).unwrap();
    assert_eq!(lines(&tree, "[role]\npriority = 60\n"), [""; 0]);
    // What others can read is not.
    files::write(&tree.root().path(FILE), same, 0o644).unwrap();
    assert_eq!(lines(&tree, "[role]\npriority = 60\n"), ["service keepalived reload"]);
    // And it is started where it ended.
    set_running(&tree.root(), false);
    assert_eq!(lines(&tree, "[role]\npriority = 60\n"), ["service keepalived start"]);
}

#[test]
fn with_priority_0_it_neither_runs_nor_starts_at_boot_and_comes_back_with_another() {
    let tree = installed();
    lines(&tree, SHARED);
    let none = "[role]\npriority = 0\n";
    assert_eq!(lines(&tree, none), ["service keepalived stop", "update-rc.d keepalived disable"]);
    assert!(!tree.root().has(FILE));
    assert_eq!(lines(&tree, none), [""; 0]);
    assert_eq!(lines(&tree, SHARED), ["update-rc.d keepalived enable", "service keepalived start"]);
}

#[test]
fn what_somebody_else_configured_is_kept_beside() {
    let tree = installed();
    set_running(&tree.root(), true);
    fs::create_dir_all(tree.root().path("/etc/keepalived")).unwrap();
    fs::write(tree.root().path(FILE), "vrrp_instance X {\n}\n").unwrap();
    assert_eq!(lines(&tree, SHARED), ["service keepalived stop", "service keepalived start"]);
    assert_eq!(tree.root().text(BEFORE).unwrap(), "vrrp_instance X {\n}\n");
}

#[test]
fn one_that_was_killed_before_the_new_file_was_read_has_it_read() {
    let tree = installed();
    lines(&tree, SHARED);
    run(&tree, "[role]\npriority = 60\n", &commands(&tree).cut_at(0)).unwrap_err();
    assert!(text(&tree).contains("priority 60\n"));
    assert_eq!(lines(&tree, "[role]\npriority = 60\n"), ["service keepalived reload"]);
    assert_eq!(lines(&tree, "[role]\npriority = 60\n"), [""; 0]);
}

#[test]
fn wherever_the_power_goes_the_next_boot_ends_the_same() {
    for (more, count) in [(SHARED, 1), ("[role]\npriority = 0\n", 2)] {
        for at in 0..2 * count {
            let tree = installed();
            set_running(&tree.root(), more != SHARED);
            let cut = run(&tree, more, &commands(&tree).cut_at(at));
            assert!(cut.is_err(), "{at}");
            // The boot: what starts then runs, and /run is empty.
            set_running(&tree.root(), tree.root().has("/etc/rc2.d/S20keepalived"));
            let _ = fs::remove_file(tree.root().path(UNREAD));
            lines(&tree, more);
            assert_eq!(runs(&tree.root()), more == SHARED, "{at}");
        }
    }
}

#[test]
fn one_that_does_not_come_up_is_an_error_with_what_its_script_said() {
    let tree = installed();
    let fake = Fake::default().fails("ethtool", 71, "no").fails("service", 1, "no such interface");
    let error = run(&tree, SHARED, &fake).unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("does not run 15 s after") && said.contains("no such interface"), "{said}");
    assert!(!said.contains("abcd1234"));
}

#[test]
fn the_configuration_of_a_manual_switch_lies_ready_where_the_node_takes_part() {
    let tree = installed();
    run(&tree, SHARED, &commands(&tree)).unwrap();
    let (text, mode) = (tree.root().text(MANUAL_FILE).unwrap(), tree.root().path(MANUAL_FILE));
    assert!(text.contains("priority 254") && files::is(&mode, &text, 0o600), "{text}");
    let none = installed();
    run(&none, "[role]\npriority = 0\n", &commands(&none)).unwrap();
    assert!(!none.root().has(MANUAL_FILE));
}
