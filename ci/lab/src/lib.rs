//! The lab: a stand-in of the vendor's image, built from Debian packages, and the road driven over it in QEMU.

pub mod base;
pub mod guest;
pub mod kept;
pub mod machine;
pub mod nas;
pub mod net;
pub mod phases;
pub mod qmp;
pub mod scenario;
pub mod sink;
pub mod site;
pub mod volume;
pub mod wait;
