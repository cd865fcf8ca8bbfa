//! Tests of the stand-ins through their own programs and real system calls.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cman;
mod filesystem;
mod members;
mod pvecm;
mod pvesm;
mod support;
