use super::*;
use crate::site::{from_text, tests::example};

fn site(more: &str) -> Site {
    from_text(&(example() + more)).unwrap()
}

fn machine(number: u16) -> MachineId {
    let [high, low] = number.to_be_bytes();
    let mut id = [0; 16];
    (id[0], id[1]) = (high, low);
    MachineId(id)
}

fn who(serial: &str) -> Who {
    Who { macs: Vec::new(), serial: Some(serial.to_owned()) }
}

fn address(ledger: &mut Ledger, number: u16, site: &Site) -> Result<String> {
    ledger.grant(machine(number), &Who::default(), site).map(|(place, _)| place.address.to_string())
}

#[test]
fn places_with_a_block_of_ports_come_first_and_past_the_last_is_a_refusal() {
    let (site, mut ledger) = (site("[nodes]\npositions = \"1..254\"\n"), Ledger::default());
    for number in 0..1270 {
        let found = address(&mut ledger, number, &site).unwrap();
        let wanted = match number {
            0 => "10.254.1.1",
            98 => "10.254.1.99",
            99 => "10.254.2.1",
            494 => "10.254.5.99",
            495 => "10.254.1.100",
            1269 => "10.254.5.254",
            _ => continue,
        };
        assert_eq!(found, wanted, "{number}");
    }
    let error = address(&mut ledger, 1270, &site).unwrap_err();
    assert_eq!(Class::of(&error), Class::Refused);
    assert!(error.to_string().starts_with("all 1270 addresses"), "{error}");
    let files = ledger.files().unwrap();
    assert_eq!(files.len(), 5);
    assert!(
        files.values().all(|text| text.len() < 128 << 10),
        "a file of the cluster's file system takes 128 KiB"
    );
}

#[test]
fn the_same_machine_gets_its_own_until_it_is_removed_and_then_never_again() {
    let (site, mut ledger) = (site(""), Ledger::default());
    let first = address(&mut ledger, 1, &site).unwrap();
    assert_eq!(address(&mut ledger, 2, &site).unwrap(), "10.254.1.2");
    assert_eq!(address(&mut ledger, 1, &site).unwrap(), first);
    assert!(ledger.set(Ipv4Addr::new(10, 254, 1, 1), State::Member));
    assert_eq!(address(&mut ledger, 1, &site).unwrap(), first);
    assert!(ledger.set(Ipv4Addr::new(10, 254, 1, 1), State::Retired));
    assert!(ledger.is_retired(Ipv4Addr::new(10, 254, 1, 1)));
    assert_eq!(address(&mut ledger, 1, &site).unwrap(), "10.254.1.3");
    assert!(!ledger.set(Ipv4Addr::new(10, 254, 9, 9), State::Member));
}

#[test]
fn a_place_that_the_site_fixes_is_nobody_elses() {
    let text = "[[nodes.machine]]\nserial = \"A\"\nposition = \"1-1\"\n";
    let (site, mut ledger) = (site(text), Ledger::default());
    assert_eq!(address(&mut ledger, 1, &site).unwrap(), "10.254.1.2");
    let (place, is_new) = ledger.grant(machine(2), &who("A"), &site).unwrap();
    assert_eq!((place.address.to_string().as_str(), is_new), ("10.254.1.1", true));
    let error = ledger.grant(machine(3), &who("A"), &site).unwrap_err();
    assert!(error.to_string().contains("the ledger has it as offered of machine 0002"), "{error}");
}

#[test]
fn it_comes_back_from_its_files_and_a_damaged_line_gives_no_places() {
    let (site, mut ledger) = (site("[nodes]\npositions = \"98..99\"\n"), Ledger::default());
    for number in 1..=4 {
        address(&mut ledger, number, &site).unwrap();
    }
    ledger.set(Ipv4Addr::new(10, 254, 2, 98), State::Retired);
    let files = ledger.files().unwrap();
    let mut back = Ledger::default();
    for text in files.values() {
        back.read("ledger", text).unwrap();
    }
    assert_eq!(back, ledger);
    let error = Ledger::default().read("ledger-1", &files[&1][..files[&1].len() - 4]).unwrap_err();
    assert!(error.to_string().starts_with("ledger-1:2: found no entry"), "{error}");
    let other = files[&1].replace("0001", "0009");
    let error = back.read("ledger-1", &other).unwrap_err();
    assert!(error.to_string().contains("10.254.1.98 is machine 0001"), "{error}");
}

/// A position and an address that do not belong together.
const APART: &str = "[[nodes.machine]]\nserial = \"A\"\nposition = \"1-1\"\naddress = \"10.254.9.9\"\n";

#[test]
fn the_pool_gives_no_position_or_name_that_the_site_gives_to_a_machine_at_another_address() {
    let (site, mut ledger) = (site(APART), Ledger::default());
    assert_eq!(address(&mut ledger, 1, &site).unwrap(), "10.254.1.2");
    let (place, _) = ledger.grant(machine(2), &who("A"), &site).unwrap();
    assert_eq!((place.name.as_str(), place.address.to_string().as_str()), ("pve-rack-a-1-1", "10.254.9.9"));
    // Also after the entry was taken out of the site file.
    assert_eq!(address(&mut ledger, 3, &self::site("")).unwrap(), "10.254.1.3");
}

#[test]
fn a_name_is_given_once_whatever_became_of_its_machine() {
    for state in [State::Offered, State::Member, State::Retired] {
        let mut ledger = Ledger::default();
        // Given by the pool before the site file fixed the position.
        let (first, _) = ledger.grant(machine(1), &Who::default(), &site("")).unwrap();
        ledger.set(first.address, state);
        let before = ledger.clone();
        let error = ledger.grant(machine(2), &who("A"), &site(APART)).unwrap_err();
        assert_eq!(Class::of(&error), Class::Refused);
        let wanted = format!(
            "site.toml gives 10.254.9.9 the name pve-rack-a-1-1, and the ledger has that name as {} of machine 0001",
            state.name()
        );
        assert!(error.to_string().starts_with(&wanted), "{error}");
        let place = Place { address: [10, 254, 9, 9].into(), ..first.clone() };
        let entry = Entry { machine: machine(2), state: State::Member, place, serial: None };
        assert_eq!(Class::of(&ledger.enter(entry).unwrap_err()), Class::Refused);
        assert_eq!(ledger, before, "a refusal changes nothing");
        let own = Entry { machine: machine(1), state: State::Member, place: first, serial: None };
        ledger.enter(own).unwrap();
    }
}
