//! `cias-builder packages`, from the outside, with mirrors that the tests make and sign.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../build/bench.rs"]
#[allow(dead_code, reason = "another test uses the rest")]
mod bench;
#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "another test uses the rest")]
mod common;
mod fetching;
mod mirror;
mod resolving;
mod server;
mod shop;
mod trust;
