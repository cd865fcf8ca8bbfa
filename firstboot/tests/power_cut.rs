//! Cuts the power at every point of a first boot; the next boot must end in the same files.
//! Needs the feature `failpoints`: `cargo test -p cias-firstboot --features failpoints --test power_cut`.

#[path = "support/node.rs"]
mod node;
#[path = "support/tree.rs"]
mod tree;

use std::os::unix::process::ExitStatusExt;

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
    for point in 1..=points {
        let node = Node::new("fresh-node", PIN);
        let cut = node.cias(&["run"], &[("CIAS_FAILPOINT", &format!("#{point}"))]);
        assert_eq!(cut.status.signal(), Some(KILLED), "the power did not go at point {point}");
        node.wants(0, &["run"]);
        assert_eq!(node.snapshot(), whole.snapshot(), "after the power went at point {point}");
    }
}
