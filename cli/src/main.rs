//! `pv`, the command line: arguments, printing, exit codes.
//!
//! The modules, from ground to roof; each knows those before it and none behind it, which a test holds (`tests/rooms.rs`):
//!
//! ```text
//! words      sizes and times as people read them
//! invocation streams, folder, environment and user of the process that was called, and whether it still waits
//! flags      what every command takes
//! error      what a command says when it fails
//! output     tables, JSON, times, progress: how text gets to a terminal
//! known      what this user has seen of stores before
//! socket     the store's socket: how commands reach the process that owns the store
//! context    what a command works with: all of the above, and the store
//! author     who makes a change
//! executors  the executors of this machine, made of what the environment says
//! commands   a folder a noun, a file a verb: arguments, a request or a question to the engine, what is printed of the answer
//! habits     commands of other tools, and the line that does the same here
//! app        parses the arguments; runs the command here or hands it to the process that owns the store
//! ```
//! Not here: anything that is more than arguments in and text out (`engine`, `answers`).

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
mod output;
mod socket;
mod words;

fn main() -> std::process::ExitCode {
    let mut args = std::env::args_os().skip(1);
    // Start the agent inside a sandbox before any thread, runtime or argument parser exists.
    if args.next().is_some_and(|first| first == "worker") {
        return sandbox::agent::main(args);
    }
    app::end(app::main())
}
