//! Remasters the vendor ISO.

pub mod deb;
pub mod iso9660;
