//! The vendor's look, shared with the builder's tests.

/// Small images in the vendor's shape.
#[allow(clippy::unwrap_used, dead_code, missing_docs, reason = "it is the tests' own file")]
#[path = "../../../builder/tests/common/mod.rs"]
pub mod common;

/// The text of that file: the content of an image follows from it.
pub const SOURCE: &str = include_str!("../../../builder/tests/common/mod.rs");
