use super::*;

#[test]
fn networks_know_their_hosts() {
    let lan = network("10.0.0.0/8").unwrap();
    assert_eq!(lan.mask(), Ipv4Addr::new(255, 0, 0, 0));
    assert!(lan.holds(Ipv4Addr::new(10, 254, 0, 1)));
    for outside in [[11, 0, 0, 1], [10, 0, 0, 0], [10, 255, 255, 255]] {
        assert!(!lan.holds(Ipv4Addr::from(outside)), "{outside:?}");
    }
    assert_eq!(network("10.1.0.0/8").unwrap_err(), "the network's first address: 10.0.0.0/8");
    for (other, overlaps) in [("10.1.0.0/16", true), ("192.168.0.0/16", false)] {
        assert_eq!(network(other).unwrap().overlaps(&lan), overlaps, "{other}");
        assert_eq!(lan.overlaps(&network(other).unwrap()), overlaps, "{other}");
    }
}

#[test]
fn values_are_judged() {
    let sha512 = format!("$6$saltsalt${}", "a".repeat(86));
    for (good, what) in [
        (mail("admin@example.com").is_ok(), "mail"),
        (mail("admin@localhost").is_err(), "mail without a dot"),
        (mail("a b@example.com").is_err(), "mail with a blank"),
        (domain("x.domain.tld").is_err(), "the vendor's example domain"),
        (label("pve-1").is_ok(), "label"),
        (label("-pve").is_err(), "leading hyphen"),
        (label(&"a".repeat(64)).is_err(), "64 characters"),
        (password_hash(&sha512).is_ok(), "sha512"),
        (password_hash(&sha512.replace("$6$", "$6$rounds=5000$")).is_ok(), "sha512 with rounds"),
        (password_hash("$y$j9T$abc$def").is_err(), "yescrypt"),
        (password_hash(&sha512.replace("$6$", "$6$rounds=1000$")).is_ok(), "fewest rounds"),
        (password_hash(&sha512.replace("$6$", "$6$rounds=999999999$")).is_ok(), "most rounds"),
        (password_hash(&sha512.replace("$6$", "$6$rounds=999$")).is_err(), "too few rounds"),
        (password_hash(&sha512.replace("$6$", "$6$rounds=1000000000$")).is_err(), "too many rounds"),
        (password_hash(&sha512.replace("$6$", "$6$rounds=99999999999$")).is_err(), "rounds of 37 bits"),
        (password_hash(&sha512.replace("$6$", "$6$rounds=05000$")).is_err(), "rounds with a leading zero"),
        (password_hash(&sha512.replace("$6$", "$6$rounds=$")).is_err(), "no number of rounds"),
        (address("1.0.0.1").is_ok() && address("223.255.255.254").is_ok(), "addresses of hosts"),
        (address("0.0.0.1").is_err() && address("127.0.0.1").is_err(), "addresses of this host"),
        (address("224.0.0.1").is_err() && address("255.255.255.255").is_err(), "addresses of many"),
        (network("127.0.0.0/8").is_err() && interface("127.0.0.2/8").is_err(), "loopback"),
        (domain("10.0.0.1").is_err() && host("10.0.0.256").is_err(), "an address as a name"),
        (domain("4.example").is_ok() && host("127.0.0.1").is_err(), "a name with a number, the host itself"),
        (mac("00:00:00:00:00:00").is_err(), "mac of nobody"),
        (serial("S1").is_ok() && serial("Default string").is_err(), "serial number"),
        (line(" a").is_err() && line("a\u{202e}").is_err() && line("A b*").is_ok(), "line"),
        (file_name("a.toml").is_ok() && file_name("a/b").is_err() && file_name("..").is_err(), "file name"),
        (password_hash("secret").is_err(), "a plain password"),
        (mac("52:54:00:AA:bb:01") == Ok("52:54:00:aa:bb:01".into()), "mac"),
        (mac("01:00:5e:00:00:01").is_err(), "multicast mac"),
        (mac("52:54:00:+a:bb:01").is_err(), "mac with a sign"),
        (schedule("+0 2 * * *").is_err() && position("+1-7").is_err(), "numbers with a sign"),
        (position("1-7") == Ok((1, 7)), "position"),
        (position("1-0").is_err(), "position 0"),
        (timezone("Berlin").is_err(), "zone without a region"),
        (password_hash(&sha512.replace("saltsalt", "")).is_err(), "no salt"),
        (password_hash(&sha512.replace("saltsalt", "saltsaltsaltsalts")).is_err(), "17 characters of salt"),
        (interface("192.168.56.101/24").is_ok(), "interface"),
        (interface("192.168.56.0/24").is_err(), "the network's own address"),
        (schedule("30 2 * * 1,7").is_ok(), "schedule"),
        (schedule("60 2 * * *").is_err(), "minute 60"),
        (schedule("0 2 1 * *").is_err(), "a day of the month"),
        (url("https://a.example.com/x").is_ok() && url("https:///").is_err(), "url"),
        (disk("/dev/cciss/c0d0").is_ok(), "disk below a folder"),
        (disk("/dev/disk/by-id/x").is_err() && disk("sda").is_err(), "disk by link, disk without /dev"),
        (range(1)("1..99") == Ok((1, 99)), "range"),
        (range(1)("0..9").is_err() && range(0)("9..1").is_err(), "range from 0, range backwards"),
        (cluster_name("DLLL-CIAS").is_ok() && cluster_name("-x").is_err(), "cluster name"),
    ] {
        assert!(good, "{what}");
    }
}
