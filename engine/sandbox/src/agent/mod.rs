//! The agent: what `pv worker` is, inside a sandbox.
//!
//! It is the first process of the sandbox's process namespace, so it can end every process of a try for certain, and reaps what is
//! orphaned. It is synchronous; beside the thread that works another one waits for the end of the engine, and a third is there while the
//! agent acts for another user. One try is:
//! 1. `inputs`: lay out `/pfs` while it comes from the engine; 2. `command`: run, stream the log, end every process left;
//! 3. check that no input was touched; 4. `outputs`: walk `/pfs/out` and stream it; 5. `traces`: look for what is left elsewhere;
//! 6. `clear`: empty it all for the next try.
//!
//! `pv worker` alone expects that it is in a sandbox already (a container). `pv worker enter` makes one with Linux namespaces
//! first, `pv worker bwrap` has `bwrap` make one (`namespace`). `serve` answers the engine; `account` reads users
//! without NSS and acts as one; `staging` holds the next try's inputs while a command runs; `secrets` writes what a try is told in
//! confidence; `memory` tells whether it ran out of that; `traces`, with `surroundings` and `mounts`, finds what a try left; `renew`
//! empties what every try may write to; `forbidden` takes away the system calls whose traces nobody finds.
//!
//! Not here: the engine's half (`sandbox`, `docker`, `process`), and anything async.

mod account;

mod clear;
mod command;
mod forbidden;
mod inputs;
mod memory;
mod mounts;
pub(crate) mod namespace;
mod outputs;

mod renew;
mod secrets;
mod serve;
mod staging;
mod surroundings;
mod traces;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use nix::sys::prctl;

pub(crate) use clear::{NOTHING, empty as empty_directory, open_directory};
pub(crate) use command::DEFAULT_PATH;
pub(crate) use inputs::MTIME as INPUT_SECONDS;
pub use namespace::SYSTEM;
pub(crate) use namespace::most_processes;

/// Exit code of `pv worker enter` when this host refuses namespaces; another means may be tried then.
pub(crate) const NAMESPACES_REFUSED: u8 = 77;

/// Runs `pv worker ARGS…`, with `args` beginning after `worker`. Must be called before the process has a second thread.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let text: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let ended = match text.as_slice() {
        [] => begin(),
        ["enter", plan] => namespace::enter(plan),
        ["inside", number] => namespace::inside(number),
        ["bwrap", plan] => namespace::by_bwrap(plan),
        ["within", pfs, code] => namespace::within(pfs, code),
        _ => Err(Stop::new("`pv worker` is started by pv itself")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            // The engine shows this as the reason for which the sandbox was lost; with nobody there it does not matter.
            let _ = writeln!(std::io::stderr(), "{}", stop.why);
            ExitCode::from(stop.code)
        }
    }
}

/// In a container: all is there, so only the agent's own memory and pipes are closed to user code.
fn begin() -> Result<(), Stop> {
    surroundings::close_all_but(&[]).or_stop(|| "close what was inherited".to_owned())?;
    prctl::set_dumpable(false).map_err(|error| Stop::new(format!("cannot protect the agent: {error}")))?;
    serve::run(serve::Place::of_container()?)
}

/// Why a process of the sandbox ends, for the engine to read.
#[derive(Debug)]
pub(crate) struct Stop {
    why: String,
    code: u8,
}

impl Stop {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), code: 1 }
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self { why: why.into(), code: NAMESPACES_REFUSED }
    }
}

/// Turns an error of the system into a `Stop` that tells what was tried.
pub(crate) trait OrStop<T> {
    fn or_stop(self, action: impl FnOnce() -> String) -> Result<T, Stop>;
}

impl<T, E: std::fmt::Display> OrStop<T> for Result<T, E> {
    fn or_stop(self, action: impl FnOnce() -> String) -> Result<T, Stop> {
        self.map_err(|error| Stop::new(format!("cannot {}: {error}", action())))
    }
}
