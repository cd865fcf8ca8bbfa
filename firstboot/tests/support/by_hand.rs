//! A server that was installed by hand, with stand-ins that stop, hold back and lay out as the real ones do.

use crate::node::Node;

/// Stand-in of `create_pmxcfs_db`: the names and first lines of the files that it was given.
pub const CREATE: &str =
    "(cd $1; for file in *; do echo $file; read -r line < $file; echo \"$line\"; done) > $2";

/// A server with the test site, that is not installed yet.
pub fn by_hand(more: &str) -> Node {
    let node = Node::new("by-hand", more);
    node.finds_itself();
    // The real one unmounts the file system, which shows a link only while it is mounted.
    node.answers(
        "invoke-rc.d",
        Some("test \"$1 $2\" != 'pve-cluster stop' || /bin/rm -rf $ROOT/etc/pve/local $ROOT/etc/pve/*.cfg"),
    );
    node.answers(
        "update-rc.d",
        Some(
            "test $2 = disable && from=S to=K20 || { from=K to=S20; }\n\
             for link in $ROOT/etc/rc2.d/$from??$1; do test ! -L $link || /bin/mv $link $ROOT/etc/rc2.d/$to$1; done",
        ),
    );
    node.answers("create_pmxcfs_db", Some(CREATE));
    node.answers("ping", Some("true"));
    node.answers("ifup", Some("test $1 != bond0 || /bin/mkdir -p $ROOT/sys/class/net/bond0"));
    node
}
