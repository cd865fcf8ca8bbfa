//! Cuts the power at every point of a first boot; the next boot must end in the same files.
//! Needs the feature `failpoints`: `cargo test -p cias-firstboot --features failpoints --test power_cut`.

#[path = "support/by_hand.rs"]
mod by_hand;
#[path = "support/node.rs"]
mod node;
#[path = "support/tree.rs"]
mod tree;

use std::os::unix::process::ExitStatusExt;

use by_hand::by_hand;
use node::Node;

const PIN: &str = "[role]\nfounder = { serial = \"LAB-0001\" }\n";
const KILLED: i32 = 9;

#[test]
fn power_may_go_at_any_point() {
    let whole = Node::new("fresh-node", PIN);
    let list = whole.path("calls");
    let output = whole.cias(&["run"], &[("CIAS_FAILPOINT_LIST", list.to_str().unwrap())]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let points = whole
        .read("calls")
        .lines()
        .filter(|line| line.ends_with("before") || line.ends_with("after"))
        .count();
    assert!(points > 60, "only {points} points were reached");
    // The stand-ins write their calls into the same list: each stands between its own two points.
    let calls = whole.read("calls");
    let lines: Vec<&str> = calls.lines().collect();
    let mut commands = 0;
    for (at, line) in
        lines.iter().enumerate().filter(|(_, line)| !line.ends_with("before") && !line.ends_with("after"))
    {
        let program = line.split(' ').next().unwrap();
        let around = (lines[at - 1].to_owned(), lines[at + 1].to_owned());
        assert_eq!(
            around,
            (format!("command {program} before"), format!("command {program} after")),
            "{line}"
        );
        commands += 1;
    }
    assert!(commands > 3, "only {commands} commands were run");
    for point in 1..=points {
        let node = Node::new("fresh-node", PIN);
        let cut = node.cias(&["run"], &[("CIAS_FAILPOINT", &format!("#{point}"))]);
        assert_eq!(cut.status.signal(), Some(KILLED), "the power did not go at point {point}");
        node.wants(0, &["run"]);
        assert_eq!(node.snapshot(), whole.snapshot(), "after the power went at point {point}");
    }
}

/// Before `setup` is in the journal a person calls it again; from then on the next boot goes on.
#[test]
fn power_may_go_at_any_point_of_a_setup_by_hand() {
    let setup = ["setup", "--yes"];
    let whole = by_hand(PIN);
    let list = whole.path("points");
    let output = whole.cias(&setup, &[("CIAS_FAILPOINT_LIST", list.to_str().unwrap())]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // `setup` has its children run the stages, which count from 1 anew; the points of a child are cut as its own.
    let points = whole.read("points").lines().count();
    std::fs::remove_file(list).unwrap();
    let mut cut_in_the_middle = 0;
    for point in 1..=points {
        let node = by_hand(PIN);
        let cut = node.cias(&setup, &[("CIAS_FAILPOINT", &format!("#{point}"))]);
        if cut.status.signal() != Some(KILLED) {
            break;
        }
        let begun = node.read("var/lib/cias/journal.json").contains("\"setup\"");
        cut_in_the_middle += usize::from(begun);
        if !begun {
            node.wants(0, &setup);
        }
        node.wants(0, &["run"]);
        assert_eq!(node.snapshot(), whole.snapshot(), "after the power went at point {point}");
    }
    assert!(cut_in_the_middle > 60, "the power went {cut_in_the_middle} times after the beginning");
}
