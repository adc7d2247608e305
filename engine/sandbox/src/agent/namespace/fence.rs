//! What namespaces leave open: sockets with names in no directory, and how many processes there may be.

use std::num::NonZero;

use landlock::{Ruleset, RulesetAttr, RulesetError, Scope};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::super::{OrStop, Stop};

/// Most processes and threads of a sandbox: 1,024 for each core of this machine, at least 2,048. That is more than a stage needs, and few
/// enough that a stage which multiplies without end is ended in seconds. From Linux 5.14 on they are counted in each sandbox on its own,
/// before over all of its user.
pub(crate) fn most_processes() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cores).unwrap_or(u32::MAX).clamp(2, 1024) * 1024
}

/// Leaves no way to abstract sockets of the host, such as that of its display, to a sandbox that has the host's network. A kernel before
/// Linux 6.12 cannot do that, and nothing changes.
pub(super) fn shut_off_sockets() -> Result<(), Stop> {
    let shut_off = || -> Result<_, RulesetError> {
        Ruleset::default().scope(Scope::AbstractUnixSocket)?.create()?.restrict_self()
    };
    shut_off().map(drop).or_stop(|| "shut off the host's sockets".to_owned())
}

/// Bounds the processes of the sandbox, so that one that multiplies does not take the machine.
pub(super) fn limit_processes() -> Result<(), Stop> {
    let most = most_processes().into();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC).or_stop(|| "read a limit".to_owned())?;
    let (soft, hard) = (soft.min(most), hard.min(most));
    setrlimit(Resource::RLIMIT_NPROC, soft, hard).or_stop(|| "limit the number of processes".to_owned())
}
