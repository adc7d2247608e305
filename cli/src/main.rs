//! The `pv` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // The agent inside a sandbox: before any thread, runtime or argument parser exists.
    if args.next().is_some_and(|first| first == "worker") {
        return engine::worker::main(args);
    }
    ExitCode::SUCCESS
}
