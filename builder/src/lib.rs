//! Remasters the vendor ISO.

pub mod audit;
pub mod binary;
pub mod bootmenu;
pub mod build;
pub mod check;
pub mod cli;
pub mod closure;
pub mod copy;
pub mod deb;
pub mod family;
pub mod firstboot_package;
pub mod grow;
pub mod guard;
pub mod init;
pub mod inspect;
pub mod iso9660;
pub mod manifest;
pub mod output;
pub mod packages;
pub mod plan;
pub mod probes;
pub mod progress;
pub mod sums;
pub mod vendor;
pub mod verify;
pub mod workplace;
