//! The static binary of a node.
fn main() {}
