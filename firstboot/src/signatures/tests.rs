//! What real tools wrote (tests/fixtures/signatures, made by its `regenerate`), and for what no tool is at hand, the
//! bytes that the kernel's headers define.

use super::*;
use std::io::Cursor;

fn fixture(name: &str) -> (Vec<u8>, u64) {
    let path = format!("{}/tests/fixtures/signatures/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let listing = std::fs::read_to_string(path).unwrap();
    let mut lines = listing.lines();
    let size: u64 = lines.next().unwrap().strip_prefix("size ").unwrap().parse().unwrap();
    let mut image = vec![0; usize::try_from(size).unwrap()];
    for line in lines {
        let (offset, hex) = line.split_once(' ').unwrap();
        let offset: usize = offset.parse().unwrap();
        for (at, pair) in hex.as_bytes().chunks(2).enumerate() {
            image[offset + at] = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        }
    }
    (image, size)
}

fn kinds(image: &[u8]) -> Vec<Kind> {
    let size = image.len() as u64;
    scan(&mut Cursor::new(image), size).unwrap().iter().map(|found| found.kind).collect()
}

fn blank_with(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut image = vec![0; 4 << 20];
    for (at, bytes) in parts {
        image[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    image
}

#[test]
fn what_real_tools_wrote_is_recognised() {
    for (name, kind, label) in [
        ("ext2", Kind::Ext2, Some("label-ext2")),
        ("ext3", Kind::Ext3, Some("label-ext3")),
        ("ext4", Kind::Ext4, Some("label-ext4")),
        ("xfs", Kind::Xfs, Some("label-xfs")),
        ("btrfs", Kind::Btrfs, Some("label-btrfs")),
        ("ntfs", Kind::Ntfs, None),
        ("vfat", Kind::Vfat, Some("LABELVFAT")),
        ("swap", Kind::Swap, Some("label-swap")),
        ("luks1", Kind::Luks, None),
        ("luks2", Kind::Luks, None),
        ("dos", Kind::DosTable, None),
        ("lvm", Kind::LvmPv, None),
        ("lvm_free", Kind::LvmPv, None),
    ] {
        let (image, size) = fixture(name);
        let found = scan(&mut Cursor::new(image), size).unwrap();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!((found[0].kind, found[0].label.as_deref()), (kind, label), "{name}");
    }
}

#[test]
fn a_gpt_is_found_in_both_copies_and_each_alone() {
    let (image, size) = fixture("gpt");
    assert_eq!(kinds(&image), [Kind::Gpt, Kind::Gpt, Kind::DosTable], "with its protective DOS table");
    let end = usize::try_from(size - END).unwrap();
    let mut first_gone = image.clone();
    first_gone[..512 * 40].fill(0);
    assert_eq!(kinds(&first_gone), [Kind::Gpt]);
    let mut last_gone = image;
    last_gone[end..].fill(0);
    assert!(kinds(&last_gone).contains(&Kind::Gpt));
}

#[test]
fn a_btrfs_says_which_it_is_and_over_how_many_disks() {
    let (mut image, size) = fixture("btrfs");
    let group = |image: &[u8]| {
        let found = scan(&mut Cursor::new(image), size).unwrap().remove(0);
        assert_eq!(found.group.as_ref().map(|group| Some(group.id.clone())), Some(found.uuid.clone()));
        (found.is_member(), found.group.unwrap().of)
    };
    assert_eq!(group(&image), (false, Some(1)));
    image[(64 << 10) + 136] = 3;
    assert_eq!(group(&image), (true, Some(3)));
}

#[test]
fn a_name_on_a_disk_brings_no_control_characters_to_the_screen() {
    let (mut image, size) = fixture("lvm");
    let at = image.windows(5).position(|bytes| bytes == b"pve {").unwrap();
    image[at..at + 3].copy_from_slice(b"\x1b[J");
    let found = scan(&mut Cursor::new(image), size).unwrap().remove(0);
    assert_eq!(found.group.unwrap().name, "[J");
}

#[test]
fn a_physical_volume_that_hides_its_group_is_not_taken_for_one_without() {
    let group = |image: &[u8]| scan(&mut Cursor::new(image), image.len() as u64).unwrap().remove(0).group;
    let hidden = Some(Group { name: String::new(), id: String::new(), of: None });
    let (mut image, _) = fixture("lvm");
    // Its first area lies at 4 KiB; the list of areas stands behind that of the data, which has one entry, 40 bytes in.
    let at = (0..4).map(|sector| sector * 512).find(|at| image[*at..].starts_with(b"LABELONE")).unwrap();
    let list = at
        + usize::try_from(u32::from_le_bytes(image[at + 20..at + 24].try_into().unwrap())).unwrap()
        + 40
        + 32;
    assert_eq!(u64::from_le_bytes(image[list..list + 8].try_into().unwrap()), 4096);
    let mut none = image.clone();
    none[list..list + 16].fill(0);
    assert_eq!(group(&none), hidden, "without an area of its own");
    image[4096 + 40..4096 + 48].copy_from_slice(&(2_u64 << 20).to_le_bytes());
    image[4096 + 32..4096 + 40].copy_from_slice(&(3_u64 << 20).to_le_bytes());
    assert_eq!(group(&image), hidden, "its text lies behind the first MiB");
}

#[test]
fn two_physical_volumes_of_one_group_name_it() {
    let group = |name: &str| {
        let (image, size) = fixture(name);
        scan(&mut Cursor::new(image), size).unwrap().remove(0).group
    };
    let first = group("lvm").unwrap();
    assert_eq!(first.name, "pve");
    assert_eq!(Some(first), group("lvm_other"));
    assert_eq!(group("lvm_free"), None);
}

#[test]
fn a_volume_group_whose_text_wraps_is_still_named() {
    let (mut image, size) = fixture("lvm");
    // The first area begins at 4 KiB; move the text to the end of its ring so that all but its first 100 bytes wrap.
    let area = 4096;
    let number = |image: &[u8], at: usize| {
        usize::try_from(u64::from_le_bytes(image[at..at + 8].try_into().unwrap())).unwrap()
    };
    let (ring, offset, length) =
        (number(&image, area + 32), number(&image, area + 40), number(&image, area + 48));
    let text = image[area + offset..area + offset + length].to_vec();
    image[area + 512..area + ring].fill(0);
    image[area + ring - 100..area + ring].copy_from_slice(&text[..100]);
    image[area + 512..area + 512 + length - 100].copy_from_slice(&text[100..]);
    image[area + 40..area + 48].copy_from_slice(&(ring as u64 - 100).to_le_bytes());
    let found = scan(&mut Cursor::new(image), size).unwrap();
    assert_eq!(found[0].group.as_ref().unwrap().name, "pve");
}

#[test]
fn every_version_of_md_metadata_is_found_with_its_array() {
    let superblock = |major: u8| {
        let mut bytes = vec![0_u8; 256];
        bytes[..8].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, major, 0, 0, 0]);
        if major == 1 {
            bytes[16..32].fill(0xab);
            bytes[32..38].copy_from_slice(b"host:0");
        } else {
            bytes[4 + 16..4 + 20].fill(0xab);
            bytes[52..64].fill(0xab);
        }
        bytes
    };
    let size = 4 << 20;
    let all_ab = "abababab-abab-abab-abab-abababababab";
    for (version, at, major, name) in [
        ("1.1", 0, 1, "host:0"),
        ("1.2", 4096, 1, "host:0"),
        ("1.0", size - 8192, 1, "host:0"),
        ("0.90", size - 65536, 0, ""),
    ] {
        let image = blank_with(&[(at, &superblock(major))]);
        let found = scan(&mut Cursor::new(image), size as u64).unwrap();
        assert_eq!(found.len(), 1, "{version}: {found:?}");
        let group = found[0].group.clone().unwrap();
        assert_eq!((found[0].kind, group.name.as_str()), (Kind::MdRaid, name), "{version}");
        assert_eq!(group.id, all_ab, "{version}");
    }
}

#[test]
fn members_that_show_at_the_end_only_are_found() {
    let size = 4 << 20;
    let uberblock = [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0];
    for (name, at, bytes, kind) in [
        ("ZFS, last label", size - (128 << 10), &uberblock[..], Kind::Zfs),
        ("ZFS, third label", size - (384 << 10) + 1024, &uberblock[..], Kind::Zfs),
        ("ZFS, first label", 128 << 10, &uberblock[..], Kind::Zfs),
        ("Intel RAID", size - 1024, b"Intel Raid ISM Cfg Sig. 1.0.00", Kind::FirmwareRaid),
        ("DDF", size - 512, &[0xde, 0x11, 0xde, 0x11], Kind::FirmwareRaid),
    ] {
        assert_eq!(kinds(&blank_with(&[(at, bytes)])), [kind], "{name}");
    }
}

#[test]
fn an_iso_image_is_found() {
    let image = blank_with(&[(32769, b"CD001"), (32768 + 40, b"PVE                             ")]);
    let found = scan(&mut Cursor::new(&image), image.len() as u64).unwrap();
    assert_eq!((found[0].kind, found[0].label.as_deref()), (Kind::Iso9660, Some("PVE")));
}

#[test]
fn one_byte_at_either_end_is_unknown_data_and_none_is_blank() {
    let size = 4 << 20;
    let end = usize::try_from(END).unwrap();
    assert_eq!(kinds(&blank_with(&[])), []);
    for at in [0, end - 1, size - end, size - 1] {
        assert_eq!(kinds(&blank_with(&[(at, &[1])])), [Kind::Unknown], "{at}");
    }
}

#[test]
fn disks_of_any_small_size_are_read_without_a_panic() {
    for size in (0..70_000).step_by(509).chain([END - 1, END, END + 1, 2 * END - 1, 2 * END + 1]) {
        let mut image = vec![0xff_u8; usize::try_from(size).unwrap()];
        let found = scan(&mut Cursor::new(&mut image), size).unwrap();
        assert_eq!(found.is_empty(), size == 0, "{size}: {found:?}");
    }
}

#[test]
fn a_disk_shorter_than_it_says_is_an_error() {
    assert!(scan(&mut Cursor::new(vec![0_u8; 4096]), END).is_err());
}
