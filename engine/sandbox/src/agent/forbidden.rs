//! System calls that no command of a sandbox may make, since what they leave outlives its processes and cannot be found.
//!
//! - `add_key`, `request_key`, `keyctl`: keys in the kernel belong to users, not to sandboxes. Docker forbids them too, unless it is set up
//!   otherwise.
//! - `io_uring_setup`: the kernel ends what a ring still does after the process that made it has ended.
//!
//! They fail as in a kernel that does not have them. The agent needs none of them, so the filter is on itself, and each command inherits it.

use nix::libc::{EINVAL, ENOSYS};
use seccompiler::{Error, apply_filter, sock_filter};

use super::{OrStop, Stop};

/// An architecture as the kernel names it to filters, and what is forbidden there.
struct Calls {
    architecture: u32,
    numbers: [u32; 4],
}

/// Numbers of `add_key`, `request_key`, `keyctl` and `io_uring_setup`, on each kind of processor and for its programs of 32 bits.
const CALLS: [Calls; 9] = [
    Calls { architecture: 0xc000_003e, numbers: [248, 249, 250, 425] }, // x86-64
    Calls { architecture: 0x4000_0003, numbers: [286, 287, 288, 425] }, // x86
    Calls { architecture: 0xc000_00b7, numbers: [217, 218, 219, 425] }, // 64-bit ARM
    Calls { architecture: 0x4000_0028, numbers: [309, 310, 311, 425] }, // ARM
    Calls { architecture: 0xc000_00f3, numbers: [217, 218, 219, 425] }, // 64-bit RISC-V
    Calls { architecture: 0xc000_0015, numbers: [269, 270, 271, 425] }, // 64-bit PowerPC, little-endian
    Calls { architecture: 0x8000_0016, numbers: [278, 279, 280, 425] }, // s390x
    Calls { architecture: 0x0000_0016, numbers: [278, 279, 280, 425] }, // s390
    Calls { architecture: 0xc000_0102, numbers: [217, 218, 219, 425] }, // LoongArch
];

/// Set in the number of a call by programs for x32, which has the same numbers as `x86_64` otherwise.
const X32: u32 = 0x4000_0000;
/// Loads a word of what the filter is given: 0 is the number of the call, 4 the architecture.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
/// The call fails as one that the kernel does not have.
const FAIL: u32 = 0x0005_0000 | ENOSYS as u32;

/// Takes these calls away from this thread and all that it starts, for good.
pub(super) fn forbid() -> Result<(), Stop> {
    match apply_filter(&program()) {
        // A kernel without filters.
        Err(Error::Seccomp(error)) if [Some(EINVAL), Some(ENOSYS)].contains(&error.raw_os_error()) => Ok(()),
        applied => applied.or_stop(|| "forbid system calls".to_owned()),
    }
}

fn program() -> Vec<sock_filter> {
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let mut program = Vec::new();
    for Calls { architecture, numbers } in CALLS {
        let count = numbers.len() as u8;
        program.push(step(LOAD, 0, 0, 4));
        // Over the two that load the number, the tests, and the two ends.
        program.push(step(JUMP_IF_EQUAL, 0, 2 + count + 2, architecture));
        program.push(step(LOAD, 0, 0, 0));
        program.push(step(AND, 0, 0, !X32));
        for (index, number) in (0..count).zip(numbers) {
            program.push(step(JUMP_IF_EQUAL, count - index, 0, number));
        }
        program.push(step(RETURN, 0, 0, ALLOW));
        program.push(step(RETURN, 0, 0, FAIL));
    }
    program.push(step(RETURN, 0, 0, ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a filter answers to a call.
    fn answer(architecture: u32, number: u32) -> u32 {
        let program = program();
        let (mut at, mut word) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            match code {
                LOAD => word = if k == 4 { architecture } else { number },
                AND => word &= k,
                JUMP_IF_EQUAL => at += usize::from(if word == k { jt } else { jf }),
                RETURN => return k,
                other => panic!("{other:#x} is not used"),
            }
        }
    }

    #[test]
    fn these_calls_fail_in_every_dialect_and_no_other_does() {
        for Calls { architecture, numbers } in CALLS {
            for number in 0..1024 {
                let expected = if numbers.contains(&number) { FAIL } else { ALLOW };
                assert_eq!(answer(architecture, number), expected, "{architecture:#x} {number}");
            }
        }
        if let Some(Calls { architecture, .. }) = CALLS.first() {
            assert_eq!((answer(*architecture, X32 | 0xfa), answer(*architecture, X32 | 1)), (FAIL, ALLOW));
            assert_eq!(answer(1, 250), ALLOW, "an architecture that this kernel does not run");
        }
    }
}
