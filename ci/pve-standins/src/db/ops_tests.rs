//! Tests of the stand-in's rules against the tables of pve-3.2-tools.md 2.3 to 2.5.

use nix::errno::Errno;

use super::*;

/// What happens, what was done before, what is done, what comes of it, and who owns the number then.
type Case<'a> = (&'a str, &'a [Op], Op, Result<(), Errno>, Option<&'a str>);

const STAMP: Stamp = Stamp { writer: 1, time: 1000 };

fn mkdir(path: &str) -> Op {
    Op::Mkdir(path.to_owned())
}

fn create(path: &str) -> Op {
    Op::Create(path.to_owned())
}

fn rename(from: &str, to: &str) -> Op {
    Op::Rename(from.to_owned(), to.to_owned())
}

/// `100.conf` belongs to the node `dead`.
fn tree() -> Tree {
    let mut tree = Tree::default();
    let mut ops: Vec<Op> = ["priv", "priv/lock", "nodes"].map(mkdir).into();
    for node in ["dead", "pve1"] {
        ops.push(mkdir(&format!("nodes/{node}")));
        ops.extend(["qemu-server", "openvz"].map(|folder| mkdir(&format!("nodes/{node}/{folder}"))));
    }
    ops.push(create("nodes/dead/qemu-server/100.conf"));
    for op in ops {
        tree.apply(&op, STAMP).unwrap();
    }
    tree
}

fn owner(tree: &Tree) -> Option<&str> {
    tree.vms.ids.get(&100).map(|vm| vm.node.as_str())
}

#[test]
fn the_table_of_guests_numbers() {
    let dead = "nodes/dead/qemu-server/100.conf";
    let mine = "nodes/pve1/qemu-server/100.conf";
    let aside = "nodes/pve1/qemu-server/100.conf.tmp.77";
    let cases: [Case; 8] = [
        ("create elsewhere", &[], create(mine), Err(Errno::EEXIST), Some("dead")),
        ("rename a temporary", &[create(aside)], rename(aside, mine), Err(Errno::EEXIST), Some("dead")),
        ("other sort", &[], create("nodes/dead/openvz/100.conf"), Err(Errno::EEXIST), Some("dead")),
        ("take over", &[], rename(dead, mine), Ok(()), Some("pve1")),
        ("set aside", &[], rename(dead, "nodes/dead/qemu-server/100.conf.dead"), Ok(()), None),
        ("rename the folder", &[], rename("nodes/dead", "nodes/x"), Err(Errno::ENOTEMPTY), Some("dead")),
        ("delete", &[], Op::Unlink(dead.to_owned()), Ok(()), None),
        (
            "the oddity: outside, a number is dropped",
            &[create("100.conf")],
            rename("100.conf", "100.conf.x"),
            Ok(()),
            None,
        ),
    ];
    for (what, before, op, wanted, owned) in cases {
        let mut tree = tree();
        for op in before {
            tree.apply(op, STAMP).unwrap();
        }
        let old = tree.mark();
        assert_eq!(tree.apply(&op, STAMP), wanted, "{what}");
        assert_eq!(owner(&tree), owned, "{what}");
        assert_eq!(tree.mark() == old, wanted.is_err(), "{what}: a failure changes nothing");
        for _ in before.iter().filter(|_| wanted.is_err()) {
            assert!(tree.find(aside).is_some(), "{what}");
        }
    }
}

#[test]
fn an_own_file_is_replaced_by_rename() {
    let mut tree = tree();
    let (aside, file) = ("nodes/dead/qemu-server/100.conf.tmp.1", "nodes/dead/qemu-server/100.conf");
    tree.apply(&create(aside), STAMP).unwrap();
    tree.apply(&Op::Write(aside.to_owned(), 0, b"new".to_vec()), STAMP).unwrap();
    tree.apply(&rename(aside, file), STAMP).unwrap();
    assert_eq!((tree.read(file), owner(&tree)), (Some(b"new".as_slice()), Some("dead")));
    assert_eq!(tree.find(aside), None);
}

#[test]
fn limits() {
    let mut tree = tree();
    tree.apply(&create("big"), STAMP).unwrap();
    let write = |at: u64, length: usize| Op::Write("big".to_owned(), at, vec![1; length]);
    tree.apply(&write(0, MAX_FILE), STAMP).unwrap();
    assert_eq!(tree.apply(&write(MAX_FILE as u64, 1), STAMP), Err(Errno::EFBIG));
    assert_eq!(tree.apply(&write(u64::MAX, 1), STAMP), Err(Errno::EFBIG));
    assert_eq!(tree.apply(&Op::Truncate("big".to_owned(), MAX_FILE as u64 + 1), STAMP), Err(Errno::EFBIG));
    for number in 1.. {
        let name = format!("big{number}");
        tree.apply(&create(&name), STAMP).unwrap();
        if let Err(error) = tree.apply(&Op::Write(name, 0, vec![1; MAX_FILE]), STAMP) {
            assert_eq!((error, number), (Errno::ENOSPC, MAX_BYTES / MAX_FILE));
            break;
        }
    }
    let mut tree = Tree::default();
    let failed =
        (1..).find_map(|number| tree.apply(&create(&number.to_string()), STAMP).err().map(|e| (number, e)));
    assert_eq!(failed, Some((MAX_INODES, Errno::ENOSPC)));
}

#[test]
fn other_errors() {
    for (op, wanted) in [
        (create("none/x"), Errno::ENOENT),
        (create("priv"), Errno::EEXIST),
        (mkdir("priv/lock"), Errno::EEXIST),
        (create("nodes/dead/qemu-server/100.conf/x"), Errno::ENOTDIR),
        (Op::Rmdir("nodes/dead".to_owned()), Errno::ENOTEMPTY),
        (Op::Rmdir("none".to_owned()), Errno::ENOENT),
        (Op::Rmdir("nodes/dead/qemu-server/100.conf".to_owned()), Errno::ENOTDIR),
        (Op::Unlink("priv".to_owned()), Errno::EISDIR),
        (Op::Unlink("none".to_owned()), Errno::ENOENT),
        (Op::Write("priv".to_owned(), 0, vec![1]), Errno::EISDIR),
        (Op::Unlock("nodes".to_owned()), Errno::EACCES),
        (rename("priv/lock", "priv/lock/x"), Errno::EINVAL),
        (rename("nodes/dead/qemu-server/100.conf", "priv"), Errno::EISDIR),
        (rename("priv/lock", "nodes/dead/qemu-server/100.conf"), Errno::ENOTDIR),
        (rename("priv/lock", "nodes"), Errno::ENOTEMPTY),
    ] {
        assert_eq!(tree().apply(&op, STAMP), Err(wanted), "{op:?}");
    }
}

#[test]
fn a_second_claim_of_a_number_is_seen() {
    let mut tree = tree();
    assert_eq!(tree.duplicate(), None);
    let inode = tree.find("nodes/pve1/openvz").unwrap();
    let mut entry = tree.entry(tree.find("nodes/dead/qemu-server/100.conf").unwrap()).unwrap().clone();
    entry.parent = inode;
    tree.entries.insert(9999, entry);
    assert_eq!(tree.duplicate(), Some(100));
}

#[test]
fn what_is_private() {
    for (path, wanted) in [
        ("priv", true),
        ("priv/lock/x", true),
        ("nodes/a/priv/k", true),
        ("nodes/priv", false),
        ("privy", false),
    ] {
        assert_eq!(private(path), wanted, "{path}");
    }
}
