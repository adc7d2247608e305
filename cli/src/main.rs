//! `pv`, the command line: arguments, printing, exit codes.
//!
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! invocation streams, folder, environment and user of the calling process, and whether it still waits
//! flags      the flags that every command takes
//! error      failures of commands
//! output     tables, JSON, times, progress: how text gets to a terminal
//! known      what this user has seen of stores before
//! socket     the store's socket: how commands reach the process that owns the store
//! remote     commands through a server on another machine
//! context    what a command works with: all of the above, and the store
//! author     who makes a change
//! notify     tells a service manager how far this process is
//! executors  the executors of this machine, configured by the environment, and workers
//! commands   one folder per noun, one file per verb: arguments, a request or question to the engine, the printed answer
//! habits     commands of other tools, and the equivalent pv command
//! app        parses the arguments; runs the command here or hands it to the process that owns the store
//! ```
//! Not here: anything beyond parsing arguments and printing (`engine`, `answers`).

mod app;
mod author;
mod commands;
mod context;
mod error;
mod executors;
mod flags;
mod habits;
mod invocation;
mod known;
mod notify;
mod output;
mod remote;
mod socket;

/// Whether `pv worker` alone was typed by somebody: the agent speaks through pipes.
fn is_typed(args: &[std::ffi::OsString]) -> bool {
    args.is_empty() && rustix::termios::isatty(std::io::stdin())
}

fn main() -> std::process::ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    // Start the agent inside a sandbox before any thread, runtime or argument parser exists.
    if let Some((first, args)) = args.split_first()
        && first == "worker"
        && sandbox::agent::is_meant(args)
        && !is_typed(args)
    {
        return sandbox::agent::main(args.iter().cloned());
    }
    app::end(app::main())
}
