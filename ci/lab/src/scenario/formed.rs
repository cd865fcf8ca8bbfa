//! Fleets in states that take minutes to reach and are saved once.

use anyhow::Result;

use super::Lab;
use super::fleet::Fleet;
use super::road::{ADDRESS, BOOT};
use crate::guest::{self, Guest};

/// What these states are made from, besides the fleet.
pub const RECIPE: &str = include_str!("formed.rs");

/// Two servers, nobody pinned, of which one was elected and has settled.
pub fn elected(lab: &Lab, name: &str) -> Result<Fleet> {
    Fleet::saved(lab, name, ("saved-elected", 2), |fleet, guests| founder_done(fleet, guests))
}

/// Waits until a founder has done its work.
pub fn founder_done(fleet: &Fleet, guests: &mut [Guest]) -> Result<()> {
    guest::all(guests, "answer of a founder", BOOT, |_| Ok(fleet.net.answers(ADDRESS)?.then_some(())))?;
    guest::all(guests, "founder that is done", BOOT, |_| Ok(fleet.node(ADDRESS).is_done()?.then_some(())))
}
