//! The agent: what `pv worker` does inside a sandbox.
//!
//! It is the first process of the sandbox's process namespace, so it can reliably kill every process of a try, and it reaps orphans. It is
//! synchronous; besides the main thread, one thread waits for the end of the engine's stream, and another exists while the agent acts for
//! another user. One try consists of:
//! 1. `inputs`: lay out `/pfs` while it arrives from the engine; 2. `command`: run, stream the log, kill all remaining processes;
//! 3. check that no input was touched; 4. `outputs`: walk `/pfs/out` and stream it; 5. `traces`: look for what is left elsewhere;
//! 6. `clear`: empty everything for the next try.
//!
//! `pv worker` alone assumes that it is already in a sandbox (a container). `pv worker enter` first creates one with Linux namespaces,
//! `pv worker bwrap` lets `bwrap` create one (`namespace`). In a pod, `pv worker dial` connects to the worker in the container beside it (`pod`), and
//! `pv worker look` finds out what its image is (`look`). `serve` answers the engine; `account` reads users without NSS and acts as one;
//! `staging` holds the next try's inputs while a command runs; `secrets` writes the secrets of a try; `memory` detects that memory ran out;
//! `traces`, with `surroundings` and `mounts`, finds what a try left; `renew` resets the directories that every try may write to;
//! `forbidden` blocks the system calls whose effects cannot be found, `sockets` those that lead to a network that is not to be reached; both are made of the instructions in `filter`.
//!
//! Not here: the engine's half (`sandbox`, `docker`, `process`), and anything async.

mod account;

mod clear;
mod command;
mod filter;
mod forbidden;
mod inputs;
mod look;
mod memory;
mod mounts;
pub(crate) mod namespace;
mod outputs;
mod pod;
mod renew;
mod secrets;
mod serve;
mod sockets;
mod staging;
mod surroundings;
mod traces;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use nix::sys::prctl;

pub(crate) use clear::{NOTHING, empty as empty_directory, open_directory};
pub(crate) use command::DEFAULT_PATH;
pub(crate) use inputs::MTIME as INPUT_SECONDS;
pub(crate) use look::Found;
pub use namespace::SYSTEM;
pub(crate) use namespace::most_processes;

use self::serve::EndsBy;

/// Exit code of `pv worker enter` if this host refuses namespaces; another method may then be tried.
pub(crate) const NAMESPACES_REFUSED: u8 = 77;

/// The first words after `pv worker` by which executors start an agent in other places than a container.
const WAYS: [&str; 7] = ["enter", "inside", "bwrap", "within", "install", "look", "dial"];

/// Whether `pv worker ARGS…` starts the agent; else it is a command of people.
pub fn is_meant(args: &[OsString]) -> bool {
    args.first().is_none_or(|first| WAYS.iter().any(|way| first == way))
}

/// Runs `pv worker ARGS…`; `args` begins after `worker`. Must be called before the process has a second thread.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let text: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let ended = match text.as_slice() {
        [] => begin(),
        ["enter", plan] => namespace::enter(plan),
        ["inside", number] => namespace::inside(number),
        ["bwrap", plan] => namespace::by_bwrap(plan),
        ["within", pfs, code] => namespace::within(pfs, code),
        ["install", path, folders @ ..] => pod::install(Path::new(path), folders),
        ["look", paths @ ..] => look::look_around(paths).or_stop(|| "look at the image".to_owned()),
        ["dial", socket] => pod::dial(Path::new(socket)),
        _ => Err(Stop::new("`pv worker` is started by pv itself")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            // The engine shows this as the reason why the sandbox was lost; if it is gone, the error does not matter.
            let _ = writeln!(std::io::stderr(), "{}", stop.why);
            ExitCode::from(stop.code)
        }
    }
}

/// In a container everything is set up, so only the agent's own memory and pipes need protection from user code.
fn begin() -> Result<(), Stop> {
    protect()?;
    serve::run(serve::SandboxDirs::of_container()?, EndsBy::Signals)
}

/// Protects the agent's own memory and files from user code.
fn protect() -> Result<(), Stop> {
    surroundings::close_all_but(&[]).or_stop(|| "close what was inherited".to_owned())?;
    prctl::set_dumpable(false).map_err(|error| Stop::new(format!("cannot protect the agent: {error}")))
}

/// Why a process of the sandbox ends, for the engine.
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

/// Turns a system error into a `Stop` that says what was attempted.
pub(crate) trait OrStop<T> {
    fn or_stop(self, action: impl FnOnce() -> String) -> Result<T, Stop>;
}

impl<T, E: std::fmt::Display> OrStop<T> for Result<T, E> {
    fn or_stop(self, action: impl FnOnce() -> String) -> Result<T, Stop> {
        self.map_err(|error| Stop::new(format!("cannot {}: {error}", action())))
    }
}
