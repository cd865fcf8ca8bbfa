//! Where files can share bytes, the same image comes out, and a wrong hash is found although it is looked at last.

use std::fs;

use crate::bench::Bench;
use crate::leftovers::{in_namespace, is_root};

#[test]
fn a_shared_copy_gives_the_same_image_and_a_wrong_sum_leaves_nothing() {
    if !is_root() {
        return;
    }
    if !fs::read_to_string("/proc/filesystems").unwrap().contains("\tbtrfs\n") {
        eprintln!("skipped: this kernel has no btrfs");
        return;
    }
    let bench = Bench::new();
    bench.built();
    let right = cias_builder::copy::hash_bytes(&bench.bytes("in.iso"));
    let wrong = format!("{}{}", if right.starts_with('0') { "1" } else { "0" }, &right[1..]);
    let text = in_namespace(
        &bench,
        &format!(
            "truncate -s 256M disk.img\nmkfs.btrfs -q disk.img >/dev/null\nmkdir disk\nmount -o loop disk.img disk\n\
             cp in.iso site.toml cias-firstboot disk\ncd disk\nsync\ncode=0\n\
             builder --out out.iso --sha256 {wrong} 2>errors || code=$?\n\
             echo $code\ntail -n 1 errors\nrm errors\nls -A\n\
             builder --out known.iso --sha256 {} >/dev/null 2>&1\nbuilder --out unknown.iso >/dev/null 2>&1\n\
             sync\nfor made in known unknown; do\ncmp $made.iso ../out.iso\n\
             filefrag -v $made.iso | grep -c shared | sed 's/^[1-9].*/shared/'\ndone\n",
            right.to_uppercase()
        ),
    );
    let refusal = format!("error: in.iso has the SHA-256 {right}, wanted {wrong}; get the image again");
    assert_eq!(text, format!("3\n{refusal}\ncias-firstboot\nin.iso\nsite.toml\nshared\nshared\n"));
}
