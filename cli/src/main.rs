//! `pv`, the command line: arguments, printing, exit codes.
//!
//! ```text
//! app        parses the arguments; runs the command here or hands it to the process that owns the store
//! args       the command line as types
//! context    all that a command may touch of the outside: streams, environment, terminal, store
//! output     tables, JSON, human sizes and times, progress
//! error      what a command says when it fails
//! executors  the executors of this machine, made of what the environment says
//! habits     commands of other tools, and the line that does the same here
//! known      what this user has seen of stores before
//! socket     the store's socket: how commands reach the process that owns the store
//! commands   a folder a noun, a file a verb
//! ```
//! Not here: anything that is more than arguments in and text out (`engine`, `repos`).

use std::io::Write;

mod app;
mod args;
mod author;
mod commands;
mod context;
mod error;
mod executors;
mod habits;
mod known;
mod output;
mod socket;

fn main() -> std::process::ExitCode {
    let mut args = std::env::args_os().skip(1);
    // The agent inside a sandbox: before any thread, runtime or argument parser exists.
    if args.next().is_some_and(|first| first == "worker") {
        return sandbox::agent::main(args);
    }
    end(app::main())
}

/// Ends the process at once. The usual end destroys what `RocksDB`'s threads still use, and they then abort the process.
fn end(code: u8) -> ! {
    std::io::stdout().flush().ok();
    signal_hook::low_level::exit(code.into())
}
