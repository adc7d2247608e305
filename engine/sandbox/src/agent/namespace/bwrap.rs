//! Started by `bwrap`, which creates the namespaces where the host allows them to no other program.
//!
//! `bwrap` shows `/pfs` and `/code` read-only, and offers no writable path for the agent alone. So the process that becomes `bwrap` opens
//! both directories first, and the agent inherits them through it.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{FdFlags, fcntl_setfd};

use super::super::clear::open_directory;
use super::super::serve::{self, EndsBy, SandboxDirs};
use super::super::{OrStop, Stop, surroundings};
use super::{BwrapPlan, fence};

/// Becomes `bwrap` according to `plan` (JSON of [`BwrapPlan`]).
pub(in super::super) fn by_bwrap(plan: &str) -> Result<(), Stop> {
    surroundings::close_all_but(&[]).or_stop(|| "close what was inherited".to_owned())?;
    // Leaves the engine's terminal: a command could otherwise type into it. Fails only if the process has already left it.
    rustix::process::setsid().ok();
    let plan: BwrapPlan = serde_json::from_str(plan).or_stop(|| "read the plan of the sandbox".to_owned())?;
    let (pfs, code) = (pass_on(&plan.scratch.join("pfs"))?, pass_on(&plan.scratch.join("code"))?);
    let numbers = [&pfs, &code].map(|directory| directory.as_raw_fd().to_string());
    let error = Command::new(&plan.bwrap).args(&plan.args).args(["worker", "within"]).args(numbers).env_clear().exec();
    Err(Stop::new(format!("cannot start `{}`: {error}", plan.bwrap.display())))
}

/// Opens a directory that stays open across the exec of this process.
fn pass_on(path: &Path) -> Result<OwnedFd, Stop> {
    let directory = OwnedFd::from(File::open(path).or_stop(|| format!("open `{}`", path.display()))?);
    fcntl_setfd(&directory, FdFlags::empty()).or_stop(|| format!("pass on `{}`", path.display()))?;
    Ok(directory)
}

/// The agent in a sandbox of `bwrap`; the numbers are those of the inherited directories.
pub(in super::super) fn within(pfs: &str, code: &str) -> Result<(), Stop> {
    // Not `--die-with-parent`: that would also tie `bwrap` to the engine's thread that started it, and threads come and go.
    prctl::set_pdeathsig(Signal::SIGKILL).or_stop(|| "bind the agent's life to that of bwrap".to_owned())?;
    let number = |text: &str| text.parse::<RawFd>().or_stop(|| "read the number of an open file".to_owned());
    let numbers = [number(pfs)?, number(code)?];
    surroundings::close_all_but(&numbers).or_stop(|| "close what was inherited".to_owned())?;
    let [pfs, code] = [take_over(numbers[0])?, take_over(numbers[1])?];
    fence::limit_processes()?;
    prctl::set_no_new_privs().or_stop(|| "forbid new rights".to_owned())?;
    prctl::set_dumpable(false).or_stop(|| "protect the agent".to_owned())?;
    fence::shut_off_sockets()?;
    let out = open_directory(CWD, "/pfs/out").or_stop(|| "open /pfs/out".to_owned())?;
    serve::run(SandboxDirs { pfs, code: Some(code), out, temporary: SandboxDirs::temporary()? }, EndsBy::Signals)
}

/// Opened again, because a number alone is not a file without `unsafe`, and then closed.
fn take_over(number: RawFd) -> Result<OwnedFd, Stop> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let taken = openat(CWD, format!("/proc/self/fd/{number}"), flags, Mode::empty())
        .or_stop(|| "take over a directory".to_owned())?;
    nix::unistd::close(number).or_stop(|| "let go of the host".to_owned())?;
    Ok(taken)
}
