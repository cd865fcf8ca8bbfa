//! Debian packages: written and read without dpkg.

mod ar;
pub mod control;
pub mod read;
mod write;

pub use write::{Content, Entry, Package};
