use super::*;

#[test]
fn refusals_are_told_and_asked_again_after_growing_pauses() {
    let mut wire = Wire::new();
    wire.add(50, |_| ());
    wire.serve(0);
    wire.add(90, |_| ());
    let (mut times, mut told) = (Vec::new(), Vec::new());
    while wire.now < 600 * SECOND {
        wire.run(SECOND / 10);
        for (_, output) in std::mem::take(&mut wire.said) {
            if let Output::Asked(asking) = output {
                let refusal =
                    Refusal { to: asking.from, echo: asking.nonce, is_final: false, reason: "full".into() };
                let frame = wire.machines[0].refuse(refusal, wire.now);
                let out = wire.machines[1].receive(&frame, wire.now);
                let [Output::Refused(reason, pause)] = &out[..] else { panic!("{out:?}") };
                assert_eq!(reason, "full");
                told.push(pause.as_secs());
                times.push(wire.now);
            }
        }
    }
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_secs()).collect();
    assert!(pauses.len() >= 4 && pauses.windows(2).all(|pair| pair[1] > pair[0] * 3 / 2), "{pauses:?}");
    assert!((15..20).contains(&pauses[0]), "{pauses:?}");
    assert_eq!(told[..4], [15, 30, 60, 120]);
}

#[test]
fn a_doubt_about_a_place_is_told_and_so_is_its_end() {
    let mut wire = Wire::new();
    wire.add(50, |_| ());
    wire.serve(0);
    wire.add(90, |_| ());
    wire.machines[1].set_offered([10, 254, 1, 1].into());
    let mut told = Vec::new();
    while wire.now < 1300 * SECOND {
        wire.run(SECOND / 10);
        for (_, output) in std::mem::take(&mut wire.said) {
            let Output::Asked(asking) = output else { continue };
            let (to, echo) = (asking.from, asking.nonce);
            let frame = if wire.now < 300 * SECOND {
                let refusal = Refusal { to, echo, is_final: false, reason: "another port?".into() };
                wire.machines[0].refuse(refusal, wire.now)
            } else {
                let offer = Offer {
                    to,
                    echo,
                    address: [10, 254, 1, 1].into(),
                    name: "n".into(),
                    master: [10, 254, 0, 1].into(),
                    host_key: "k".into(),
                    time: 0,
                };
                wire.machines[0].offer(offer, wire.now)
            };
            let now = wire.now;
            told.extend(wire.machines[1].receive(&frame, now));
        }
    }
    let doubt = Output::Refused("another port?".into(), Duration::from_mins(10));
    assert_eq!(told, [doubt, Output::Confirmed], "and a place that stands is nothing to tell");
    assert_eq!(wire.phases()[1], Phase::Offered);
}
