//! The lab: a stand-in of the vendor's image, built from Debian packages, and the road driven over it in QEMU.

pub mod base;
pub mod guest;
pub mod net;
pub mod qmp;
pub mod scenario;
pub mod site;
pub mod wait;
