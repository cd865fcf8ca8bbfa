//! `cias-builder build` and `inspect`, from the outside, on small images in the vendor's shape.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod image;
mod leftovers;
mod reflink;
mod refusals;
mod repeat;
mod verify;
