//! The truth table, which docs/disks.md shows, and what no policy may ever bring about.

use super::decide::{LARGEST, SMALLEST, Wipe};
use super::*;
use crate::facts::disks::testing::{disk, member, partition, signature};
use crate::facts::disks::{Contents, Partition};
use crate::preinstall::choose::choose;
use crate::signatures::{Kind, Signature};
use crate::site::DiskFilter;

mod table;

use table::table;

const WIPES: [Wipe; 3] = [Wipe::Blank, Wipe::Foreign, Wipe::All];

fn key() -> String {
    "5a".repeat(32)
}

fn policy(wipe: Wipe) -> Policy {
    Policy { wipe, models: Vec::new(), key: key(), known: Vec::new(), listed: Vec::new() }
}

fn with(found: Vec<Signature>) -> Disk {
    Disk { contents: Contents::Read(found), ..disk("sdb", 8) }
}

/// An ext3 file system of the site whose key that is.
fn system_of(key: &str, number: u8, label: &str) -> Signature {
    let uuid = owner::new_uuid(key, [number; 8]).unwrap();
    Signature { uuid: Some(uuid), label: Some(label.into()), ..signature(Kind::Ext3) }
}

fn own(label: &str) -> Signature {
    system_of(&key(), 1, label)
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Format => "format",
        Verdict::Reuse { .. } => "use",
        Verdict::Refuse(_) => "refuse",
        Verdict::System => "-",
    }
}

#[test]
fn the_truth_table() {
    for (what, disk, beside, wanted) in table() {
        let all: Vec<Disk> = std::iter::once(disk.clone()).chain(beside).collect();
        let found = WIPES.map(|wipe| word(&decide(&disk, &all, &policy(wipe), false)));
        assert_eq!(found, wanted, "{what}");
    }
}

#[test]
fn the_documented_table_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/disks.md");
    let text = std::fs::read_to_string(path).unwrap();
    let shown: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| what is found"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let wanted: Vec<String> =
        table().iter().map(|(what, _, _, words)| format!("| {what} | {} |", words.join(" | "))).collect();
    assert_eq!(shown, wanted);
}

#[test]
fn models_narrow_what_is_formatted_but_not_what_is_used() {
    let model = |disk: Disk| Disk { model: Some("WDC RED 4TB".into()), ..disk };
    for (pattern, wanted) in [("WDC*", "format"), ("*RED*", "format"), ("Seagate*", "refuse")] {
        let policy = Policy { models: vec![pattern.into()], ..policy(Wipe::All) };
        let (blank, ours) = (model(disk("sdb", 8)), model(with(vec![own("cias-disk1")])));
        assert_eq!(word(&decide(&blank, std::slice::from_ref(&blank), &policy, false)), wanted, "{pattern}");
        assert_eq!(word(&decide(&ours, std::slice::from_ref(&ours), &policy, false)), "use", "{pattern}");
    }
}

#[test]
fn what_fstab_knows_stays_ours_when_the_key_changes() {
    let disk = with(vec![system_of(&"5b".repeat(32), 1, "cias-disk1")]);
    let known = disk.contents.signatures()[0].uuid.clone().unwrap();
    let policy = Policy { known: vec![known], ..policy(Wipe::All) };
    assert_eq!(word(&decide(&disk, std::slice::from_ref(&disk), &policy, false)), "use");
}

#[test]
fn what_fstab_mounts_elsewhere_is_not_formatted_although_it_is_not_mounted_now() {
    let found = |uuid: &str, label: &str| Signature {
        uuid: Some(uuid.into()),
        label: Some(label.into()),
        ..signature(Kind::Ext4)
    };
    let whole = with(vec![found("u1", "backup")]);
    let part =
        Disk { partitions: vec![partition("sdb1", vec![found("u2", "swap space")])], ..disk("sdb", 8) };
    for (listed, disk, wanted) in [
        ("UUID=u1", &whole, "refuse"),
        ("UUID=\"U1\"", &whole, "refuse"),
        ("LABEL=backup", &whole, "refuse"),
        ("/dev/sdb", &whole, "refuse"),
        ("UUID=u2", &part, "refuse"),
        ("LABEL=swap\\040space", &part, "refuse"),
        ("/dev/sdb1", &part, "refuse"),
        ("/dev/sdb", &disk("sdb", 8), "refuse"),
        ("UUID=u2", &whole, "format"),
        ("LABEL=back", &whole, "format"),
        ("/dev/sdb12", &part, "format"),
    ] {
        let policy = Policy { listed: vec![listed.into()], ..policy(Wipe::All) };
        let verdict = decide(disk, std::slice::from_ref(disk), &policy, false);
        assert_eq!(word(&verdict), wanted, "{listed}: {verdict:?}");
    }
}

/// After a power cut during mkfs.
#[test]
fn what_was_being_formatted_is_formatted_again_and_nothing_else() {
    let own = own("cias-disk1");
    let fstab = own.uuid.clone().unwrap();
    for (what, found, known, wanted) in [
        ("half a file system", vec![signature(Kind::Unknown)], false, "format"),
        ("one that looks whole", vec![own.clone()], false, "format"),
        ("one that is in fstab", vec![own], true, "use"),
        ("somebody's file system", vec![signature(Kind::Ext3)], false, "refuse"),
        ("an array's member", vec![signature(Kind::MdRaid)], false, "refuse"),
    ] {
        let (disk, mut policy) = (with(found), policy(Wipe::Blank));
        policy.known.extend(known.then(|| fstab.clone()));
        assert_eq!(word(&decide(&disk, std::slice::from_ref(&disk), &policy, true)), wanted, "{what}");
    }
    let disk = with(vec![signature(Kind::Unknown)]);
    let begun = [Begun::of(&disk)];
    let larger = Disk { size: disk.size + 512, ..disk.clone() };
    let verdict =
        |disk: Disk| word(&plan(&[disk], &policy(Wipe::Blank), &BTreeMap::new(), &begun)[0].verdict);
    assert_eq!((verdict(disk), verdict(larger)), ("format", "refuse"), "another disk in the same place");
}

#[test]
fn known_disks_keep_their_names_and_new_ones_get_the_first_free() {
    let on = |name: &str, found: Signature| Disk { contents: Contents::Read(vec![found]), ..disk(name, 8) };
    let system = Disk { system: true, ..disk("sda", 8) };
    let known = system_of(&key(), 1, "cias-disk7");
    let taken = BTreeMap::from([
        (known.uuid.clone().unwrap(), "disk1".to_owned()),
        ("of a disk that is away".to_owned(), "disk4".to_owned()),
    ]);
    let disks = [
        system,
        disk("sdb", 8),
        on("sdc", known),
        on("sdd", system_of(&key(), 2, "cias-disk1")),
        on("sde", system_of(&key(), 3, "cias-disk3")),
        on("sdf", system_of(&key(), 4, "cias-../etc")),
        disk("sdg", 8),
    ];
    let names: Vec<Option<String>> =
        plan(&disks, &policy(Wipe::Blank), &taken, &[]).into_iter().map(|item| item.name).collect();
    let wanted =
        [None, Some("disk6"), Some("disk1"), Some("disk2"), Some("disk3"), Some("disk5"), Some("disk7")];
    assert_eq!(names, wanted.map(|name| name.map(ToOwned::to_owned)));
}

/// A small generator of its own (xorshift), so that a failure is found again from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn signatures(&mut self) -> Vec<Signature> {
        let one = |dice: &mut Self| match dice.roll(9) {
            0 => signature(Kind::Xfs),
            1 => signature(Kind::Unknown),
            2 => signature(Kind::Zfs),
            3 => signature(Kind::Gpt),
            4 => member(Kind::MdRaid, "md0", ["a", "b"][usize::from(dice.roll(2) == 0)]),
            5 => member(Kind::LvmPv, "vg", ["a", "b"][usize::from(dice.roll(2) == 0)]),
            6 => system_of(&"5b".repeat(32), 9, "cias-disk1"),
            _ => system_of(&key(), u8::try_from(dice.roll(4)).unwrap(), "cias-disk1"),
        };
        (0..self.roll(3)).map(|_| one(self)).collect()
    }

    fn disk(&mut self, name: &str) -> Disk {
        let some = |dice: &mut Self, text: &str| {
            if dice.roll(8) == 0 { vec![text.to_owned()] } else { Vec::new() }
        };
        let points = ["/srv", "/data/disk1"];
        let point = points[usize::from(self.roll(2) == 0)];
        Disk {
            system: self.roll(8) == 0,
            boot_medium: self.roll(8) == 0,
            swap: self.roll(8) == 0,
            read_only: self.roll(8) == 0,
            removable: self.roll(8) == 0,
            mounts: some(self, point),
            holders: some(self, "dm-0"),
            serial: Some(format!("S{}", self.roll(6))),
            model: (self.roll(3) > 0).then(|| format!("M{}", self.roll(3))),
            partitions: (0..self.roll(2)).map(|_| partition("x1", self.signatures())).collect(),
            contents: if self.roll(12) == 0 {
                Contents::Unreadable("EIO".into())
            } else {
                Contents::Read(self.signatures())
            },
            ..disk(name, self.roll(3) * 4)
        }
    }
}

/// Whatever the facts and the policy are: what is in use, or whose loss would damage another disk, is never written.
#[test]
fn what_is_in_use_is_never_in_a_plan_that_writes() {
    let mut formats = 0;
    for seed in 1..=20_000_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let names = ["sda", "sdb", "sdc", "sdd"];
        let disks: Vec<Disk> = names.iter().map(|name| dice.disk(name)).collect();
        let begun: Vec<Begun> = disks.iter().filter(|_| dice.roll(4) == 0).map(Begun::of).collect();
        let wipe = WIPES[usize::try_from(dice.roll(3)).unwrap()];
        let models = (0..dice.roll(3)).map(|_| format!("M{}", dice.roll(3))).collect::<Vec<_>>();
        let policy = Policy { models: models.clone(), ..policy(wipe) };
        let items = plan(&disks, &policy, &BTreeMap::new(), &begun);
        for item in items.iter().filter(|item| item.verdict == Verdict::Format) {
            formats += 1;
            let disk = &item.disk;
            let fit = !disk.in_use() && !disk.boot_medium && !disk.read_only && !disk.removable;
            assert!(fit, "seed {seed}: {disk:?}");
            let wanted = models.is_empty() || disk.model.as_ref().is_some_and(|model| models.contains(model));
            assert!(wanted, "seed {seed}: {models:?}: {disk:?}");
            for other in disks.iter().filter(|other| other.path != disk.path) {
                assert_ne!(disk.serial, other.serial, "seed {seed}");
                let groups =
                    |disk: &Disk| disk.signatures().filter_map(|it| it.group.clone()).collect::<Vec<_>>();
                let shared = groups(disk).iter().any(|group| groups(other).contains(group));
                assert!(!shared || !other.in_use(), "seed {seed}: {disk:?} {other:?}");
            }
        }
        let mut given: Vec<&String> = items.iter().filter_map(|item| item.name.as_ref()).collect();
        let count = given.len();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), count, "seed {seed}: a name was given twice");
    }
    assert!(formats > 1000, "only {formats} disks were formatted: the generator makes none that may be");
}

/// The same for the disk that the installer clears: whatever the filter is, what is in use is not chosen. Volume groups and
/// arrays alone may hold it; they are stopped first, or the refusal comes then.
#[test]
fn what_is_in_use_is_never_chosen_for_the_system() {
    let mut chosen = 0;
    for seed in 1..=20_000_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let names = ["sda", "sdb", "nvme0n1", "sdd"];
        let disks: Vec<Disk> = names.iter().map(|name| dice.disk(name)).collect();
        let mut some = |text: String| (dice.roll(3) == 0).then_some(text);
        let filter = DiskFilter {
            path: some("/dev/sdb".into()),
            serial: some("S3".into()),
            model: some("M*".into()),
            pick: some("smallest".into()).or_else(|| some("first".into())),
            ..DiskFilter::default()
        };
        let Some(disk) = choose(&disks, &filter).disk else { continue };
        chosen += 1;
        let used =
            disk.swap || !disk.mounts.is_empty() || disk.boot_medium || disk.read_only || disk.removable;
        assert!(!used && disk.name != "nvme0n1", "seed {seed}: {disk:?}");
        assert!(!matches!(disk.contents, Contents::Unreadable(_)), "seed {seed}: {disk:?}");
        let twins = disks.iter().filter(|other| other.serial == disk.serial).count();
        assert_eq!(twins, 1, "seed {seed}: {disk:?}");
    }
    assert!(chosen > 1000, "only {chosen} disks were chosen: the generator makes none that may be");
}
