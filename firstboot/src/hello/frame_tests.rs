use super::*;

const ME: MachineId = MachineId([7; 16]);

fn codec(digit: &str) -> Codec {
    Codec::new(&digit.repeat(64)).unwrap()
}

fn rank() -> Rank {
    Rank { phase: Phase::Claiming, progress: Progress::Settled, may_found: true, priority: 101, id: ME }
}

fn bodies() -> Vec<Body> {
    let who = Who { macs: vec!["52:54:00:00:00:01".into(); 32], serial: Some("LAB-1".into()) };
    let key = format!("ssh-rsa {}", "A".repeat(540));
    vec![
        Body::Hello(Hello { rank: rank(), echoes: vec![], asks: vec![] }),
        Body::Hello(Hello { rank: rank(), echoes: vec![Nonce(9); MOST_ECHOES], asks: vec![ME; MOST_ASKED] }),
        Body::Request(Request { echo: Nonce(1), who, release: "3.2-1/1933730b".into(), holds: None }),
        Body::Request(Request {
            echo: Nonce(1),
            who: Who::default(),
            release: String::new(),
            holds: Some([10, 254, 1, 2].into()),
        }),
        Body::Offer(Offer {
            to: ME,
            echo: Nonce(2),
            address: Ipv4Addr::new(10, 254, 1, 2),
            name: "n".repeat(63),
            master: Ipv4Addr::new(10, 254, 0, 254),
            host_key: key,
            time: 1_400_000_000,
        }),
        Body::Refusal(Refusal { to: ME, echo: Nonce(3), is_final: true, reason: "x".repeat(MOST_TEXT) }),
        Body::Versions(3),
    ]
}

#[test]
fn every_kind_comes_back_as_it_was_sent_and_fits_a_frame() {
    for body in bodies() {
        let frame = Frame { from: ME, nonce: Nonce(u64::MAX), body };
        let mut bytes = codec("5").encode(&frame).unwrap();
        assert!(bytes.len() <= MOST, "{}", bytes.len());
        assert_eq!(codec("5").decode(&bytes), Ok(frame.clone()));
        bytes.resize(MOST, 0);
        assert_eq!(codec("5").decode(&bytes), Ok(frame), "with padding");
    }
}

#[test]
fn what_is_not_exactly_as_signed_is_dropped_and_told_apart() {
    for body in bodies() {
        let bytes = codec("5").encode(&Frame { from: ME, nonce: Nonce(1), body }).unwrap();
        assert_eq!(codec("6").decode(&bytes), Err(Dropped::Foreign));
        for length in 0..bytes.len() {
            assert_eq!(codec("5").decode(&bytes[..length]), Err(Dropped::Malformed), "{length}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let wanted = match at {
                0..4 => Dropped::Malformed,
                8..16 => Dropped::Foreign,
                _ => Dropped::Forged,
            };
            let found = codec("5").decode(&changed).unwrap_err();
            // A changed length may leave too few bytes.
            assert!(
                found == wanted || (6..8).contains(&at) && found == Dropped::Malformed,
                "{at}: {found:?}"
            );
        }
    }
}

#[test]
fn an_unknown_version_is_told_only_if_it_is_signed() {
    let codec = codec("5");
    let frame = Frame { from: ME, nonce: Nonce(1), body: Body::Versions(1) };
    let mut bytes = codec.encode(&frame).unwrap();
    bytes[4] = 9;
    assert_eq!(codec.decode(&bytes), Err(Dropped::Forged));
    let signed = bytes.len() - SEAL;
    let seal = codec.seal(&bytes[..signed]).unwrap();
    bytes[signed..].copy_from_slice(&seal);
    assert_eq!(codec.decode(&bytes), Err(Dropped::Version(9)));
}

#[test]
fn a_signed_body_with_values_that_are_none_is_dropped() {
    let codec = codec("5");
    for (kind, body) in [
        (1, &[9, 0, 1, 50, 0, 0][..]),
        (1, &[0, 3, 1, 50, 0, 0]),
        (1, &[0, 0, 2, 50, 0, 0]),
        (1, &[0, 0, 1, 50, 5, 0]),
        (1, &[0, 0, 1, 50, 0, 129]),
        (1, &[0, 0, 1, 50, 0, 1]),
        (1, &[0, 0, 1, 50, 0, 0, 0]),
        (2, &[0; 10]),
        (4, &[0; 24]),
        (5, &[]),
        (6, &[1]),
    ] {
        let mut out = Writer::default();
        let total = u16::try_from(HEAD + body.len() + SEAL).unwrap();
        out.bytes(MAGIC).byte(VERSION).byte(kind).bytes(&total.to_be_bytes()).bytes(&codec.tag);
        out.bytes(&ME.0).bytes(&[0; 8]).bytes(body);
        let seal = codec.seal(&out.0).unwrap();
        out.bytes(&seal);
        assert_eq!(codec.decode(&out.0), Err(Dropped::Malformed), "{kind} {body:?}");
    }
}

#[test]
fn texts_for_people_carry_no_control_characters() {
    let body = |reason: &str| {
        Body::Refusal(Refusal { to: ME, echo: Nonce(1), is_final: false, reason: reason.into() })
    };
    let codec = codec("5");
    let escape = codec.encode(&Frame { from: ME, nonce: Nonce(1), body: body("\u{1b}[2J") }).unwrap();
    assert_eq!(codec.decode(&escape), Err(Dropped::Malformed));
    let long = codec.encode(&Frame { from: ME, nonce: Nonce(1), body: body(&"ä".repeat(400)) }).unwrap();
    assert_eq!(codec.decode(&long).unwrap().body, body(&"ä".repeat(MOST_TEXT / 2)));
}
