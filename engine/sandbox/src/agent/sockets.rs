//! A network for nobody, where the sandbox has no network namespace of its own: commands get no sockets but those within the sandbox.
//!
//! In a pod, all containers share one network. So a filter of system calls lets `socket` make only sockets of the family `AF_UNIX`. Rings of
//! operations (`io_uring`), which are not seen by filters, are forbidden anyway (`forbidden`).

use nix::libc::{AF_UNIX, EAFNOSUPPORT};
use seccompiler::{apply_filter, sock_filter};

use super::filter::{ALLOW, AND, ARCHITECTURE, FIRST_ARGUMENT, JUMP_IF_EQUAL, LOAD, NUMBER, RETURN, X32, fail, step};
use super::{OrStop, Stop};

/// An architecture as seccomp filters identify it.
struct Calls {
    architecture: u32,
    /// The number of `socket`.
    socket: u32,
    /// The number of `socketcall`, an older way to the same whose arguments no filter can see.
    socketcall: Option<u32>,
}

/// For each processor type that pv is built for, and its 32-bit programs.
const CALLS: [Calls; 4] = [
    Calls { architecture: 0xc000_003e, socket: 41, socketcall: None }, // x86-64
    Calls { architecture: 0x4000_0003, socket: 359, socketcall: Some(102) }, // x86
    Calls { architecture: 0xc000_00b7, socket: 198, socketcall: None }, // 64-bit ARM
    Calls { architecture: 0x4000_0028, socket: 281, socketcall: Some(102) }, // ARM
];

/// Makes the call fail as if the kernel had no such network.
const FAIL: u32 = fail(EAFNOSUPPORT);

/// Forbids other sockets for this thread and everything it starts, permanently. An error if this kernel has no filters.
pub(super) fn forbid() -> Result<(), Stop> {
    apply_filter(&program()).or_stop(|| "shut off the network".to_owned())
}

fn program() -> Vec<sock_filter> {
    let mut program = Vec::new();
    for Calls { architecture, socket, socketcall } in CALLS {
        program.push(step(LOAD, 0, 0, ARCHITECTURE));
        program.push(step(JUMP_IF_EQUAL, 0, 8, architecture));
        program.push(step(LOAD, 0, 0, NUMBER));
        program.push(step(AND, 0, 0, !X32));
        // A number that no call has, where there is none.
        program.push(step(JUMP_IF_EQUAL, 4, 0, socketcall.unwrap_or(u32::MAX)));
        program.push(step(JUMP_IF_EQUAL, 0, 2, socket));
        program.push(step(LOAD, 0, 0, FIRST_ARGUMENT));
        program.push(step(JUMP_IF_EQUAL, 0, 1, AF_UNIX.cast_unsigned()));
        program.push(step(RETURN, 0, 0, ALLOW));
        program.push(step(RETURN, 0, 0, FAIL));
    }
    // Programs of another processor cannot run.
    program.push(step(RETURN, 0, 0, FAIL));
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::filter;

    fn answer(architecture: u32, number: u32, argument: u32) -> u32 {
        filter::answer(&program(), architecture, number, argument)
    }

    #[test]
    fn only_sockets_within_the_sandbox_can_be_made() {
        for Calls { architecture, socket, socketcall } in CALLS {
            for family in 0..50 {
                let expected = if family == 1 { ALLOW } else { FAIL };
                assert_eq!(answer(architecture, socket, family), expected, "{architecture:#x} {family}");
                assert_eq!(answer(architecture, socket | X32, family), expected, "{architecture:#x} {family}");
            }
            for number in (0..600).filter(|number| *number != socket && Some(*number) != socketcall) {
                assert_eq!(answer(architecture, number, 2), ALLOW, "{architecture:#x} {number}");
            }
            if let Some(socketcall) = socketcall {
                assert_eq!(answer(architecture, socketcall, 1), FAIL);
            }
        }
        assert_eq!(answer(1, 41, 1), FAIL, "an architecture that this kernel does not run");
    }
}
