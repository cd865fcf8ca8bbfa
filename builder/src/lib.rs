//! Remasters the vendor ISO.

pub mod check;
pub mod closure;
pub mod deb;
pub mod firstboot_package;
pub mod init;
pub mod iso9660;
