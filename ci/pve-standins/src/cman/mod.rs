//! A stand-in for cman, the membership of the cluster.

/// Where cman answers the other programs of this node.
pub const SOCKET: &str = "/var/run/cman_standin.sock";
