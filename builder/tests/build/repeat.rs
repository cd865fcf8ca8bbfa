//! The same inputs give the same bytes.

use std::fs;
use std::process::Command;

use crate::bench::Bench;

#[test]
fn two_builds_give_the_same_bytes_wherever_and_however_they_run() {
    let bench = Bench::new();
    bench.built();
    fs::create_dir(bench.path().join("elsewhere")).unwrap();
    let line = format!(
        "umask 077; TZ=Asia/Tokyo exec {} build --iso ../in.iso --site ../site.toml --firstboot ../cias-firstboot --out again.iso",
        env!("CARGO_BIN_EXE_cias-builder")
    );
    // Another second, so that a date taken from the clock would show.
    let start = std::time::SystemTime::now();
    while start.elapsed().unwrap().as_millis() < 1100 {
        std::thread::yield_now();
    }
    let output =
        Command::new("sh").args(["-c", &line]).current_dir(bench.path().join("elsewhere")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(bench.bytes("out.iso") == bench.bytes("elsewhere/again.iso"));
}
