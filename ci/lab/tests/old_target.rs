//! The filter of system calls answers as the target's kernel would.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// What the target answers to a call that it does not have.
const ENOSYS: i32 = 38;

fn under_the_filter(program: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_old-target")).arg(program).args(args).output().unwrap()
}

/// Makes a call by its number, all arguments 0, and prints its errno.
const CALL: &str = "$! = 0; syscall($ARGV[0], (0) x 5) == -1 or $! = 0; print $! + 0";

fn errno(number: u32, output: fn(&str, &[&str]) -> Output) -> i32 {
    let output = output("perl", &["-e", CALL, &number.to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

fn unfiltered(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

#[test]
fn calls_that_came_after_the_target_answer_enosys_and_older_ones_do_not() {
    // getpid, utimensat and perf_event_open, the last that 2.6.32 has.
    for number in [39, 280, 298] {
        assert_ne!(errno(number, under_the_filter), ENOSYS, "call {number}");
    }
    // recvmmsg, prlimit64, renameat2, getrandom, statx and openat2; then what no kernel has yet.
    for number in [299, 302, 316, 318, 332, 437, 0x3FFF_FFFF] {
        assert_eq!(errno(number, under_the_filter), ENOSYS, "call {number}");
    }
    // Without the filter this kernel has them: it is the filter that refuses.
    assert_ne!(errno(332, unfiltered), ENOSYS);
}

#[test]
fn calls_of_x32_are_refused() {
    // getpid, with the bit that marks x32.
    assert_eq!(errno(0x4000_0027, under_the_filter), ENOSYS);
}

/// A 64-bit ELF program of one segment, which calls getuid of the 32-bit table by `int 0x80` and exits with minus its
/// result: `mov eax, 199; int 0x80; neg eax; mov edi, eax; mov eax, 60; syscall`.
fn by_int_0x80() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let code = [0xB8, 199, 0, 0, 0, 0xCD, 0x80, 0xF7, 0xD8, 0x89, 0xC7, 0xB8, 60, 0, 0, 0, 0x0F, 0x05];
    let mut elf = b"\x7FELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    // Type EXEC, machine x86-64, version 1; entry, program headers at 64, no section headers.
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for value in [BASE + HEADERS, 64, 0] {
        elf.extend(value.to_le_bytes());
    }
    // Flags; sizes of the header and of the one program header.
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    // Type LOAD, readable and executable; offset, addresses, sizes, alignment.
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    let size = HEADERS + code.len() as u64;
    for value in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend(value.to_le_bytes());
    }
    elf.extend(code);
    elf
}

#[test]
fn calls_of_32_bit_programs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("int80");
    std::fs::write(&program, by_int_0x80()).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap();
    let outcome = unfiltered(program, &[]).status;
    if outcome.code().is_none() {
        println!("skipped: this kernel runs no 32-bit calls at all ({outcome})");
        return;
    }
    assert_ne!(outcome.code(), Some(ENOSYS), "the call is there without the filter");
    assert_eq!(under_the_filter(program, &[]).status.code(), Some(ENOSYS));
}

#[test]
fn children_are_under_the_filter_too_and_the_exit_code_is_the_programs() {
    let nested = format!("perl -e '{CALL}' 332; exit 7");
    let output = under_the_filter("sh", &["-c", &nested]);
    assert_eq!((String::from_utf8(output.stdout).unwrap().as_str(), output.status.code()), ("38", Some(7)));
}

#[test]
fn a_program_that_is_missing_is_named() {
    let output = under_the_filter("/nowhere/at-all", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: starting /nowhere/at-all: "));
    let output = Command::new(env!("CARGO_BIN_EXE_old-target")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
