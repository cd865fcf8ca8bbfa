//! Remasters the vendor ISO.

pub mod iso9660;
