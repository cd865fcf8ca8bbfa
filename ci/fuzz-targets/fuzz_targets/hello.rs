#![no_main]

#[path = "../replay.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod replay;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| replay::hello(bytes));
