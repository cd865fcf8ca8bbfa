//! Which cluster this node has been a member of. It outlives quorum, restarts and the cluster's own database.

use anyhow::Result;

use crate::files;
use crate::system::Sysroot;

/// Where it is: the cluster's name.
pub const FILE: &str = "/var/lib/cias/member-of";

/// The cluster, if any.
pub fn read(root: &Sysroot) -> Option<String> {
    root.attribute(FILE).filter(|name| !name.is_empty())
}

/// From now on this node is a member of the cluster `name`. It is on the disk when this returns.
pub fn remember(root: &Sysroot, name: &str) -> Result<()> {
    let path = root.path(FILE);
    if let Some(folder) = path.parent() {
        files::make_folder(folder, 0o755)?;
    }
    files::write_if_changed(&path, format!("{name}\n"), 0o644).map(drop)
}
