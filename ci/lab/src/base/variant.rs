//! The two images. A scenario that needs no services does not pay for them: its image is smaller, installs and boots sooner.

/// What an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// What a server needs to be installed, and to found or join a cluster.
    Plain,
    /// Also an NFS client and postfix, as the vendor's base system has them, and the packages of the site's profile: keepalived
    /// and `MooseFS`.
    Services,
}

impl Variant {
    /// Packages of the node's base system beside those of every image.
    pub(super) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Services => &["nfs-common", "rpcbind", "postfix"],
        }
    }

    /// Modules of the kernel beside those of every image, if they are not built in.
    pub(super) fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Services => &["nfs", "nfsv3", "nfsv4"],
        }
    }

    /// The profile of `cias-builder packages` that the site asks for.
    pub(super) fn profile(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Services => Some("lab"),
        }
    }

    /// Does the node's base system send mail?
    pub(super) fn has_postfix(self) -> bool {
        self.packages().contains(&"postfix")
    }

    /// The folder of its runs below that of all; nothing for the one that most need.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Services => "with-services",
        }
    }
}
