//! A stand-in for the programs of Proxmox VE 3.2 that form a cluster and have no Debian package: pmxcfs, pvecm, cman.

mod clusterconf;
mod db;
mod quorum;

fn main() {}
