//! `old-target PROGRAM [ARGS]` runs a program and its children as on the target's kernel: every system call that came
//! after 2.6.32 is answered with ENOSYS. Cargo takes it as a runner of tests.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use cias_firstboot::outcome::{Class, conclude};
use seccompiler::{apply_filter, sock_filter};

/// The first `x86_64` call that 2.6.32 lacks: recvmmsg (the kernel's `arch/x86/entry/syscalls/syscall_64.tbl`).
const FIRST_NEW: u32 = 299;

/// `AUDIT_ARCH_X86_64` of linux/audit.h.
const X86_64: u32 = 0xC000_003E;
/// Where the number and the architecture are in `struct seccomp_data` of linux/seccomp.h.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// `SECCOMP_RET_ALLOW`, and `SECCOMP_RET_ERRNO` with ENOSYS, which is 38.
const ALLOW: u32 = 0x7FFF_0000;
const NO_SUCH_CALL: u32 = 0x0005_0026;

/// Instructions of linux/filter.h: load a word, jump if equal, jump if greater or equal, return.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Calls of 32-bit programs are another architecture, those of x32 have numbers above 2^30: both are refused too.
const FILTER: [sock_filter; 6] = [
    step(LOAD, 0, 0, ARCHITECTURE),
    step(IF_EQUAL, 0, 3, X86_64),
    step(LOAD, 0, 0, NUMBER),
    step(IF_AT_LEAST, 1, 0, FIRST_NEW),
    step(RETURN, 0, 0, ALLOW),
    step(RETURN, 0, 0, NO_SUCH_CALL),
];

/// One instruction; `then` and `otherwise` are how many are left out.
const fn step(code: u16, then: u8, otherwise: u8, value: u32) -> sock_filter {
    sock_filter { code, jt: then, jf: otherwise, k: value }
}

fn main() -> ExitCode {
    conclude(run())
}

fn run() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or_else(|| Class::Usage.error("usage: old-target PROGRAM [ARGS]"))?;
    apply_filter(&FILTER).context("installing the filter of system calls")?;
    let error = Command::new(&program).args(words).exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}
