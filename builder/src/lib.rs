//! Remasters the vendor ISO.

pub mod deb;
pub mod firstboot_package;
pub mod iso9660;
