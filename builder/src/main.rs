//! The command `cias-builder`.
fn main() {}
