//! The instructions of which filters of system calls are made, and what a filter answers, for tests.
//!
//! `forbidden` and `sockets` are such filters. `seccompiler` installs them; it compiles rules for one processor type only, and a sandbox
//! also runs programs of others, such as 32-bit ones.

use seccompiler::sock_filter;

/// Set in the call number by x32 programs, which otherwise use the numbers of `x86_64`.
pub(super) const X32: u32 = 0x4000_0000;
/// What a filter loads: the call number, the architecture, the lower half of the first argument (little-endian).
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCHITECTURE: u32 = 4;
pub(super) const FIRST_ARGUMENT: u32 = 16;
/// Loads a word of the filter's input.
pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JUMP_IF_EQUAL: u16 = 0x15;
pub(super) const RETURN: u16 = 0x06;
pub(super) const ALLOW: u32 = 0x7fff_0000;

/// Makes the call fail with this error number.
pub(super) const fn fail(error: i32) -> u32 {
    0x0005_0000 | error.cast_unsigned()
}

pub(super) fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// The answer of a filter to a call.
#[cfg(test)]
pub(super) fn answer(program: &[sock_filter], architecture: u32, number: u32, argument: u32) -> u32 {
    let (mut at, mut word) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        match (code, k) {
            (LOAD, NUMBER) => word = number,
            (LOAD, ARCHITECTURE) => word = architecture,
            (LOAD, FIRST_ARGUMENT) => word = argument,
            (AND, _) => word &= k,
            (JUMP_IF_EQUAL, _) => at += usize::from(if word == k { jt } else { jf }),
            (RETURN, _) => return k,
            other => panic!("{other:?} is not used"),
        }
    }
}
