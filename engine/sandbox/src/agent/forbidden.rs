//! System calls that no command in a sandbox may make, because their effects outlive its processes and cannot be found.
//!
//! - `add_key`, `request_key`, `keyctl`: kernel keys belong to users, not to sandboxes. Docker forbids them too, unless configured
//!   otherwise.
//! - `io_uring_setup`: the kernel completes pending operations of a ring after its process has ended.
//!
//! They fail as in a kernel without them. The agent needs none of them, so it applies the filter to itself, and each command inherits it.

use nix::libc::{EINVAL, ENOSYS};
use seccompiler::{Error, apply_filter, sock_filter};

use super::filter::{ALLOW, AND, ARCHITECTURE, JUMP_IF_EQUAL, LOAD, NUMBER, RETURN, X32, fail, step};
use super::{OrStop, Stop};

/// An architecture as seccomp filters identify it, and the forbidden calls there.
struct Calls {
    architecture: u32,
    numbers: [u32; 4],
}

/// The numbers of `add_key`, `request_key`, `keyctl` and `io_uring_setup` for each processor type, and for its 32-bit programs.
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

/// Makes the call fail as if the kernel did not support it.
const FAIL: u32 = fail(ENOSYS);

/// Forbids these calls for this thread and everything it starts, permanently.
pub(super) fn forbid() -> Result<(), Stop> {
    match apply_filter(&program()) {
        // A kernel without seccomp filters.
        Err(Error::Seccomp(error)) if [Some(EINVAL), Some(ENOSYS)].contains(&error.raw_os_error()) => Ok(()),
        applied => applied.or_stop(|| "forbid system calls".to_owned()),
    }
}

fn program() -> Vec<sock_filter> {
    let mut program = Vec::new();
    for Calls { architecture, numbers } in CALLS {
        let count = numbers.len() as u8;
        program.push(step(LOAD, 0, 0, ARCHITECTURE));
        // Skips the two steps that load the number, the tests, and the two results.
        program.push(step(JUMP_IF_EQUAL, 0, 2 + count + 2, architecture));
        program.push(step(LOAD, 0, 0, NUMBER));
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
    use crate::agent::filter;

    fn answer(architecture: u32, number: u32) -> u32 {
        filter::answer(&program(), architecture, number, 0)
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
