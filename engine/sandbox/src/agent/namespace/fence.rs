//! What namespaces do not isolate: abstract sockets, and the number of processes.
//!
//! The limit is 1,024 processes and threads for each core of the engine's machine, but at least 2,048, under both executors. With four
//! times as many, a stage that forked without end kept a machine with two cores busy for minutes after it was killed.

use std::num::NonZero;

use landlock::{Ruleset, RulesetAttr, RulesetError, Scope};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::super::{OrStop, Stop};

/// Maximum number of processes and threads in a sandbox: 1,024 per core of this machine, at least 2,048. That is more than a stage needs,
/// and few enough to stop a fork bomb in seconds. Since Linux 5.14 they are counted per sandbox, before that over all processes of its
/// user.
pub(crate) fn most_processes() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cores).unwrap_or(u32::MAX).clamp(2, 1024) * 1024
}

/// Blocks abstract sockets of the host, such as that of its display, for a sandbox in the host's network. A kernel before Linux 6.12 does
/// not support this, and nothing changes.
pub(super) fn shut_off_sockets() -> Result<(), Stop> {
    let shut_off = || -> Result<_, RulesetError> {
        Ruleset::default().scope(Scope::AbstractUnixSocket)?.create()?.restrict_self()
    };
    shut_off().map(drop).or_stop(|| "shut off the host's sockets".to_owned())
}

/// Limits the processes of the sandbox, so that a fork bomb does not take down the machine.
pub(super) fn limit_processes() -> Result<(), Stop> {
    let most = most_processes().into();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC).or_stop(|| "read a limit".to_owned())?;
    let (soft, hard) = (soft.min(most), hard.min(most));
    setrlimit(Resource::RLIMIT_NPROC, soft, hard).or_stop(|| "limit the number of processes".to_owned())
}
