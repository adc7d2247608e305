//! The second process: sets up its namespaces, then becomes the agent.

use std::os::fd::RawFd;

use caps::CapSet;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use rustix::fs::CWD;

use super::super::clear::open_directory;
use super::super::serve::{self, EndsBy, SandboxDirs};
use super::super::{OrStop, Stop, surroundings};
use super::enter::Inside;
use super::{fence, root};

/// Builds the sandbox described in the inherited file with this number (JSON of [`Inside`]), and serves the engine in it.
pub(in super::super) fn inside(number: &str) -> Result<(), Stop> {
    prctl::set_pdeathsig(Signal::SIGKILL).or_stop(|| "bind the agent's life to its starter's".to_owned())?;
    if std::process::id() != 1 {
        return Err(Stop::new("`pv worker` is started by pv itself"));
    }
    let number: RawFd = number.parse().or_stop(|| "read the plan of the sandbox".to_owned())?;
    let plan =
        std::fs::read(format!("/proc/self/fd/{number}")).or_stop(|| "read the plan of the sandbox".to_owned())?;
    let plan: Inside = serde_json::from_slice(&plan).or_stop(|| "read the plan of the sandbox".to_owned())?;
    surroundings::close_all_but(&plan.held()).or_stop(|| "close what was inherited".to_owned())?;
    let writable = root::move_in(&plan)?;
    fence::limit_processes()?;
    give_up_rights()?;
    fence::shut_off_sockets()?;
    let out = open_directory(CWD, "/pfs/out").or_stop(|| "open /pfs/out".to_owned())?;
    serve::run(
        SandboxDirs { pfs: writable.pfs, code: Some(writable.code), out, temporary: SandboxDirs::temporary()? },
        EndsBy::Signals,
    )
}

/// Drops all capabilities, prevents gaining any, and hides this process from others.
pub(super) fn give_up_rights() -> Result<(), Stop> {
    prctl::set_no_new_privs().or_stop(|| "forbid new rights".to_owned())?;
    drop_capabilities().or_stop(|| "drop all capabilities".to_owned())?;
    prctl::set_dumpable(false).or_stop(|| "protect the agent".to_owned())
}

fn drop_capabilities() -> Result<(), caps::errors::CapsError> {
    for capability in caps::all() {
        // A capability unknown to this kernel cannot be dropped, and need not be.
        if caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false) {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::clear(None, CapSet::Effective)?;
    caps::clear(None, CapSet::Permitted)
}
