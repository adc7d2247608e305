//! What namespaces leave open: keys of the kernel, sockets with names in no directory, and how many processes there may be.

use landlock::{Ruleset, RulesetAttr, RulesetError, Scope};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::{apply_filter, sock_filter};

use super::super::{OrStop, Stop};

/// Most processes and threads of a sandbox. From Linux 5.14 on they are counted in each sandbox by itself, before over all of its user.
pub(crate) const PROCESSES_MAX: u64 = 4096;

/// For each kind of processor as `<linux/audit.h>` numbers them, also for programs of 32 bits: the number of the system call `add_key`. In
/// each `request_key` and `keyctl` follow it.
const ADD_KEY: [(u32, u32); 9] = [
    (0xc000_003e, 248), // x86-64
    (0x4000_0003, 286), // x86
    (0xc000_00b7, 217), // 64-bit ARM
    (0x4000_0028, 309), // ARM
    (0xc000_00f3, 217), // 64-bit RISC-V
    (0xc000_0015, 269), // 64-bit PowerPC, little-endian
    (0x8000_0016, 278), // s390x
    (0x0000_0016, 278), // s390
    (0xc000_0102, 217), // LoongArch
];

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// Operations of `<linux/bpf_common.h>`.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// Without the bit of the x32 calls, which have the numbers of the x86-64 ones.
const NUMBER_MASK: u32 = !0x4000_0000;
const ALLOW: u32 = 0x7fff_0000;
/// The call fails with `EPERM`, as in a container.
const REFUSE: u32 = 0x0005_0001;

/// Closes both to this process and all that it starts, for good.
pub(super) fn put_up() -> Result<(), Stop> {
    forbid_keys()?;
    shut_off_sockets().or_stop(|| "shut off the host's sockets".to_owned())
}

/// Forbids the system calls on keys. Keyrings belong to users and sessions, not to namespaces: a key left there would be there for the
/// next try, and the keys of the session that the engine was started in would be at hand.
fn forbid_keys() -> Result<(), Stop> {
    apply_filter(&program()).or_stop(|| "forbid the system calls on keys".to_owned())
}

/// Leaves no way to abstract sockets of the host, such as that of its display, to a sandbox that has the host's network. A kernel before
/// Linux 6.12 cannot do that, and nothing changes.
fn shut_off_sockets() -> Result<(), RulesetError> {
    Ruleset::default().scope(Scope::AbstractUnixSocket)?.create()?.restrict_self().map(drop)
}

fn program() -> Vec<sock_filter> {
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let mut program = vec![step(LOAD, 0, 0, ARCHITECTURE)];
    for (architecture, add_key) in ADD_KEY {
        program.extend([
            step(IF_EQUAL, 0, 6, architecture),
            step(LOAD, 0, 0, NUMBER),
            step(AND, 0, 0, NUMBER_MASK),
            step(IF_AT_LEAST, 0, 2, add_key),
            step(IF_GREATER, 1, 0, add_key + 2),
            step(RETURN, 0, 0, REFUSE),
            step(RETURN, 0, 0, ALLOW),
        ]);
    }
    program.push(step(RETURN, 0, 0, ALLOW));
    program
}

/// Bounds the processes of the sandbox, so that one that multiplies does not take the machine.
pub(super) fn limit_processes() -> Result<(), Stop> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC).or_stop(|| "read a limit".to_owned())?;
    let (soft, hard) = (soft.min(PROCESSES_MAX), hard.min(PROCESSES_MAX));
    setrlimit(Resource::RLIMIT_NPROC, soft, hard).or_stop(|| "limit the number of processes".to_owned())
}
