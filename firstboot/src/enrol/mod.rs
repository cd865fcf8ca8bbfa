//! Enrolment: how a node with a place is let into the cluster, over ssh and one node at a time (design D6).

pub mod protocol;
